"""Asking: one owner of retries, and nothing asked that is on record."""

import asyncio
from typing import Any

import pytest

from aaa.asking import (
    Amount,
    Asker,
    Attempt,
    Decision,
    NoRoom,
    Wish,
    clean,
    decide,
    expected_tokens,
    request_of,
    with_persona,
    worst_cost_usd,
    worst_tokens,
)
from aaa.errors import FAILURE_KINDS, OF_THE_ACCOUNT, OF_THE_REQUEST, TRANSIENT, ModelError
from aaa.gate import Gate, Held, RoundStopped, Tell
from aaa.models import Request
from aaa.pace import Pace, Ticket
from aaa.scenario import AgentCard, Limits, Price
from aaa.types import Call, JsonShape, Message, Reply, Sampling, Turn
from tests.classroom import user

CARD = AgentCard(name="anna", model="openai/x", family="birch", limits=Limits(attempts=3))
CALL = Call(seat="student", agent="anna", purpose="draft", messages=user("why?"))
TOO_MANY = ModelError("rate_limited", "429")
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

    async def waits(self, wish: Wish, why: str, opens_in_s: float | None) -> None:
        self.lines.append(("waits", why, opens_in_s))

    async def begin(self, wish: Wish, worst: Amount, within_s: float) -> Attempt | Turn:
        if isinstance(self.begun, Exception):
            raise self.begun
        self.lines.append(("begin", worst.usd))
        return self.begun or Attempt(number=len(self.lines), reserved=worst)

    async def answer(self, wish: Wish, attempt: Attempt, turn: Turn) -> Turn:
        self.lines.append(("answer", turn.text, turn.failure and turn.failure.kind))
        return turn

    async def fail(
        self, wish: Wish, attempt: Attempt, error: ModelError, retry_in_s: float | None
    ) -> None:
        self.lines.append(("fail", error.kind, retry_in_s is not None))

    async def abandon(self, wish: Wish, attempt: Attempt, *, asked: bool) -> None:
        self.lines.append(("abandon", asked))


async def asked(model: Script, book: Book) -> Turn:
    gate = Gate(Pace(CARD.limits))
    waited: list[float] = []

    async def sleep(_: str, seconds: float) -> None:
        waited.append(seconds)

    try:
        return await Asker(CARD, model, book, None, gate, sleep=sleep)(WISH)
    finally:
        assert gate.standing().in_flight == 0  # every ticket came back


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


async def test_a_long_wait_at_the_gate_is_told_before_the_call_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aaa.gate.LONG_S", 0.02)
    gate, book = Gate(Pace(CARD.limits)), Book()
    gate.pace.hold_until = gate.clock() + 0.1
    await Asker(CARD, Script("because"), book, None, gate)(WISH)
    assert [line[0] for line in book.lines] == ["waits", "begin", "answer"]
    _, why, opens_in_s = book.lines[0]
    assert why == "holding"
    assert 0 < opens_in_s < 0.1


class Purse(Book):
    """A journal whose budget has room for so many calls in flight, and for so many in all."""

    def __init__(self, at_once: int, in_all: int = 1000) -> None:
        super().__init__()
        self.at_once, self.in_all, self.reserved, self.most, self.vain = at_once, in_all, 0, 0, 0

    async def begin(self, wish: Wish, worst: Amount, within_s: float) -> Attempt | Turn:
        await asyncio.sleep(0)
        if not self.in_all:
            raise RoundStopped("budget_reached")
        if self.reserved == self.at_once:
            self.vain += 1
            raise NoRoom("budget_reached")
        self.in_all -= 1
        self.reserved += 1
        self.most = max(self.most, self.reserved)
        return await super().begin(wish, worst, within_s)

    async def answer(self, wish: Wish, attempt: Attempt, turn: Turn) -> Turn:
        self.reserved -= 1
        return await super().answer(wish, attempt, turn)


class Slowly(Script):
    async def complete(self, request: Request) -> Reply:
        await asyncio.sleep(0.01)
        return Reply(text="because")


def _many(n: int) -> list[Wish]:
    return [WISH.model_copy(update={"index": index}) for index in range(n)]


