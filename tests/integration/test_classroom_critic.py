"""Critique data over a real database: requests, verdicts and pairs are kept, replayed and exported."""

from pathlib import Path

from aaa.play import rehearse
from aaa.protocols import critic
from aaa.store.database import Database
from aaa.types import Call, Evolved
from tests.classrooms import exported, played, replayed
from tests.playing import verdict_for

GOOD = "Six times seven is 42, é 漢."
SEEDS = {
    "inline": [
        {"id": "known", "prompt": "6 x 7?", "reference": GOOD},
        {"id": "open", "prompt": "What is six times seven?"},
    ]
}
PROTOCOL = {"id": "critic", "options": {"controls": True}}
SEATS = {"student": ["pupil", "peer"], "tamperer": ["teacher"], "judge": ["judge"]}


def answer(call: Call) -> str:
    """The peer finds the mistake where there is one; the pupil always finds another."""
    if call.purpose == "answer":
        return GOOD
    if call.purpose == "tampering":
        return (
            '{"flaw": "It says 44 where 42 is right.", "tampered": "Six times seven is 44, é 漢."}'
        )
    if call.purpose == "critique":
        if call.agent == "pupil":
            return "Wrong: it must be 50."
        return "It must be 42." if "is 44" in call.messages[-1].content else "All fine."
    return verdict_for(
        call, "All fine" if "holds no mistake" in call.messages[-1].content else "must be 42"
    )


async def test_critiques_come_out_as_pairs(database: Database, tmp_path: Path) -> None:
    script, told = await played(
        database,
        tmp_path,
        answer,
        SEATS,
        seeds=SEEDS,
        protocol=PROTOCOL,
        judging={"play": "pairwise"},
    )
    options = critic.Options(controls=True)
    for one in told:
        again = rehearse(critic.play(one.seed, script.cast, options), answer)
        assert one.status == "completed"
        assert one.recorded.notes == again.recorded.notes
        assert [note.kind for note in one.recorded.notes] == ["evolved", "verdict", "verdict"]
        assert {verdict.outcome for verdict in one.recorded.verdicts} == {"win"}
        await replayed(script, one)
    rows = exported(told, "trl-dpo")
    assert [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows] == [
        ("It must be 42.", "Wrong: it must be 50."),
        ("All fine.", "Wrong: it must be 50."),
    ] * 2
    assert all("Check this answer" in row["prompt"][0]["content"] for row in rows)
    requests = [n for one in told for n in one.recorded.notes if isinstance(n, Evolved)]
    assert [row["id"] for row in exported(told, "seeds")] == [note.id for note in requests]
