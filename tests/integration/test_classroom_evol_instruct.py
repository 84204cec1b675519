"""Evol-Instruct over a real database: the chain is kept, told, exported, and evolved on by another round."""

from pathlib import Path

import httpx

from aaa.play import rehearse
from aaa.protocols import evol_instruct
from aaa.store.database import Database
from aaa.types import Call, Evolved, fingerprint
from tests.catalogues import small_catalogue
from tests.classrooms import exported, played, played_in, replayed

PROTOCOL = {"id": "evol_instruct", "options": {"rounds": 3}}


def answer(call: Call) -> str:
    """Every third new prompt is meta talk; the judge marks all the same."""
    if call.purpose == "assessment":
        return '{"same": false, "difficulty": 6}'
    word = fingerprint(call)
    if call.purpose == "answer":
        return f"Because of {word[:6]}, é 漢."
    return (
        f"{'Sure! ' if int(word[:2], 16) % 3 == 0 else ''}Question {word[:5]} about {word[5:9]} é?"
    )


async def test_a_chain_is_recorded_told_and_evolved_on(
    api: httpx.AsyncClient, database: Database, tmp_path: Path
) -> None:
    seats = {"evolver": ["teacher", "peer"], "student": ["pupil"], "judge": ["judge"]}
    script, told = await played(database, tmp_path / "one", answer, seats, protocol=PROTOCOL)
    notes = [n for one in told for n in one.recorded.notes if isinstance(n, Evolved)]
    kept = [note for note in notes if not note.dropped]
    assert len(notes) == 3 * 3
    assert 0 < len(kept) < len(notes)
    assert {note.dropped for note in notes} == {"", "meta_talk"}
    assert all(note.value == 6 for note in kept)
    options = evol_instruct.Options(rounds=3)
    for one in told:
        again = rehearse(evol_instruct.play(one.seed, script.cast, options), answer)
        assert one.status == "completed"
        assert one.recorded.notes == again.recorded.notes
        await replayed(script, one)

    rows = exported(told, "seeds")
    assert [row["id"] for row in rows] == [note.id for note in kept]
    path = f"/v1/rounds/{told[0].round}/pairs?format=seeds"
    file = tmp_path / "evolved.jsonl"
    file.write_bytes((await api.get(path)).raise_for_status().content)
    session = (await api.get(f"/v1/sessions/{told[0].session}")).raise_for_status().json()
    assert [n["id"] for n in session["notes"]] == [n.id for n in notes if n.id.startswith("s0.")]

    seeds = {"file": str(file)}
    catalogue = small_catalogue(
        tmp_path / "two", seeds=seeds, protocol=PROTOCOL, seats={"evolver": ["teacher"]}
    )
    _, later = await played_in(database, catalogue, answer)
    assert [(one.seed.id, one.seed.parent) for one in later] == [(n.id, n.parent) for n in kept]
    first = later[0].recorded.notes[0]
    assert isinstance(first, Evolved)
    assert first.id == f"{kept[0].id}.e1"
