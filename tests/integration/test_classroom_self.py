"""Self-teaching and constitution on a real database: kept, replayed, exported, and rated or not."""

from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from aaa import plugins
from aaa.battles import EDGES
from aaa.commands.explain import told
from aaa.drive import drive
from aaa.exporters import lines
from aaa.store.battles import read_battles
from aaa.store.database import Database
from aaa.store.reading import transcripts
from aaa.store.rounds import create_round, get_script
from aaa.transcripts import Transcript
from aaa.types import Call, Evolved, Note, Turn
from tests.catalogues import small_catalogue
from tests.playing import play_round, verdict_for

SEATS = {"student": ["pupil", "peer"], "judge": ["judge"]}
SEEDS = {
    "inline": [
        {"id": "gold", "prompt": "Six times seven?", "reference": "It is 42."},
        {"id": "known", "prompt": "Six times eight?", "reference": "By peer: 48."},
    ]
}


def answer(call: Call) -> str:
    """Revisions are better; `peer` knows the second answer by heart."""
    if call.purpose == "ballot":
        return verdict_for(call, "better")
    if call.purpose == "evolution":
        return "Six times nine?" if call.agent == "pupil" else " "
    if call.purpose == "draft" and call.agent == "peer" and "eight" in call.messages[0].content:
        return "by peer: 48"
    better = "a better " if call.purpose == "revision" else ""
    return f"{better}{call.purpose} by {call.agent} of {len(str(call.messages))} é 漢"


async def played(
    database: Database, folder: Path, protocol: str, options: dict[str, Any], **more: Any
) -> tuple[str, list[Transcript]]:
    """A round of that protocol, each session read back and driven again without asking anything."""
    chosen = {"id": protocol, "options": options}
    given = {"seats": SEATS, "seeds": SEEDS, "protocol": chosen, **more}
    catalogue = small_catalogue(folder, **given)
    made = await create_round(database, *catalogue.prepare(*catalogue.scenario("small")))
    await play_round(database, made.id, answer)
    found = [t async for t in transcripts(database, [made.id])]
    script = await get_script(database, made.id)
    plugin = plugins.protocol(protocol)
    for transcript in found:
        assert transcript.status == "completed"
        play = plugin.play(transcript.seed, script.cast, plugin.options(**options))
        await drive(play, _no_call, _no_note, transcript.recorded)
    return made.id, found


def canonical(transcript: Transcript) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in lines(transcript, "canonical")]


async def test_gold_answers_are_pairs_that_nobody_was_asked_for_and_nobody_is_rated_by(
    api: httpx.AsyncClient, database: Database, tmp_path: Path
) -> None:
    round_id, (gold, known) = await played(database, tmp_path, "self_teaching", {"gold": True})
    rows = canonical(gold)
    assert [row["edge"] for row in rows] == ["gold", "gold", "revision", "revision"]
    for row in rows[:2]:
        assert (row["chosen"]["text"], row["chosen"]["agent"]) == ("It is 42.", "seed:reference")
        assert (row["judging"]["play"], row["judging"]["ballots"]) == ("gold", [])
        assert row["chosen"]["cost_usd"] == 0
    outcomes = [(v.edge, v.outcome) for v in known.recorded.verdicts[:2]]
    assert outcomes == [("gold", "win"), ("gold", "tie")], "an answer that equals the gold is a tie"
    trl = [orjson.loads(line) for line in lines(gold, "trl-dpo")]
    assert trl[0]["chosen"] == [{"role": "assistant", "content": "It is 42."}]
    story = (await api.get(f"/v1/pairs/{rows[0]['id']}")).raise_for_status().json()
    assert "VERDICT by judging play 'gold': win" in "\n".join(told(story))
    assert story["spent"]["pair"]["calls"] == 2
    ledger = await read_battles(database, [round_id])
    assert len(ledger) == 0
    assert "gold" not in EDGES
    ledger = await read_battles(database, [round_id], edges=("gold",))
    assert len(ledger) == 0, "the reference is no player, not even where its edge is asked for"
    session = (await api.get(f"/v1/sessions/{gold.session}")).json()
    assert len(session["attempts"]) == len(session["turns"]) - 1, "one was given"


async def test_gold_alone_plays_without_a_judge(database: Database, tmp_path: Path) -> None:
    options = {"gold": True, "rounds": 0}
    seats = {"student": ["pupil"]}
    _, found = await played(database, tmp_path, "self_teaching", options, seats=seats)
    assert [len(t.recorded.turns) for t in found] == [2, 2]
    assert [row["edge"] for t in found for row in canonical(t)] == ["gold", "gold"]


async def test_evolved_prompts_are_notes_and_contexts(
    api: httpx.AsyncClient, database: Database, tmp_path: Path
) -> None:
    round_id, found = await played(database, tmp_path, "self_teaching", {"evolve": True})
    for transcript in found:
        notes = [n for n in transcript.recorded.notes if isinstance(n, Evolved)]
        assert [note.dropped for note in notes] == ["", "no_content"]
        rows = canonical(transcript)
        asked = [row["context"][-1]["content"] for row in rows]
        assert asked == ["Six times nine?", transcript.seed.prompt[-1].content]
        session = (await api.get(f"/v1/sessions/{transcript.session}")).json()
        assert [note["kind"] for note in session["notes"]] == ["evolved", "evolved"]
    async with api.stream("GET", f"/v1/rounds/{round_id}/events", timeout=20) as stream:
        kinds = [
            line.split(": ", 1)[1]
            async for line in stream.aiter_lines()
            if line.startswith("event: ")
        ]
    assert kinds.count("note") == 4


@pytest.mark.parametrize("labels", [0, 2])
async def test_a_constitution_makes_revisions_and_labels(
    api: httpx.AsyncClient, database: Database, tmp_path: Path, labels: int
) -> None:
    options = {"principles": ("It is true.", "It is short."), "labels": labels}
    round_id, found = await played(database, tmp_path, "constitution", options)
    for transcript in found:
        rows = canonical(transcript)
        assert [row["edge"] for row in rows] == ["constitution"] * 2
        assert {row["chosen"]["purpose"] for row in rows} == {"revision"}
        assert {row["rejected"]["purpose"] for row in rows} == {"draft"}
        by_principle = [v for v in transcript.recorded.verdicts if v.edge == "principle"]
        assert len(by_principle) == 2 * labels
        assert all(v.context == transcript.seed.prompt for v in by_principle)
        assert all("by the principle 'It is " in v.reason for v in by_principle)
    assert len(await read_battles(database, [round_id])) == 0


async def _no_call(index: int, call: Call) -> Turn:
    raise AssertionError(call)


async def _no_note(index: int, after: int, note: Note) -> None:
    raise AssertionError(note)
