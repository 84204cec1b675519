"""Self-reward in a real round: points and judgements read back as they were played, exported, explained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson

from aaa.commands.explain import told
from aaa.exporters import lines
from aaa.play import rehearse
from aaa.protocols import self_reward
from aaa.store.database import Database
from aaa.store.reading import transcripts
from aaa.store.rounds import create_round, get_script
from aaa.transcripts import Transcript
from aaa.types import Call, Reply
from tests.catalogues import small_catalogue
from tests.playing import play_round
from tests.stub_judge import stub_judge

JUDGED = stub_judge("noise=1")
OPTIONS = {"answers": 3, "votes": 2, "meta": True}


def answers() -> Any:
    """What a session's models say; answers differ by how often they were asked for, scores by their words."""
    said: dict[str, int] = {}

    def answer(call: Call) -> str | Reply:
        prompt = call.messages[-1].content
        if call.seat == "meta":
            return JUDGED(call)
        number = said[prompt] = said.get(prompt, 0) + 1
        if call.seat == "student":
            return f"Try {number} at {prompt} \u6f22"
        score = (len(prompt) + 7 * number + prompt.count("Try 2")) % 6
        return orjson.dumps({"rationale": f"Look {number}: é.", "score": score}).decode()

    return answer


def _recorded(transcript: Transcript) -> Callable[[Call], Reply]:
    """What was said, in its order."""
    turns = iter(transcript.recorded.turns)
    return lambda _: next(turns).reply


async def test_a_round_of_points_and_judgements(
    api: httpx.AsyncClient, database: Database, tmp_path: Path
) -> None:
    catalogue = small_catalogue(
        tmp_path,
        questions=3,
        protocol={"id": "self_reward", "options": OPTIONS},
        seats={"student": ["pupil"], "judge": ["judge"], "meta": ["teacher"]},
        judging={"play": "pairwise"},
        seat_budgets={"meta": {"calls": 100}},
    )
    made = await create_round(database, *catalogue.prepare(*catalogue.scenario("small")))
    assert await play_round(database, made.id, answers()) == 3
    script = await get_script(database, made.id)
    rows: list[dict[str, Any]] = []
    async for one in transcripts(database, [made.id]):
        session = self_reward.play(
            one.seed, script.cast, self_reward.Options.model_validate(OPTIONS)
        )
        again = rehearse(session, _recorded(one))
        assert again.recorded.notes == one.recorded.notes
        edges = [v.edge for v in one.recorded.verdicts]
        assert (edges.count("self_reward"), edges.count("judgement")) == (2, 3)
        rows += [orjson.loads(line) for line in lines(one, "canonical")]
        assert len([*lines(one, "trl-dpo")]) == sum(
            v.outcome == "win" for v in one.recorded.verdicts
        )
    by_edge = {row["edge"]: row for row in rows}
    assert set(by_edge) == {"self_reward", "judgement"}
    assert by_edge["judgement"]["context"][0]["content"].startswith("You grade one answer")
    assert orjson.loads(by_edge["judgement"]["chosen"]["text"])["rationale"]
    assert {b["judge"] for b in by_edge["judgement"]["judging"]["ballots"]} == {"teacher"}
    story = (await api.get(f"/v1/pairs/{by_edge['self_reward']['id']}")).raise_for_status().json()
    text = "\n".join(told(story))
    assert "VERDICT by judging play 'points': win" in text
    assert text.count("said: Look") == 4
    assert text.count("judge, turn ") == 4  # `judge, turn 3 alone`
    assert "prefers" not in text
