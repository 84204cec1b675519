"""How one call is asked: the only owner of retries, and of the wait between them.

`asker` turns a model into "wish -> turn": it waits at the model's gate, where a long wait is told, then each
attempt's intent is on record before its request leaves, and its answer after it came. What the provider
refuses for good becomes the turn's outcome; what may pass is tried again; what does not pass in time is
raised and ends the session with its reason, asked again when the round is resumed. Every retry below this
(LiteLLM, SDKs, Ray) is off.
"""

import asyncio
import contextlib
import json
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Literal, NamedTuple, Protocol
from weakref import WeakValueDictionary

from aaa.clean import storable
from aaa.errors import OF_THE_ACCOUNT, OF_THE_REQUEST, TRANSIENT, AAAError, ModelError
from aaa.failpoints import hit, hit_soon
from aaa.gate import LONG_S, Gate, Held, RoundStopped
from aaa.here import work_for
from aaa.models import Model, Request
from aaa.pace import Ticket, Wait, heeded_s
from aaa.scenario import MOST_USD, USUAL_TOKENS, AgentCard, Limits, Price
from aaa.types import (
    Call,
    ChoiceShape,
    Failure,
    JsonShape,
    Message,
    Messages,
    Reply,
    Sampling,
    Turn,
    Value,
)

LONGEST_WAIT_S = 60.0
"""Longest wait we choose ourselves; what a provider asks for (Retry-After) is obeyed at any length."""


class Wish(Value):
    """A call of a certain session, to be granted once."""

    round: str
    session: int
    epoch: int
    """Which claim of the session asks: answers to an older one do not advance it."""
    index: int
    call: Call
    sampling_seed: int


class Amount(Value):
    """What an attempt costs, or could at most."""

    usd: float
    tokens: int
    """Prompt and reply together."""


class Attempt(Value):
    """An intent on record."""

    number: int
    """1, 2, … of this call, over all processes that ever tried it."""
    reserved: Amount


class LeaseLost(AAAError):
    """Another runner owns the session now."""


class NoRoom(RoundStopped):
    """The budget has room for the call, but not while others' worst costs are reserved beside it."""


class Journal(Protocol):
    """What asking needs put on record; `store.journal` does it in PostgreSQL."""

    async def waits(self, wish: Wish, why: str, opens_in_s: float | None) -> None:
        """Tell that the call has waited for a while and is not begun. Raises `LeaseLost`.

        `why`: a word, as `pace.State`, or `starting`: its model loads; or `budget`: calls in flight may need
        what is left. `opens_in_s`: when the next call may begin; `None`: nobody knows.
        """
        ...

    async def begin(self, wish: Wish, worst: Amount, within_s: float) -> Attempt | Turn:
        """Record the intent and reserve its worst cost; or the turn, where one is on record.

        `within_s`: an attempt not closed for so long is nobody's. Raises `RoundStopped`, `NoRoom` where it
        is to be tried again, or `LeaseLost`, and then nothing is recorded.
        """
        ...

    async def answer(self, wish: Wish, attempt: Attempt, turn: Turn) -> Turn:
        """Record the turn and settle its cost; gives the one on record, whoever was first."""
        ...

    async def fail(
        self, wish: Wish, attempt: Attempt, error: ModelError, retry_in_s: float | None
    ) -> None:
        """Record that an attempt brought nothing, and whether another follows."""
        ...

    async def abandon(self, wish: Wish, attempt: Attempt, *, asked: bool) -> None:
        """Record that an attempt was broken off: what it reserved counts as spent, if it was asked."""
        ...


Ask = Callable[[Wish], Awaitable[Turn]]


class Decision(NamedTuple):
    """What to do after an attempt that brought nothing."""

    do: Literal["retry", "give_up", "hold"]
    """`hold`: nobody should ask this model before a person looks."""
    wait_s: float = 0.0
    own_s: float = 0.0
    """How much of the wait nobody asked for: it counts towards the deadline."""