async def test_calls_wait_while_those_in_flight_may_need_the_rest_of_the_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aaa.asking.ROOM_S", 0.005)
    limits = Limits(attempts=3, concurrency=32)
    gate, book = Gate(Pace(limits)), Purse(at_once=3)
    ask = Asker(CARD, Slowly(), book, None, gate)
    turns = await asyncio.gather(*map(ask, _many(32)))
    assert [turn.index for turn in turns] == list(range(32))
    assert book.most == 3
    # once each at first; then only the first of the line, once a beat
    assert book.vain < 32 + 4 * 32
    assert gate.standing().in_flight == 0
    assert not ask._lines


async def test_who_waits_for_room_hears_that_the_budget_is_reached_or_the_round_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aaa.asking.ROOM_S", 0.005)
    gate, book = Gate(Pace(Limits(concurrency=8))), Purse(at_once=2, in_all=3)
    ask = Asker(CARD, Slowly(), book, None, gate)
    ended = await asyncio.gather(*map(ask, _many(8)), return_exceptions=True)
    assert sum(isinstance(one, Turn) for one in ended) == 3
    assert {str(one) for one in ended if not isinstance(one, Turn)} == {"budget_reached"}
    assert gate.standing().in_flight == 0

    monkeypatch.setattr("aaa.asking.ROOM_S", 60.0)
    asking = asyncio.create_task(Asker(CARD, Slowly(), Purse(at_once=0), None, gate)(WISH))
    while "r" not in gate.rounds:
        await asyncio.sleep(0.001)
    gate.stop("r", "paused", halt=False)
    with pytest.raises(RoundStopped, match="paused"):
        await asyncio.wait_for(asking, 5)


async def test_a_long_wait_for_room_in_the_budget_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aaa.asking.ROOM_S", 0.005)
    monkeypatch.setattr("aaa.asking.LONG_S", 0.03)
    gate, book = Gate(Pace(CARD.limits)), Purse(at_once=0)
    asking = asyncio.create_task(Asker(CARD, Script("because"), book, None, gate)(WISH))
    while not book.lines:
        await asyncio.sleep(0.001)
    book.at_once = 1
    await asking
    assert [line[:2] for line in book.lines[:1]] == [("waits", "budget")]
    assert [line[0] for line in book.lines] == ["waits", "begin", "answer"]


async def test_a_retry_after_that_comes_while_the_intent_is_written_is_obeyed() -> None:
    gate = Gate(Pace(CARD.limits))
    asked_at: list[float] = []

    class Slow(Book):
        async def begin(self, wish: Wish, worst: Amount, within_s: float) -> Attempt | Turn:
            gate.pace.hold_until = gate.clock() + 0.05  # another call of this model met a 429
            return await super().begin(wish, worst, within_s)

    class Clocked(Script):
        async def complete(self, request: Request) -> Reply:
            asked_at.append(gate.clock())
            return await super().complete(request)

    await Asker(CARD, Clocked("because"), Slow(), None, gate)(WISH)
    assert asked_at[0] >= gate.pace.hold_until


