"""Evol-Answer over a real database: verdicts are kept and replayed, pairs come out."""

from pathlib import Path

from aaa.play import rehearse
from aaa.protocols import evol_answer
from aaa.store.database import Database
from aaa.types import Call
from tests.classrooms import exported, played, replayed
from tests.playing import verdict_for

SEATS = {"student": ["pupil"], "rewriter": ["peer", "teacher"], "judge": ["judge"]}


def answer(call: Call) -> str:
    """The judge prefers what is correct, and nothing else."""
    if call.purpose == "ballot":
        return verdict_for(call, "surely é")
    asked = " ".join(message.content for message in call.messages[-2:])
    right = "all of it is correct" in asked or "surely é" in asked
    return f"It is {'surely é' if right else 'perhaps 漢'}, says {call.agent} in {len(str(call.messages))}."


async def test_rewritings_come_out_as_pairs(database: Database, tmp_path: Path) -> None:
    protocol = {"id": "evol_answer"}
    script, told = await played(
        database, tmp_path, answer, SEATS, protocol=protocol, judging={"play": "pairwise"}
    )
    for one in told:
        again = rehearse(evol_answer.play(one.seed, script.cast, evol_answer.Options()), answer)
        assert one.status == "completed"
        assert one.recorded.notes == again.recorded.notes
        assert [verdict.outcome for verdict in one.recorded.verdicts] == ["tie", "win", "tie"]
        await replayed(script, one)
    rows = exported(told, "trl-dpo")
    assert len(rows) == len(told)
    assert all("surely" in row["chosen"][0]["content"] for row in rows)
