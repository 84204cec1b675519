"""Real weights in this process: text, choices, schemas, sharing, cancelling, reproducibility."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from aaa.catalogue import open_catalogue
from aaa.commands import agents as agents_command
from aaa.commands import models as models_command
from aaa.errors import FailureKind, ModelError
from aaa.models import Model, Request, local, open_model
from aaa.models.sources import Silent
from aaa.models.weights import pull
from aaa.scenario import AgentCard, Local
from aaa.settings import Settings
from aaa.types import ChoiceShape, JsonShape, Message, Sampling
from tests.weights import settings_with

NAME = "smollm2-135m"
SCHEMA = {
    "type": "object",
    "properties": {"winner": {"enum": ["A", "B"]}, "why": {"type": "string", "maxLength": 20}},
    "required": ["winner", "why"],
    "additionalProperties": False,
}


@pytest.fixture(scope="session")
def home() -> Settings:
    """Settings with SmolLM2's weights in them."""
    return settings_with(NAME)


@pytest.fixture
def card(home: Settings) -> AgentCard:
    return open_catalogue(home).card(NAME)


def ask(text: str = "Name a colour.", tokens: int = 12, seed: int = 1, **more: object) -> Request:
    return Request.model_validate(
        {
            "messages": (Message(role="user", content=text),),
            "sampling": Sampling(temperature=0.8, max_tokens=tokens),
            "seed": seed,
            **more,
        }
    )


async def refused(model: Model, request: Request) -> FailureKind:
    with pytest.raises(ModelError) as caught:
        await model.complete(request)
    return caught.value.kind


async def test_text_with_its_usage_and_no_cost(card: AgentCard, home: Settings) -> None:
    model = open_model(card, home)
    reply = await model.complete(ask())
    await model.close()
    assert reply.text
    assert reply.completion_tokens is not None
    assert 1 <= reply.completion_tokens <= 12
    assert reply.prompt_tokens is not None
    assert reply.prompt_tokens > 5
    assert reply.cost_usd == 0.0
    assert reply.model == "SmolLM2-135M-Instruct.Q4_1.gguf"
    assert reply.finish_reason in ("stop", "length")


async def test_choices_come_with_their_probabilities(card: AgentCard, home: Settings) -> None:
    model = open_model(card, home)
    question = "Which letter comes first in the alphabet, A or B? Reply with one letter."
    reply = await model.complete(ask(question, shape=ChoiceShape(choices=("A", "B"))))
    await model.close()
    assert reply.completion_tokens == 1
    assert reply.choice_logprobs is not None
    assert set(reply.choice_logprobs) == {"A", "B"}
    assert reply.logprob_floor is not None
    assert all(reply.logprob_floor <= p <= 0 for p in reply.choice_logprobs.values())


async def test_a_schema_is_kept_to(card: AgentCard, home: Settings) -> None:
    model = open_model(card, home)
    shape = JsonShape(name="verdict", fields=SCHEMA)
    reply = await model.complete(ask("Which is better, A or B? Reply in JSON.", 60, shape=shape))
    await model.close()
    assert json.loads(reply.text)["winner"] in ("A", "B")


async def test_one_slot_is_reproducible_to_the_byte(card: AgentCard, home: Settings) -> None:
    single = card.model_copy(update={"local": Local(slots=1, context=1024)})
    texts = []
    for _ in range(2):  # each time from fresh weights, and in another order
        model = open_model(single, home)
        replies = {seed: await model.complete(ask(seed=seed)) for seed in (1, 2, 1)}
        texts.append([replies[1].text, replies[2].text])
        await model.close()
    assert texts[0] == texts[1]
    assert texts[0][0] != texts[0][1]


async def test_cards_with_the_same_weights_share_them(card: AgentCard, home: Settings) -> None:
    one, two = open_model(card, home), open_model(card, home)
    try:
        assert len(local._servers) == 1
        replies = await asyncio.gather(
            *(m.complete(ask(seed=n)) for n in range(3) for m in (one, two))
        )
        assert all(reply.text for reply in replies)
        await one.close()
        await one.close()
        assert len(local._servers) == 1
        assert (await two.complete(ask())).text
        assert await refused(one, ask()) == "unreachable"
    finally:
        await two.close()
    assert len(local._servers) == 0


async def test_a_cancelled_call_stops_within_a_token(card: AgentCard, home: Settings) -> None:
    model = open_model(card, home)
    await model.complete(ask(tokens=1))
    endless = ask("Write a very long story.", tokens=1500)
    task = asyncio.create_task(model.complete(endless))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    started = time.monotonic()
    await model.close()  # waits for the slot's thread
    assert time.monotonic() - started < 5


async def test_our_clock_ends_a_call(card: AgentCard, home: Settings) -> None:
    model = open_model(card, home)
    await model.complete(ask(tokens=1))
    hasty = card.model_copy(update={"limits": card.limits.model_copy(update={"timeout_s": 0.3})})
    same = open_model(hasty, home)
    assert await refused(same, ask("Write a very long story.", tokens=1500)) == "timeout"
    await same.close()
    await model.close()


async def test_refusals_say_which_kind_they_are(
    card: AgentCard, home: Settings, tmp_path: Path
) -> None:
    model = open_model(card, home)
    assert await refused(model, ask("word " * 3000)) == "context_overflow"
    assert await refused(model, ask("broken \ud800")) == "invalid"
    assert await refused(model, ask().model_copy(update={"messages": ()})) == "invalid"
    odd = JsonShape(name="odd", fields={"type": "nonsense"})
    assert await refused(model, ask(shape=odd)) == "invalid"
    await model.close()
    garbage = tmp_path / "garbage.gguf"
    garbage.write_bytes(b"GGUF and then nothing")
    unreadable = open_model(card.model_copy(update={"model": f"local/{garbage}"}), home)
    assert await refused(unreadable, ask()) == "not_found"
    await unreadable.close()


def test_commands_list_and_check_it(home: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    models_command.ls(home, as_json=True)
    listed = json.loads(capsys.readouterr().out)["items"]
    assert listed[0]["name"] == NAME
    assert listed[0]["present"] is True
    assert agents_command.check(home, [NAME], as_json=True) == 0
    out = capsys.readouterr()
    (found,) = json.loads(out.out)["items"]
    assert (found["outcome"], found["logprobs"], found["json_schema"]) == ("works", True, True)
    assert found["input_usd_per_mtok"] == 0
    assert "asking 1 agent(s)" in out.err


def test_a_missing_key_is_told_without_a_call(
    home: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert agents_command.check(home, ["gpt-4.1"], as_json=False) == 3
    out = capsys.readouterr()
    assert "set environment variable OPENAI_API_KEY" in out.out
    assert "asking" not in out.err


def test_the_command_pulls_for_real_and_removes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fresh = Settings(home=tmp_path)
    models_command.pull(fresh, [NAME])
    out = capsys.readouterr()
    path = Path(out.out.strip())
    assert path.stat().st_size == 98_362_432
    assert "licence: Apache-2.0" in out.err
    assert "from " in out.err
    assert pull(NAME, fresh.models, Silent()) == path
    models_command.rm(fresh, NAME)
    assert not path.exists()
