"""An arena in a real round: read back as it was played, exported, explained, made into training data."""

from pathlib import Path
from typing import Any

import httpx
import orjson

from aaa.commands.explain import told
from aaa.data_rules import dpo, reward, sft
from aaa.exporters import lines
from aaa.play import rehearse
from aaa.protocols import arena
from aaa.store.database import Database
from aaa.store.reading import transcripts
from aaa.store.rounds import create_round, get_script
from aaa.transcripts import Pair
from aaa.types import Call, Reply
from tests.catalogues import small_catalogue
from tests.playing import play_round
from tests.stub_judge import stub_judge

JUDGED = stub_judge()


def answer(call: Call) -> str | Reply:
    """Two of three opponents say the same; the judge goes by the stub's hidden quality."""
    if call.seat == "judge":
        return JUDGED(call)
    if call.agent == "pupil":
        return f"I guess that {call.messages[-1].content}"
    return "It is what the others say, too." if call.agent != "teacher" else "It is so. \u6f22 é"


async def test_a_round_of_battles(
    api: httpx.AsyncClient, database: Database, tmp_path: Path
) -> None:
    catalogue = small_catalogue(
        tmp_path,
        questions=4,
        protocol={"id": "arena", "options": {"mode": "all_pairs"}},
        seats={"student": ["pupil"], "opponent": ["peer", "teacher"], "judge": ["judge"]},
        judging={"play": "scores", "options": {"margin": 0}},
    )
    made = await create_round(database, *catalogue.prepare(*catalogue.scenario("small")))
    assert await play_round(database, made.id, answer) == 4
    script = await get_script(database, made.id)
    found = [t async for t in transcripts(database, [made.id])]
    rows: list[dict[str, Any]] = []
    kept: list[Pair] = []
    for one in found:
        played = rehearse(
            arena.play(one.seed, script.cast, arena.Options(mode="all_pairs")), answer
        )
        assert [t.text for t in one.recorded.turns] == [t.text for t in played.recorded.turns]
        assert one.recorded.notes == played.recorded.notes
        rows += [orjson.loads(line) for line in lines(one, "canonical")]
        assert len([*lines(one, "trl-dpo")]) == len(reward(one).kept)
        for rule in (sft(one, "pupil", 1), dpo(one, "pupil", 1), reward(one)):
            assert len(rule.kept) + rule.dropped.total() == len(one.recorded.verdicts) == 3
        kept += dpo(one, "pupil", 1).kept
    assert {row["edge"] for row in rows} == {"peer"}
    assert kept
    assert {pair.id for pair in kept} <= {row["id"] for row in rows}
    story = (await api.get(f"/v1/pairs/{rows[0]['id']}")).raise_for_status().json()
    assert "VERDICT by judging play 'scores': win" in "\n".join(told(story))
