"""Co-teaching with a simulated user, mutual teaching and demonstrations, on a real database."""

from pathlib import Path

import orjson

from aaa.drive import drive
from aaa.exporters import lines
from aaa.protocols import co_teaching
from aaa.store.database import Database
from aaa.store.reading import transcripts
from aaa.store.rounds import create_round, get_script
from aaa.types import Call, Note, Turn
from tests.catalogues import small_catalogue
from tests.playing import play_round, verdict_for

OPTIONS = {"chat_turns": 2, "teach": "every", "demonstrate": True}
SEATS = {
    "student": ["pupil", "peer"],
    "teacher": ["pupil", "peer", "teacher"],
    "user": ["teacher"],
    "judge": ["judge"],
}


def answer(call: Call) -> str:
    """Revisions of `pupil` are better, and the teacher's own answers are best of all."""
    if call.purpose == "ballot":
        shown = verdict_for(call, "best")
        return shown if '"tie"' not in shown else verdict_for(call, "better")
    if call.seat == "user":
        return f"And what about {len(call.messages[-1].content)}?"
    good = {("pupil", "revision"): "a better", ("teacher", "demonstration"): "the best"}
    return f"{good.get((call.agent, call.purpose), 'some')} {call.purpose} by {call.agent} é 漢"


async def test_a_conversation_is_kept_replayed_and_exported(
    database: Database, tmp_path: Path
) -> None:
    protocol = {"id": "co_teaching", "options": OPTIONS}
    catalogue = small_catalogue(tmp_path, questions=2, protocol=protocol, seats=SEATS)
    made = await create_round(database, *catalogue.prepare(*catalogue.scenario("small")))
    assert await play_round(database, made.id, answer) == 2
    script = await get_script(database, made.id)
    found = [t async for t in transcripts(database, [made.id])]
    assert [t.status for t in found] == ["completed"] * 2
    for transcript in found:
        edges = [(v.edge, len(v.context), v.outcome) for v in transcript.recorded.verdicts]
        assert len(edges) == len(transcript.recorded.notes) == 3 * (2 + 1 + 2)
        rows = [orjson.loads(line) for line in lines(transcript, "canonical")]
        wins = [edge for edge, _, outcome in edges if outcome == "win"]
        assert [row["edge"] for row in rows] == wins
        assert {len(row["context"]) for row in rows} == {1, 3, 5}
        gaps = [row for row in rows if row["edge"] == "gap"]
        assert {(row["chosen"]["agent"], row["chosen"]["purpose"]) for row in gaps} == {
            ("teacher", "demonstration")
        }
        last = orjson.loads(list(lines(transcript, "trl-dpo"))[-1])
        assert [m["role"] for m in last["prompt"]] == ["user", "assistant"] * 2 + ["user"]
        assert last["prompt"][1]["content"].startswith("a better revision by pupil")
        play = co_teaching.play(transcript.seed, script.cast, co_teaching.Options(**OPTIONS))
        await drive(play, _no_call, _no_note, transcript.recorded)


async def _no_call(index: int, call: Call) -> Turn:
    raise AssertionError(call)


async def _no_note(index: int, after: int, note: Note) -> None:
    raise AssertionError(note)