class Nothing(NamedTuple):
    """An attempt that brought no turn."""

    attempt: Attempt
    error: ModelError
    took_s: float


def decide(
    error: ModelError,
    limits: Limits,
    *,
    tries: int,
    asked_for_s: float,
    held_s: float,
    dead: bool,
    chance: float,
) -> Decision:
    """What becomes of a call: pure, so that every rule can be read off a table in its test.

    `tries`: attempts so far that counted, this one included where it does (`counts`). `asked_for_s`: what its
    attempts and our own waits between them took, without the gate's queue and Retry-After. `held_s`: how
    long the gate still holds off after a 429 that said nothing. `dead`: the provider answers nobody, so its
    gate decides when to try. `chance`: from 0 to 1, spreads the waits: exponential with full jitter, 0.5 s
    doubling up to a minute.
    """
    if error.kind in OF_THE_ACCOUNT:
        return Decision("hold")
    if error.kind not in TRANSIENT:
        return Decision("give_up")
    if dead:
        return Decision("retry", 0.1 * chance)
    if counts(error) and tries >= limits.attempts:
        return Decision("give_up")
    ours_s = 0.1 + chance * min(LONGEST_WAIT_S, 0.5 * 2 ** min(tries, 10))
    if (asked_s := heeded_s(error)) is not None:
        again, wait_s = Decision("retry", asked_s + 0.1 * ours_s), 0.0
    elif counts(error):
        again, wait_s = Decision("retry", ours_s, own_s=ours_s), ours_s
    else:
        again, wait_s = Decision("retry", held_s + 0.1 * chance), held_s
    return Decision("give_up") if asked_for_s + wait_s > limits.deadline_s else again


def counts(error: ModelError) -> bool:
    """Whether an attempt that ended so is one of the card's `attempts`: a 429 was never looked at."""
    return error.kind != "rate_limited"


