"""Auto Evol-Instruct over a real database: methods are kept as notes, replayed, and are no seeds."""

from pathlib import Path

from aaa.play import rehearse
from aaa.protocols import auto_evol
from aaa.store.database import Database
from aaa.types import Call, Evolved, fingerprint
from tests.classrooms import exported, played, replayed

PROTOCOL = {"id": "auto_evol", "options": {"dev": ["One thing?", "Two things?"], "steps": 2}}
SEEDS = {"inline": [{"id": f"s{n}", "prompt": f"Question {n}?"} for n in range(8)]}
SEATS = {"evolver": ["pupil"], "optimizer": ["teacher", "peer"]}


def answer(call: Call) -> str:
    """Whether a rewriting fails depends on the method and the task; methods differ."""
    word = fingerprint(call)
    if call.purpose in ("analysis", "method"):
        return f"Method {word[:8]} é 漢."
    return (
        f"Question {word[:4]} about {word[4:8]} of {word[8:12]}?"
        if int(word[:2], 16) % 2
        else "Sure!"
    )


async def test_methods_are_recorded(database: Database, tmp_path: Path) -> None:
    script, told = await played(database, tmp_path, answer, SEATS, seeds=SEEDS, protocol=PROTOCOL)
    options = auto_evol.Options.model_validate(PROTOCOL["options"])
    notes = []
    for one in told:
        again = rehearse(auto_evol.play(one.seed, script.cast, options), answer)
        assert one.status == "completed"
        assert one.recorded.notes == again.recorded.notes
        await replayed(script, one)
        own = [note for note in one.recorded.notes if isinstance(note, Evolved)]
        assert len(own) in (0, 2, 4)
        notes += own
    assert {note.dropped for note in notes} == {"", "not_better"}
    assert all(note.value is not None for note in notes)
    assert exported(told, "seeds") == []
