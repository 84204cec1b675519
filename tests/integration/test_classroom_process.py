"""Process data over a real database: labels and findings are kept, replayed without a program, exported."""

from pathlib import Path

import httpx
import pytest

from aaa.checkers import grade
from aaa.errors import PlayError
from aaa.play import rehearse
from aaa.protocols import process
from aaa.store.database import Database
from aaa.store.events import read_events
from aaa.types import Call, Checks, CheckWish, Steps, fingerprint
from tests.classrooms import exported, played, replayed

TESTS = "assert f(0) == 0\nassert f(1) == 2\nassert f(2) == 4"
SEEDS = {
    "inline": [
        {"id": "code", "prompt": "Write f(x) that doubles x.",
         "checker": {"kind": "python_tests", "tests": TESTS}},
        {"id": "number", "prompt": "6 x 7 - 2?", "checker": {"kind": "number", "value": 40}},
        {"id": "town", "prompt": "Capital of France?", "reference": "Paris"},
    ]
}  # fmt: skip
PROTOCOL = {"id": "process", "options": {"completions": 3, "solutions": 2}}
RESULTS = {"code": "\n```\ndef f(x): return x * {}\n```", "number": "{}0", "town": "{}"}


def answer(call: Call) -> str:
    """Three steps and a result that is right for half of the calls; the code is a third right otherwise."""
    lucky = int(fingerprint(call)[:2], 16) % 2 == 0
    kind = (
        "code"
        if "f(x)" in str(call.messages)
        else "town"
        if "France" in str(call.messages)
        else "number"
    )
    right, wrong = {"code": ("2", "3"), "number": ("4", "5"), "town": ("Paris", "Rome")}[kind]
    result = RESULTS[kind].replace("{}", right if lucky else wrong)
    if call.purpose == "completion":
        return f"Step 3: so.\nAnswer: {result}"
    return f"Step 1: think é.\nStep 2: more 漢.\nStep 3: so.\nAnswer: {result}"


def checked(wish: CheckWish) -> Checks:
    return {index: grade(wish.checker, text) for index, text in wish.answers.items()}


async def test_labels_are_recorded_told_and_exported(
    api: httpx.AsyncClient, database: Database, tmp_path: Path
) -> None:
    seats = {"student": ["pupil"], "completer": ["peer", "teacher"]}
    script, told = await played(database, tmp_path, answer, seats, seeds=SEEDS, protocol=PROTOCOL)
    options = process.Options.model_validate(PROTOCOL["options"])
    labels: set[bool | None] = set()
    for one in told:
        assert one.status == "completed"
        play = process.play(one.seed, script.cast, options)
        again = rehearse(play, answer, check=checked)
        assert one.recorded.notes == again.recorded.notes
        assert len(one.recorded.turns) == 2 * (1 + 2 * 3)
        notes = [note for note in one.recorded.notes if isinstance(note, Steps)]
        assert len(notes) == 2
        assert all(len(note.ballots) == 1 + 2 * 3 for note in notes)
        labels |= {label for note in notes for label in note.labels}
        await replayed(script, one)
    assert labels == {True, False}
    code = [note for note in told[0].recorded.notes if isinstance(note, Steps)]
    assert {"a": 1 / 3} in [ballot.scores for note in code for ballot in note.ballots]

    rows = exported(told, "trl-prm")
    assert 0 < len(rows) <= 6
    assert all(len(row["completions"]) == len(row["labels"]) for row in rows)
    session = (await api.get(f"/v1/sessions/{told[0].session}")).raise_for_status().json()
    assert [note["kind"] for note in session["notes"]] == ["steps", "steps"]
    assert session["notes"][0]["steps"][0] == "Step 1: think é."
    async with database.begin() as connection:
        happened = await read_events(connection, told[0].round, 0, 5000)
    noted = [event.data for event in happened if event.kind == "note"]
    assert len(noted) == 2 * len(told)
    assert all({"labels", "turn", "by", "dropped"} < set(data) for data in noted)
    assert not any({"steps", "context", "ballots"} & set(data) for data in noted)


async def test_a_seed_without_checker_and_reference_is_refused_before_any_call(
    database: Database, tmp_path: Path
) -> None:
    seeds = {"inline": [{"id": "bare", "prompt": "Why?"}]}
    seats = {"student": ["pupil"]}
    with pytest.raises(PlayError, match="seed 'bare' has no checker and no short reference"):
        await played(database, tmp_path, answer, seats, seeds=seeds, protocol={"id": "process"})
