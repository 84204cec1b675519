"""How one call is asked: the only owner of retries, of the wait between them, and of a seat's slots.

`asker` turns a model into "wish -> turn": each attempt's intent is on record before its request leaves,
its answer after it came. What the provider refuses for good becomes the turn's outcome; what may pass
is tried again; what does not pass in time is raised and ends the session with its reason, asked again
when the round is resumed. Every retry below this (LiteLLM, SDKs, Ray) is off.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from aaa.errors import OF_THE_REQUEST, TRANSIENT, AAAError, ModelError
from aaa.models import Model, Request
from aaa.scenario import AgentCard, Price
from aaa.types import Call, ChoiceShape, Failure, Message, Messages, Reply, Turn, Value

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


class Attempt(NamedTuple):
    """An intent on record."""

    number: int
    """1, 2, … of this call, over all processes that ever tried it."""
    reserved_usd: float


class RoundStopped(AAAError):
    """The round is paused, cancelled or at its budget: no call begins."""


class LeaseLost(AAAError):
    """Another runner owns the session now."""


class Journal(Protocol):
    """What asking needs put on record; `store.journal` does it in PostgreSQL."""

    async def begin(self, wish: Wish, worst_usd: float) -> Attempt | Turn:
        """Record the intent and reserve its worst cost; or the turn, where one is on record.

        Raises `RoundStopped` or `LeaseLost`, and then nothing is recorded.
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


Ask = Callable[[Wish], Awaitable[Turn]]


def asker(
    card: AgentCard,
    model: Model,
    journal: Journal,
    price: Price | None,
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Ask:
    """Ask `model` as its card allows: at most `limits.concurrency` calls in flight here."""
    slots = asyncio.Semaphore(card.limits.concurrency)

    async def ask(wish: Wish) -> Turn:
        request = request_of(card, wish)
        worst_usd = worst_cost_usd(request, price)
        tries = 0
        while True:
            async with slots:
                begun = await journal.begin(wish, worst_usd)
                if isinstance(begun, Turn):
                    return begun
                tries += 1
                try:
                    turn = await _attempt(model, request, wish)
                except ModelError as error:
                    wait_s = retry_in_s(error, tries, card.limits.attempts)
                    await journal.fail(wish, begun, error, wait_s)
                    if wait_s is None:
                        raise
                else:
                    return await journal.answer(wish, begun, turn)
            await sleep(wait_s)

    return ask


async def _attempt(model: Model, request: Request, wish: Wish) -> Turn:
    """One request. A refusal of this very request is a turn with a `failure`; others are raised."""
    began = time.monotonic()
    failure = None
    try:
        reply = clean(await model.complete(request))
    except ModelError as error:
        if error.kind not in OF_THE_REQUEST:
            raise
        reply = Reply(text="", finish_reason="other")
        failure = Failure(kind=error.kind, message=str(error))
    latency_s = round(time.monotonic() - began, 6)
    return Turn(index=wish.index, call=wish.call, reply=reply, failure=failure, latency_s=latency_s)


def retry_in_s(error: ModelError, tries: int, attempts: int) -> float | None:
    """Seconds to wait before the next attempt, or `None` to give up.

    Exponential with full jitter (0.5 s doubling up to a minute); never earlier than the provider asked.
    """
    if error.kind not in TRANSIENT or tries >= attempts:
        return None
    ours = random.uniform(0.1, min(LONGEST_WAIT_S, 0.5 * 2**tries))
    return max(ours, error.retry_after_s or 0.0)


def request_of(card: AgentCard, wish: Wish) -> Request:
    """The wish as this agent is asked it: persona first, call's sampling over the card's."""
    call = wish.call
    return Request(
        messages=with_persona(card.persona, call.messages),
        sampling=call.sampling.over(card.sampling),
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


def worst_cost_usd(request: Request, price: Price | None) -> float:
    """The most one attempt can cost: a token is at least a byte. 0 where the price is unknown."""
    if price is None:
        return 0.0
    prompt_bytes = sum(len(m.content.encode()) + 16 for m in request.messages)
    longest = 1 if isinstance(request.shape, ChoiceShape) else request.sampling.max_tokens or 4096
    return price.cost_usd(prompt_bytes, longest)


def clean(reply: Reply) -> Reply:
    """The reply as PostgreSQL and JSON can hold it: NUL and lone surrogates become U+FFFD."""
    text = reply.text.replace("\0", "\ufffd")
    return reply.model_copy(update={"text": text.encode("utf-8", "replace").decode()})
