"""K-wise rankings in a real round: marks, scores and implied pairs read back as played, exported."""

from pathlib import Path
from typing import Any

import httpx
import orjson

from aaa.commands.explain import told
from aaa.exporters import lines
from aaa.play import rehearse
from aaa.protocols import k_wise
from aaa.store.database import Database
from aaa.store.reading import transcripts
from aaa.store.rounds import create_round, get_script
from aaa.types import Call, Reply
from tests.catalogues import small_catalogue
from tests.playing import play_round
from tests.stub_judge import stub_judge

JUDGED = stub_judge()
OPTIONS = {"answers": 5, "implied": True, "scores": True}


def answer(call: Call) -> str | Reply:
    if call.seat == "judge":
        return JUDGED(call)
    if call.agent == "teacher":
        return "Always the same. \u6f22 é"
    return f"{call.agent} at {call.sampling.temperature} on {call.messages[-1].content}"


async def test_a_round_of_rankings(
    api: httpx.AsyncClient, database: Database, tmp_path: Path
) -> None:
    catalogue = small_catalogue(
        tmp_path,
        questions=4,
        protocol={"id": "k_wise", "options": OPTIONS},
        seats={"student": ["pupil", "peer", "teacher"], "judge": ["judge"]},
        judging={"play": "rubric", "options": {"margin": 0}},
    )
    made = await create_round(database, *catalogue.prepare(*catalogue.scenario("small")))
    assert await play_round(database, made.id, answer) == 4
    script = await get_script(database, made.id)
    rows: list[dict[str, Any]] = []
    async for one in transcripts(database, [made.id]):
        session = k_wise.play(one.seed, script.cast, k_wise.Options.model_validate(OPTIONS))
        played = rehearse(session, answer)
        assert [t.text for t in one.recorded.turns] == [t.text for t in played.recorded.turns]
        assert one.recorded.notes == played.recorded.notes
        answers = {t.index for t in one.recorded.turns if t.call.purpose == "answer"}
        assert {i for v in one.recorded.verdicts for i in (v.a, v.b)} == answers
        rows += [orjson.loads(line) for line in lines(one, "canonical")]
    assert {(row["edge"], row["judging"]["play"]) for row in rows} == {
        ("k_wise", "rubric"), ("k_wise", "ranking"), ("points", "points"),
    }  # fmt: skip
    for row in rows[:1] + rows[-1:]:
        story = (await api.get(f"/v1/pairs/{row['id']}")).raise_for_status().json()
        text = "\n".join(told(story))
        assert f"VERDICT by judging play '{row['judging']['play']}': win" in text
        assert "scores: turn" in text
