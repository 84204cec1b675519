"""Asking: one owner of retries, and nothing asked that is on record."""

from typing import Any

import pytest

from aaa.asking import (
    Attempt,
    RoundStopped,
    Wish,
    asker,
    clean,
    request_of,
    retry_in_s,
    with_persona,
    worst_cost_usd,
)
from aaa.errors import FAILURE_KINDS, OF_THE_REQUEST, TRANSIENT, ModelError
from aaa.models import Request
from aaa.scenario import AgentCard, Limits, Price
from aaa.types import Call, Message, Reply, Sampling, Turn
from tests.classroom import user

CARD = AgentCard(name="anna", model="openai/x", family="birch", limits=Limits(attempts=3))
CALL = Call(seat="student", agent="anna", purpose="draft", messages=user("why?"))
WISH = Wish(round="r", session=1, epoch=1, index=0, call=CALL, sampling_seed=7)


class Script:
    """A model that does what it is told, in order: a text, or an error to raise."""

    def __init__(self, *acts: str | ModelError) -> None:
        self.acts = list(acts)
        self.requests: list[Request] = []

    async def complete(self, request: Request) -> Reply:
        self.requests.append(request)
        act = self.acts.pop(0)
        if isinstance(act, ModelError):
            raise act
        return Reply(text=act)

    async def close(self) -> None: ...


class Book:
    """A journal on a page."""

    def __init__(self, begun: Attempt | Turn | Exception | None = None) -> None:
        self.begun = begun
        self.lines: list[tuple[Any, ...]] = []

    async def begin(self, wish: Wish, worst_usd: float) -> Attempt | Turn:
        if isinstance(self.begun, Exception):
            raise self.begun
        self.lines.append(("begin", worst_usd))
        return self.begun or Attempt(len(self.lines), worst_usd)

    async def answer(self, wish: Wish, attempt: Attempt, turn: Turn) -> Turn:
        self.lines.append(("answer", turn.text, turn.failure and turn.failure.kind))
        return turn

    async def fail(
        self, wish: Wish, attempt: Attempt, error: ModelError, retry_in_s: float | None
    ) -> None:
        self.lines.append(("fail", error.kind, retry_in_s is not None))


async def asked(model: Script, book: Book) -> Turn:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    return await asker(CARD, model, book, None, sleep=sleep)(WISH)


async def test_an_answer_is_recorded_after_its_intent() -> None:
    book = Book()
    turn = await asked(Script("because"), book)
    assert turn.text == "because"
    assert [line[0] for line in book.lines] == ["begin", "answer"]


async def test_a_recorded_turn_is_not_asked_again() -> None:
    model = Script()
    old = Turn(index=0, call=CALL, reply=Reply(text="old"))
    assert await asked(model, Book(old)) == old
    assert model.requests == []


async def test_a_stopped_round_asks_nothing() -> None:
    model = Script()
    with pytest.raises(RoundStopped):
        await asked(model, Book(RoundStopped("paused")))
    assert model.requests == []


async def test_what_may_pass_is_tried_again() -> None:
    book = Book()
    model = Script(ModelError("server", "500"), ModelError("timeout", "slow"), "ok")
    assert (await asked(model, book)).text == "ok"
    assert [line[0] for line in book.lines] == ["begin", "fail", "begin", "fail", "begin", "answer"]


async def test_it_gives_up_after_the_cards_attempts() -> None:
    book = Book()
    with pytest.raises(ModelError, match="third"):
        await asked(Script(*(ModelError("server", n) for n in ("first", "second", "third"))), book)
    assert book.lines[-1] == ("fail", "server", False)


async def test_a_refusal_of_the_request_is_the_turns_outcome() -> None:
    book = Book()
    turn = await asked(Script(ModelError("content_filter", "no")), book)
    assert turn.failure is not None
    assert turn.failure.kind == "content_filter"
    assert book.lines[-1] == ("answer", "", "content_filter")


async def test_a_wrong_key_is_not_tried_twice() -> None:
    model = Script(ModelError("auth", "bad key"))
    with pytest.raises(ModelError):
        await asked(model, Book())
    assert len(model.requests) == 1


@pytest.mark.parametrize("kind", FAILURE_KINDS)
def test_every_kind_is_decided(kind: Any) -> None:
    wait = retry_in_s(ModelError(kind, ""), 1, 5)
    assert (wait is not None) == (kind in TRANSIENT)
    assert not (kind in TRANSIENT and kind in OF_THE_REQUEST)


def test_retry_after_is_obeyed_at_any_length() -> None:
    error = ModelError("rate_limited", "", retry_after_s=3600)
    assert retry_in_s(error, 1, 5) == 3600
    assert retry_in_s(error, 5, 5) is None


def test_persona_comes_first_and_only_once() -> None:
    chat = user("hi")
    assert with_persona(None, chat) == chat
    assert with_persona("P", chat)[0] == Message(role="system", content="P")
    merged = with_persona("P", (Message(role="system", content="S"), *chat))
    assert [m.role for m in merged] == ["system", "user"]
    assert merged[0].content == "P\n\nS"


def test_the_calls_sampling_goes_over_the_cards() -> None:
    call = CALL.model_copy(update={"sampling": Sampling(max_tokens=5)})
    request = request_of(CARD, WISH.model_copy(update={"call": call}))
    assert request.sampling.max_tokens == 5
    assert request.sampling.temperature == 0.7


def test_the_worst_cost_is_never_below_the_real_one() -> None:
    price = Price(input_usd_per_mtok=3, output_usd_per_mtok=15)
    request = request_of(CARD, WISH)
    assert worst_cost_usd(request, price) >= price.cost_usd(len(b"why?"), 1024)
    assert worst_cost_usd(request, None) == 0


def test_what_postgres_cannot_hold_is_replaced() -> None:
    assert clean(Reply(text="a\0b\ud800c")).text == "a\ufffdb?c"
