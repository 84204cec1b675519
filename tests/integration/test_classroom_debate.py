"""A debate in a real round: notes and verdicts read back as they were played, pairs exported, explained."""

from pathlib import Path

import httpx
import orjson

from aaa.commands.explain import told
from aaa.exporters import lines
from aaa.play import rehearse
from aaa.protocols import debate
from aaa.store.database import Database
from aaa.store.reading import transcripts
from aaa.store.rounds import create_round, get_script
from aaa.types import Call, Check, Checks, CheckWish, Consensus
from tests.catalogues import small_catalogue
from tests.playing import play_round

SEEDS = [
    {"id": "n", "prompt": "6 times 7?", "checker": {"kind": "number", "value": 42}},
    {"id": "t", "prompt": "Which city?", "reference": "東京"},
]


def answer(call: Call) -> str:
    """The peer is wrong at first, and comes to what the others say; the teacher never does."""
    number = "6 times" in call.messages[0].content
    right, wrong = ("42", "41") if number else ("東京", "京都")
    said = {"pupil": right, "peer": right if call.purpose == "debate" else wrong, "teacher": wrong}
    return f"{call.agent} thinks é.\nAnswer: {said[call.agent]}"


def by_42(wish: CheckWish) -> Checks:
    return {index: Check(score=float("42" in text)) for index, text in wish.answers.items()}


async def test_a_round_of_debates(
    api: httpx.AsyncClient, database: Database, tmp_path: Path
) -> None:
    catalogue = small_catalogue(
        tmp_path,
        protocol={"id": "debate"},
        seats={"student": ["pupil", "peer", "teacher"]},
        seeds={"inline": SEEDS},
    )
    made = await create_round(database, *catalogue.prepare(*catalogue.scenario("small")))
    assert await play_round(database, made.id, answer) == 2
    script = await get_script(database, made.id)
    found = [t async for t in transcripts(database, [made.id])]
    for one in found:
        session = debate.play(one.seed, script.cast, debate.Options())
        played = rehearse(session, answer, check=by_42)
        assert [t.text for t in one.recorded.turns] == [t.text for t in played.recorded.turns]
        assert one.recorded.notes == played.recorded.notes
        debated, alone = (n for n in one.recorded.notes if isinstance(n, Consensus))
        assert (debated.votes, debated.correct) == (
            {debated.answer: 2, _wrong(one.seed.id): 1},
            True,
        )
        assert (alone.answer, alone.calls) == (_wrong(one.seed.id), 6)
        rows = [orjson.loads(line) for line in lines(one, "canonical")]
        assert [(r["edge"], r["judging"]["play"]) for r in rows] == [("consensus", "vote")] * 3
        story = (await api.get(f"/v1/pairs/{rows[0]['id']}")).raise_for_status().json()
        text = "\n".join(told(story))
        assert "VERDICT by judging play 'vote': win" in text
        assert "votes: " in text


def _wrong(seed: str) -> str:
    return "41" if seed == "n" else "京都"