async def test_a_long_retry_after_that_comes_while_the_intent_is_written_is_waited_for_at_the_gate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a slot, and with nothing on record that somebody would have to sweep."""
    monkeypatch.setattr("aaa.gate.LONG_S", 0.02)
    gate = Gate(Pace(CARD.limits))

    class Slow(Book):
        async def begin(self, wish: Wish, worst: Amount, within_s: float) -> Attempt | Turn:
            if not self.lines:
                gate.pace.hold_until = gate.clock() + 0.2  # another call of this model met a 429
            return await super().begin(wish, worst, within_s)

        async def waits(self, wish: Wish, why: str, opens_in_s: float | None) -> None:
            assert gate.standing().in_flight == 0
            await super().waits(wish, why, opens_in_s)

    book, model = Slow(), Script("because")
    assert (await Asker(CARD, model, book, None, gate)(WISH)).text == "because"
    assert [line[0] for line in book.lines] == ["begin", "abandon", "waits", "begin", "answer"]
    assert book.lines[1] == ("abandon", False)
    assert (len(model.requests), gate.standing().in_flight) == (1, 0)


async def test_a_round_that_stops_while_a_call_waits_out_a_429_has_not_made_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def stopped(_: Gate, round_id: str) -> None:
        raise RoundStopped("paused")

    monkeypatch.setattr(Gate, "unheld", stopped)
    book, model = Book(), Script("never asked for")
    with pytest.raises(RoundStopped):
        await asked(model, book)
    assert [line[0] for line in book.lines] == ["begin", "abandon"]
    assert book.lines[-1] == ("abandon", False)
    assert not model.requests


@pytest.mark.parametrize("tokens", [-1, 2**31, 2**63])
def test_figures_that_cannot_be_are_unknown(tokens: int) -> None:
    told = clean(Reply(text="x", prompt_tokens=tokens, completion_tokens=tokens, cost_usd=-0.5))
    assert (told.prompt_tokens, told.completion_tokens, told.cost_usd) == (None, None, None)
    assert clean(Reply(text="x", cost_usd=float("nan"))).cost_usd is None
    sound = Reply(text="x", prompt_tokens=3, completion_tokens=0, cost_usd=0.0)
    assert clean(sound) == sound


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


async def test_a_wrong_key_holds_the_model_and_is_not_tried_twice() -> None:
    model, book = Script(ModelError("auth", "bad key")), Book()
    with pytest.raises(Held, match="bad key"):
        await asked(model, book)
    assert len(model.requests) == 1
    assert book.lines[-1] == ("fail", "auth", False)


async def clocked(queue_s: float, took_s: float, *acts: str | ModelError) -> Turn:
    """Asked by a clock of the test's own, with so long a queue and so slow a provider."""
    now = [0.0]

    class Queue(Gate):
        async def enter(self, round_id: str, tokens: int, tell: Tell | None = None) -> Ticket:
            now[0] += queue_s
            return await super().enter(round_id, tokens, tell)

    class Slow(Script):
        async def complete(self, request: Request) -> Reply:
            now[0] += took_s
            return await super().complete(request)

    async def sleep(_: str, seconds: float) -> None:
        now[0] += seconds

    gate = Queue(Pace(CARD.limits), clock=lambda: now[0])
    return await Asker(CARD, Slow(*acts), Book(), None, gate, sleep=sleep)(WISH)


async def test_a_429_is_no_attempt_of_the_calls() -> None:
    """With 3 attempts allowed, ten 429s end in an answer."""
    assert (await clocked(0, 0, *[TOO_MANY] * 10, "ok")).text == "ok"


@pytest.mark.parametrize("told", [TOO_MANY, ModelError("rate_limited", "429", retry_after_s=0)])
async def test_429s_without_a_time_to_come_back_end_with_the_deadline(told: ModelError) -> None:
    """In 900 s, with waits of 0.5, 1, 2 … 60 s between them, no more than 21 requests."""
    with pytest.raises(ModelError, match="429"):
        await clocked(0, 0, *[told] * 21, "late")


async def test_waits_of_the_gates_own_count_where_another_call_met_the_429() -> None:
    now = [0.0]
    gate = Gate(Pace(CARD.limits), clock=lambda: now[0])

    async def sleep(_: str, seconds: float) -> None:
        for _other in range(20):
            now[0] += gate.pace.backoff.wait_s(now[0])
            gate.pace.ended(now[0], gate.pace.began(now[0], 1), "another", TOO_MANY, None)
        now[0] += gate.pace.backoff.wait_s(now[0])

    with pytest.raises(ModelError, match="429"):
        await Asker(CARD, Script(TOO_MANY, TOO_MANY), Book(), None, gate, sleep=sleep)(WISH)


async def test_the_deadline_leaves_out_the_queue_and_what_the_provider_asked_for() -> None:
    late = CARD.limits.deadline_s
    failed = ModelError("server", "500")
    held = ModelError("rate_limited", "429", retry_after_s=2 * late)
    assert (await clocked(late, 1, failed, "ok")).text == "ok"
    assert (await clocked(0, 1, held, failed, "ok")).text == "ok"
    with pytest.raises(ModelError, match="500"):
        await clocked(0, late, failed, "ok")


