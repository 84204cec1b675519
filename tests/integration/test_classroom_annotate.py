"""Annotation over a real database: labels are kept, told as events, replayed and exported as seeds."""

import json
from pathlib import Path

import httpx

from aaa.commands.seeds import load
from aaa.curriculum.analysis import analyse
from aaa.settings import Settings
from aaa.store.database import Database
from aaa.store.events import read_events
from aaa.types import Call, Labels, fingerprint
from tests.classrooms import exported, played, replayed

TOPICS = ("science", "history")


def answer(call: Call) -> str:
    """A topic by chance, from which the difficulty follows."""
    topic = TOPICS[int(fingerprint(call.messages[-1].content)[:2], 16) % 2]
    hard = 9 if topic == "science" else 2
    return json.dumps({"why": "so é 漢", "topic": topic, "skill": "recall", "difficulty": hard})


async def test_labels_are_recorded_told_and_exported(
    api: httpx.AsyncClient, database: Database, tmp_path: Path
) -> None:
    seats = {"annotator": ["pupil", "peer"]}
    script, told = await played(database, tmp_path, answer, seats, protocol={"id": "annotate"})
    for one in told:
        assert one.status == "completed"
        (note,) = one.recorded.notes
        assert isinstance(note, Labels)
        assert note.read == 2
        await replayed(script, one)
    session = (await api.get(f"/v1/sessions/{told[0].session}")).raise_for_status().json()
    assert [note["kind"] for note in session["notes"]] == ["labels"]
    async with database.begin() as connection:
        happened = await read_events(connection, told[0].round, 0, 5000)
    noted = [event.data for event in happened if event.kind == "note"]
    assert [data["kind"] for data in noted] == ["labels"] * len(told)

    rows = exported(told, "seeds")
    assert [row["id"] for row in rows] == [one.seed.id for one in told]
    (tmp_path / "annotated.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = analyse(load(Settings(), str(tmp_path / "annotated.jsonl")))
    shares = {one.name: {v.value: v.seeds for v in one.values} for one in found.attributes}
    assert sum(shares["topic"].values()) == len(told)
    assert shares["difficulty"].get("hard", 0) == shares["topic"].get("science", 0)
    assert exported(told, "trl-dpo") == []
