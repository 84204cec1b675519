"""Checks in real rounds: on record with their verdict, in export and explanation, and made once."""

from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from aaa.commands.explain import told
from aaa.drive import drive
from aaa.exporters import lines
from aaa.play import Play
from aaa.protocols import co_teaching
from aaa.store.database import Database
from aaa.store.reading import transcripts
from aaa.store.rounds import create_round, get_script
from aaa.types import Call, Checks, CheckWish, Note, Turn
from tests.catalogues import small_catalogue
from tests.playing import play_round, verdict_for

CODE = "def f(x): return x * {factor}  # by {agent}"
CHECKERS: dict[str, dict[str, Any]] = {
    "python_tests": {
        "kind": "python_tests",
        "tests": "assert f(0) == 0\nassert f(1) == 2\nassert f(2) == 4",
    },
    "regex": {"kind": "regex", "pattern": r"x \* 2"},
}


def answer(call: Call) -> str:
    """The draft is a third right, the revision is right; a judge would prefer the draft."""
    if call.purpose == "ballot":
        return verdict_for(call, "x * 3")
    factor = 2 if call.purpose == "revision" else 3
    return CODE.format(factor=factor, agent=call.agent) if call.seat == "student" else "no"


async def played(database: Database, folder: Path, mode: str, kind: str) -> str:
    seeds = {"inline": [{"id": "s", "prompt": "Double it.", "checker": CHECKERS[kind]}]}
    judging = {"play": "pairwise", "checker": mode}
    catalogue = small_catalogue(folder, seeds=seeds, judging=judging)
    made = await create_round(database, *catalogue.prepare(*catalogue.scenario("small")))
    await play_round(database, made.id, answer)
    return made.id


@pytest.mark.parametrize("kind", CHECKERS)
async def test_a_checker_that_decides_makes_the_pairs(
    api: httpx.AsyncClient, database: Database, tmp_path: Path, kind: str
) -> None:
    round_id = await played(database, tmp_path, "decides", kind)
    (transcript,) = [t async for t in transcripts(database, [round_id])]
    assert {t.call.purpose for t in transcript.recorded.turns} == {"draft", "critique", "revision"}
    rows = [orjson.loads(line) for line in lines(transcript, "canonical")]
    assert [row["edge"] for row in rows] == ["revision", "revision"]
    for row in rows:
        assert "x * 2" in row["chosen"]["text"]
        assert {b["judge"] for b in row["judging"]["ballots"]} == {f"checker:{kind}"}
    story = (await api.get(f"/v1/pairs/{rows[0]['id']}")).raise_for_status().json()
    assert {b["text"] for b in story["ballots"]} == {""}
    text = "\n".join(told(story))
    assert f"checker:{kind}, turn {rows[0]['chosen']['turn']}: score 1.000" in text
    assert "nothing readable" not in text


async def test_checker_and_judge_that_disagree_make_none(
    database: Database, tmp_path: Path
) -> None:
    round_id = await played(database, tmp_path, "agrees", "regex")
    (transcript,) = [t async for t in transcripts(database, [round_id])]
    outcomes = [(n.edge, n.outcome, len(n.ballots)) for n in transcript.recorded.verdicts]
    assert outcomes[:2] == [("revision", "flip", 4)] * 2
    assert list(lines(transcript, "canonical")) == []


async def test_a_record_read_back_is_replayed_without_a_check(
    database: Database, tmp_path: Path
) -> None:
    """Scores, reasons and all: what PostgreSQL gives back is what the play concludes again."""
    round_id = await played(database, tmp_path, "decides", "python_tests")
    (transcript,) = [t async for t in transcripts(database, [round_id])]
    script = await get_script(database, round_id)
    scores = [b.scores for n in transcript.recorded.verdicts for b in n.ballots]
    assert {"a": 1 / 3} in scores

    def session() -> Play[None]:
        return co_teaching.play(transcript.seed, script.cast, co_teaching.Options())

    await drive(session(), _no_call, _no_note, transcript.recorded, _no_check)


async def _no_call(index: int, call: Call) -> Turn:
    raise AssertionError(call)


async def _no_note(index: int, after: int, note: Note) -> None:
    raise AssertionError(note)


async def _no_check(wish: CheckWish) -> Checks:
    raise AssertionError(wish)