async def test_a_dead_providers_failures_are_not_held_against_the_call() -> None:
    gate = Gate(Pace(CARD.limits))
    now = gate.clock()
    for call in range(5):
        ticket = gate.pace.began(now, 1)
        gate.pace.ended(now, ticket, call, ModelError("unreachable", "gone"), None)
    assert gate.standing().state == "down"

    async def sleep(_: str, seconds: float) -> None:
        gate.pace.breaker.forgive(gate.clock())  # the next probe is due

    gate.pace.breaker.forgive(gate.clock())
    model = Script(*(ModelError("unreachable", "gone") for _ in range(9)), "back")
    turn = await Asker(CARD, model, Book(), None, gate, sleep=sleep)(WISH)
    assert turn.text == "back"
    assert gate.standing().state == "open"


def decided(error: ModelError, **given: Any) -> Decision:
    rest: dict[str, Any] = {
        "tries": 1,
        "asked_for_s": 0.0,
        "held_s": 0.0,
        "dead": False,
        "chance": 0.5,
    }
    return decide(error, CARD.limits, **(rest | given))


@pytest.mark.parametrize("kind", FAILURE_KINDS)
def test_every_kind_is_decided(kind: Any) -> None:
    wanted = "retry" if kind in TRANSIENT else "hold" if kind in OF_THE_ACCOUNT else "give_up"
    assert decided(ModelError(kind, "")).do == wanted
    assert sum(kind in kinds for kinds in (TRANSIENT, OF_THE_ACCOUNT, OF_THE_REQUEST)) == 1


def test_it_gives_up_after_the_attempts_unless_nobody_is_answered() -> None:
    assert decided(ModelError("server", ""), tries=3).do == "give_up"
    assert decided(ModelError("server", ""), tries=3, dead=True).do == "retry"
    assert decided(ModelError("rate_limited", ""), tries=3).do == "retry"


def test_it_gives_up_after_the_deadline() -> None:
    late = CARD.limits.deadline_s
    assert decided(ModelError("server", ""), asked_for_s=late).do == "give_up"
    assert decided(TOO_MANY, asked_for_s=late - 5, held_s=8).do == "give_up"
    for asked_s in (0, 0.5, 30):
        error = ModelError("rate_limited", "", retry_after_s=asked_s)
        assert decided(error, asked_for_s=late + 1).do == "give_up"


def test_retry_after_is_obeyed_at_any_length() -> None:
    error = ModelError("rate_limited", "", retry_after_s=36_000)
    decision = decided(error, asked_for_s=CARD.limits.deadline_s - 1)
    assert decision.do == "retry"
    assert decision.wait_s >= 36_000


def test_waits_grow_and_end_at_a_minute() -> None:
    patient = Limits(attempts=100)
    waits = [
        decide(
            ModelError("server", ""),
            patient,
            tries=n,
            asked_for_s=0,
            held_s=0,
            dead=False,
            chance=0.5,
        ).wait_s
        for n in range(0, 40, 4)
    ]
    assert waits == sorted(waits)
    assert waits[0] < 1
    assert waits[-1] <= 61


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
    assert expected_tokens(request) <= worst_tokens(request)


def test_every_request_limits_the_reply_and_that_is_reserved() -> None:
    card = CARD.model_copy(update={"sampling": Sampling(temperature=0.7)})
    request = request_of(card, WISH)
    assert request.sampling == Sampling(temperature=0.7, max_tokens=1024)
    assert worst_tokens(request) == len(b"why?") + 16 + 512 + 1024


def test_the_schema_and_the_chat_template_are_part_of_the_worst() -> None:
    price = Price(input_usd_per_mtok=3, output_usd_per_mtok=15)
    fields = {
        "type": "object",
        "properties": {"why": {"type": "string", "description": "x" * 5000}},
    }
    shaped = CALL.model_copy(update={"shape": JsonShape(name="s", fields=fields)})
    bare, request = (request_of(CARD, WISH.model_copy(update={"call": c})) for c in (CALL, shaped))
    assert worst_tokens(request) >= worst_tokens(bare) + 5000
    assert worst_cost_usd(request, price) >= worst_cost_usd(bare, price) + price.cost_usd(5000, 0)
    assert worst_cost_usd(bare, price) >= price.cost_usd(512, 1024)


def test_what_postgres_cannot_hold_is_replaced() -> None:
    assert clean(Reply(text="a\0b\ud800c")).text == "a\ufffdb\ufffdc"