class Asker:
    """Asks one card's model as the card allows."""

    def __init__(
        self,
        card: AgentCard,
        model: Model,
        journal: Journal,
        price: Price | None,
        gate: Gate,
        *,
        sleep: Callable[[str, float], Awaitable[None]] | None = None,
    ) -> None:
        """`sleep`: (round, seconds); by default the gate's, which a stopped round cuts short."""
        self.card, self.model, self.journal = card, model, journal
        self.price, self.gate = price, gate
        self.sleep = sleep or gate.sleep
        self._lines: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """Round -> the line of its calls that wait for room in its budget, while there is one."""

    async def __call__(self, wish: Wish) -> Turn:
        """Grant a wish. Raises `ModelError`, `RoundStopped`, `LeaseLost`, `Held`, `StoreError`."""
        work_for(
            wish.round, wish.session, wish.epoch, wish.index, wish.call.seat, wish.call.purpose
        )
        request = request_of(self.card, wish)
        worst = Amount(usd=worst_cost_usd(request, self.price), tokens=worst_tokens(request))
        tries, asked_for_s = 0, 0.0
        ticket = await self._enter(wish, request)
        while True:
            got = await self._once(wish, request, worst, ticket)
            if isinstance(got, Turn):
                return got
            attempt, error, took_s = got
            dead = self.gate.pace.breaker.since is not None
            tries += counts(error) and not dead
            asked_for_s += took_s
            decision = decide(
                error,
                self.card.limits,
                tries=tries,
                asked_for_s=asked_for_s,
                held_s=self.gate.pace.backoff.wait_s(self.gate.clock()),
                dead=dead,
                chance=random.random(),
            )
            again_in_s = decision.wait_s if decision.do == "retry" else None
            await self.journal.fail(wish, attempt, error, again_in_s)
            if decision.do == "hold":
                raise Held(error.kind, str(error))
            if decision.do == "give_up":
                raise error
            ticket, waited_s = await self._wait(wish, request, decision)
            asked_for_s += waited_s

    async def _enter(self, wish: Wish, request: Request) -> Ticket:
        """A ticket from the gate; a long wait there is told."""

        async def tell(wait: Wait) -> None:
            await self.journal.waits(wish, wait.state, None if math.isinf(wait.s) else wait.s)

        return await self.gate.enter(wish.round, expected_tokens(request), tell)

    async def _wait(self, wish: Wish, request: Request, decision: Decision) -> tuple[Ticket, float]:
        """The ticket of the next attempt, and how many of the seconds until then were our choice."""
        backoff, clock = self.gate.pace.backoff, self.gate.clock
        before_s = backoff.past_s(clock())
        await self.sleep(wish.round, decision.wait_s)
        ticket = await self._enter(wish, request)
        return ticket, decision.own_s + backoff.past_s(clock()) - before_s

    async def _begin(
        self, wish: Wish, request: Request, worst: Amount, ticket: Ticket
    ) -> tuple[Attempt, Ticket] | Turn:
        """As `_intend`; where calls in flight may need what is left of a budget, it waits until they do not.

        One call of a round tries, the others stand in line behind it: however many wait, a full budget is
        looked at about once every `ROOM_S`.
        """
        line = self._lines.setdefault(wish.round, asyncio.Lock())
        if line.locked():
            self.gate.unused(ticket)
        else:
            with contextlib.suppress(NoRoom):
                return await self._intend(wish, request, worst, ticket)
        async with self._told(wish), line:
            while True:
                ticket = await self._enter(wish, request)
                with contextlib.suppress(NoRoom):
                    return await self._intend(wish, request, worst, ticket)
                await self.sleep(wish.round, ROOM_S)

    @contextlib.asynccontextmanager
    async def _told(self, wish: Wish) -> AsyncIterator[None]:
        """A long wait for room in the budget is told."""

        async def tell() -> None:
            await asyncio.sleep(LONG_S)
            with contextlib.suppress(LeaseLost):  # whoever begins it will hear of that
                await self.journal.waits(wish, "budget", None)

        telling = asyncio.create_task(tell())
        try:
            yield
        finally:
            telling.cancel()

    async def _intend(
        self, wish: Wish, request: Request, worst: Amount, ticket: Ticket
    ) -> tuple[Attempt, Ticket] | Turn:
        """The intent on record with the ticket it may be asked by; or the turn, where one is on record.

        Where the provider meanwhile asks for a long wait, the intent is ended and the call waits at the gate.
        """
        within_s = self.card.limits.timeout_s + GRACE_S
        while True:
            begun: Attempt | Turn | None = None
            try:
                begun = await self.journal.begin(wish, worst, within_s)
                if isinstance(begun, Attempt):
                    hit("begin.after")
                    if await self.gate.unheld(wish.round):
                        return begun, ticket
            except BaseException as stopped:
                self.gate.unused(ticket)
                if isinstance(stopped, RoundStopped) and isinstance(begun, Attempt):
                    await self.journal.abandon(wish, begun, asked=False)
                raise
            self.gate.unused(ticket)
            if isinstance(begun, Turn):
                return begun
            await self.journal.abandon(wish, begun, asked=False)
            ticket = await self._enter(wish, request)

    async def _once(
        self, wish: Wish, request: Request, worst: Amount, ticket: Ticket
    ) -> Turn | Nothing:
        """One attempt: the turn on record, or why there is none. The ticket goes back in any case."""
        call = (wish.session, wish.index)
        found = await self._begin(wish, request, worst, ticket)
        if isinstance(found, Turn):
            return found
        begun, ticket = found
        try:
            asked_at = self.gate.clock()
            turn = await self.gate.carry(wish.round, _attempt(self.model, request, wish))
        except ModelError as error:
            self.gate.leave(ticket, call, error, None)
            return Nothing(begun, error, self.gate.clock() - asked_at)
        except RoundStopped:
            self.gate.gone(ticket)
            await self.journal.abandon(wish, begun, asked=True)
            raise
        except BaseException:
            self.gate.gone(ticket)
            raise
        self.gate.leave(ticket, call, None, tokens_of(turn.reply))
        hit("answer.read")
        recorded = await self.journal.answer(wish, begun, turn)
        hit("answer.after")
        return recorded


