"""Creator and solver over a real database: gaps, new prompts and verdicts are kept, replayed and exported."""

from pathlib import Path

from aaa.play import rehearse
from aaa.protocols import creator_solver
from aaa.store.database import Database
from aaa.types import Call, Evolved, Reply, fingerprint
from tests.classrooms import exported, played, replayed
from tests.stub_judge import stub_judge

SEEDS = {
    "inline": [{"id": f"s{n}", "prompt": f"Question {n}?", "tags": ["test"]} for n in range(4)]
}
PROTOCOL = {"id": "creator_solver", "options": {"answers": 2, "rounds": 2, "threshold": 1.0}}
SEATS = {"solver": ["pupil", "peer"], "creator": ["teacher"], "judge": ["judge"]}


def answer(call: Call) -> Reply:
    """Solvers say anything, the creator too; the stub's judge has its opinion."""
    if call.shape is not None:
        return stub_judge()(call).model_copy(update={"cost_usd": 0.0})
    word = fingerprint(call)
    if call.purpose == "evolution":
        return Reply(text=f"Question {word[:4]} about {word[4:8]} and {word[8:12]} é?")
    return Reply(text=f"It is {word[:8]} 漢.")


async def test_gaps_decide_what_is_evolved(database: Database, tmp_path: Path) -> None:
    script, told = await played(
        database,
        tmp_path,
        answer,
        SEATS,
        seeds=SEEDS,
        protocol=PROTOCOL,
        judging={"play": "logprob"},
    )
    options = creator_solver.Options.model_validate(PROTOCOL["options"])
    notes = []
    for one in told:
        again = rehearse(creator_solver.play(one.seed, script.cast, options), answer)
        assert one.status == "completed"
        assert one.recorded.notes == again.recorded.notes
        await replayed(script, one)
        own = [note for note in one.recorded.notes if isinstance(note, Evolved)]
        assert [note.operation for note in own] == ["none"] or len(own) == 2
        notes += own
    kept = [note for note in notes if not note.dropped]
    assert kept
    assert {note.dropped for note in notes} == {"", "uninformative"}
    assert all((note.value or 0) > 1 for note in kept)
    assert [row["value"] for row in exported(told, "seeds")] == [note.value for note in kept]
    wins = sum(v.outcome == "win" for one in told for v in one.recorded.verdicts)
    assert len(exported(told, "trl-dpo")) == wins > 0