ROOM_S = 0.25
"""How often a call that waits for room in its round's budget tries to begin."""
GRACE_S = 60.0
"""How much later than its own time limit an attempt is still waited for before it counts as abandoned."""


async def _attempt(model: Model, request: Request, wish: Wish) -> Turn:
    """One request. A refusal of this very request is a turn with a `failure`; others are raised."""
    began = time.monotonic()
    failure = None
    hit_soon("request.sent")
    try:
        reply = clean(await model.complete(request))
    except ModelError as error:
        if error.kind not in OF_THE_REQUEST:
            raise
        reply = Reply(text="", finish_reason="other")
        failure = Failure(kind=error.kind, message=str(error))
    latency_s = round(time.monotonic() - began, 6)
    return Turn(index=wish.index, call=wish.call, reply=reply, failure=failure, latency_s=latency_s)


def request_of(card: AgentCard, wish: Wish) -> Request:
    """The wish as this agent is asked it: persona first, call's sampling over the card's, always bounded."""
    call = wish.call
    return Request(
        messages=with_persona(card.persona, call.messages),
        sampling=call.sampling.over(card.sampling).over(Sampling(max_tokens=USUAL_TOKENS)),
        shape=call.shape,
        seed=wish.sampling_seed,
    )


def with_persona(persona: str | None, messages: Messages) -> Messages:
    """The persona as system message; joined to the call's own, since many templates take only one."""
    if not persona:
        return messages
    first, *rest = messages
    if first.role == "system":
        return (Message(role="system", content=f"{persona}\n\n{first.content}"), *rest)
    return (Message(role="system", content=persona), *messages)


def worst_tokens(request: Request) -> int:
    """The most tokens one attempt can take: a token is at least a byte."""
    return _prompt_bytes(request) + TEMPLATE_TOKENS + longest_reply(request)


def expected_tokens(request: Request) -> int:
    """About how many tokens an attempt takes, before it is known: four bytes each, the reply half full."""
    return _prompt_bytes(request) // 4 + max(1, longest_reply(request) // 2)


def tokens_of(reply: Reply) -> int | None:
    """Tokens that a reply took, prompt included; `None` where the provider does not tell."""
    if reply.prompt_tokens is None or reply.completion_tokens is None:
        return None
    return reply.prompt_tokens + reply.completion_tokens


def worst_cost_usd(request: Request, price: Price | None) -> float:
    """The most one attempt can cost: a token is at least a byte. 0 where the price is unknown."""
    if price is None:
        return 0.0
    return price.cost_usd(_prompt_bytes(request) + TEMPLATE_TOKENS, longest_reply(request))


TEMPLATE_TOKENS = 512
"""The most that a chat template or a provider puts around the messages and the schema."""


def longest_reply(request: Request) -> int:
    """The most tokens a reply may have."""
    if isinstance(request.shape, ChoiceShape):
        return 1
    return request.sampling.max_tokens or USUAL_TOKENS


def _prompt_bytes(request: Request) -> int:
    """Messages, and the schema that a provider writes into the prompt."""
    shape = request.shape
    schema = json.dumps(shape.fields) if isinstance(shape, JsonShape) else ""
    return sum(len(m.content.encode()) + 16 for m in request.messages) + len(schema)


def clean(reply: Reply) -> Reply:
    """The reply as PostgreSQL and JSON can hold it; figures that cannot be are unknown."""
    counts = {name: _count(getattr(reply, name)) for name in ("prompt_tokens", "completion_tokens")}
    cost = reply.cost_usd
    if cost is not None and not 0 <= cost <= MOST_USD:
        cost = None
    return reply.model_copy(update={"text": storable(reply.text), "cost_usd": cost, **counts})


def _count(tokens: int | None) -> int | None:
    return tokens if tokens is not None and 0 <= tokens < 2**31 else None
