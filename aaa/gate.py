"""Who may begin a call of one model next: fair between rounds, first come first served within one.

One gate stands before each model, in its seat, so its limits hold for the whole cluster. Who waits here holds
no slot and has no intent on record. What may begin when is decided by `pace.py`.
"""

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from aaa.errors import AAAError, ModelError
from aaa.pace import Pace, State, Ticket, Wait

T = TypeVar("T")

LONG_S = 1.0
"""A call that waits for so long is told about."""
Tell = Callable[[Wait], Awaitable[None]]
"""What it waits for -> told."""


class RoundStopped(AAAError):
    """The round is paused, cancelled or at its budget: no call begins. Its text is the reason."""


class Held(AAAError):
    """The model can be asked by nobody until a person looks: a wrong key, no such model, a dead provider.

    `reason` is a word for machines, the text a sentence for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Standing(NamedTuple):
    """A gate at a moment."""

    state: State
    in_flight: int
    limit: int
    """Calls that may be in flight now; the card's concurrency, or less after a 429."""
    waiting: int
    wait_s: float | None
    """Seconds until the next one may begin; `None`: when one in flight ends."""
    why: str
    """What the provider said, where it is dead."""
    waited_s: float = 0.0
    """How long all calls that were let in had waited here, summed."""


class _Waiter(NamedTuple):
    entered: "asyncio.Future[Ticket]"
    tokens: int
    since: float


class Gate:
    """One model's calls: who waits, who is in flight."""

    def __init__(self, pace: Pace, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.pace = pace
        self.clock = clock
        self._waiting: dict[str, deque[_Waiter]] = {}  # round -> its waiters; rounds take turns
        self._sleeping: dict[str, set[asyncio.Future[None]]] = {}
        self._in_flight: dict[str, set[asyncio.Future[Any]]] = {}
        self._closed: str | None = None
        self._waited_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def rounds(self) -> set[str]:
        """Rounds that wait, sleep between attempts, or have calls in flight here."""
        return {*self._waiting, *self._sleeping, *self._in_flight}

    def standing(self) -> Standing:
        """How it stands now."""
        wait = self._next()
        return Standing(
            state=wait.state,
            in_flight=self.pace.concurrency.in_flight,
            limit=int(self.pace.concurrency.limit),
            waiting=sum(map(len, self._waiting.values())),
            wait_s=None if math.isinf(wait.s) else wait.s,
            why=self.pace.breaker.why if wait.state == "down" else "",
            waited_s=self._waited_s,
        )

    async def enter(self, round_id: str, tokens: int, tell: Tell | None = None) -> Ticket:
        """Wait until a call of that round may begin. Raises `RoundStopped`, `Held`, and what `tell` raises.

        `tell` is awaited once, with what is waited for, where that takes longer than `LONG_S`; until it is
        done the call does not begin. Each ticket must come back, by `leave`, `gone` or `unused`.
        """
        if self._closed is not None:
            raise RoundStopped(self._closed)
        waiter = _Waiter(asyncio.get_running_loop().create_future(), tokens, self.clock())
        self._waiting.setdefault(round_id, deque()).append(waiter)
        self._pump()
        try:
            if tell is not None and not waiter.entered.done():
                entered, _ = await asyncio.wait({waiter.entered}, timeout=LONG_S)
                if not entered:
                    await tell(self._next())
            return await waiter.entered
        except BaseException:
            mine = waiter.entered
            if not mine.cancel() and not mine.cancelled() and mine.exception() is None:
                self.unused(mine.result())
            raise

    def leave(
        self, ticket: Ticket, call: object, error: ModelError | None, tokens: int | None
    ) -> None:
        """A call came home, with what it used, or failed."""
        self.pace.ended(self.clock(), ticket, call, error, tokens)
        self._pump()

    def gone(self, ticket: Ticket) -> None:
        """A call was broken off."""
        self.pace.gone(ticket)
        self._pump()

    def unused(self, ticket: Ticket) -> None:
        """A ticket comes back: nothing was asked."""
        self.pace.unused(self.clock(), ticket)
        self._pump()

    async def carry(self, round_id: str, work: Awaitable[T]) -> T:
        """Await a round's request, so that `halt` can break it off. Raises `RoundStopped` then."""
        task: asyncio.Future[T] = asyncio.ensure_future(work)
        mine = self._in_flight.setdefault(round_id, set())
        mine.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            raise RoundStopped("halted") from None
        finally:
            mine.discard(task)
            if not mine:
                self._in_flight.pop(round_id, None)

    async def sleep(self, round_id: str, s: float) -> None:
        """Wait, holding nothing, until a retry is due. Raises `RoundStopped` when the round is stopped."""
        if self._closed is not None:
            raise RoundStopped(self._closed)
        sleeping: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        mine = self._sleeping.setdefault(round_id, set())
        mine.add(sleeping)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(sleeping, s)
        finally:
            mine.discard(sleeping)
            if not mine:
                self._sleeping.pop(round_id, None)

    async def unheld(self, round_id: str) -> bool:
        """Wait out a 429 that came while a call's intent was written. Raises as `sleep`.

        `False`: that would take longer than `LONG_S`, too long for one that holds a slot and money.
        """
        until = self.clock() + LONG_S
        while (left_s := self.pace.held_s(now := self.clock())) > 0:
            if now + left_s > until:
                return False
            await self.sleep(round_id, left_s)
        return True

    def stop(self, round_id: str, why: str, *, halt: bool) -> None:
        """Send a round's waiters away; with `halt`, break off its calls in flight too."""
        waiters = [waiter.entered for waiter in self._waiting.pop(round_id, ())]
        for future in (*waiters, *self._sleeping.get(round_id, ())):
            if not future.done():
                future.set_exception(RoundStopped(why))
        if halt:
            for task in self._in_flight.get(round_id, ()):
                task.cancel()
        self._pump()

    def close(self, why: str) -> None:
        """Begin no call any more; those in flight come home."""
        self._closed = why
        for round_id in {*self._waiting, *self._sleeping}:
            self.stop(round_id, why, halt=False)

    def _next(self) -> Wait:
        """What the next call waits for."""
        first = (queue[0].tokens for queue in self._waiting.values() if queue)
        return self.pace.wait(self.clock(), next(first, 1))

    def _pump(self) -> None:
        """Let in whoever may, and come back when the next one may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for round_id, waiter in self._in_turn():
            now = self.clock()
            if self.pace.breaker.given_up(now, self.pace.limits.deadline_s):
                self._send_away()
                return
            wait = self.pace.wait(now, waiter.tokens)
            if wait.s > 0:
                self._come_back(wait.s)
                return
            self._waiting[round_id].popleft()
            self._waited_s += now - waiter.since
            waiter.entered.set_result(self.pace.began(now, waiter.tokens))

    def _in_turn(self) -> Iterator[tuple[str, _Waiter]]:
        """The next waiter of the next round, as long as there is one; each round moves to the end."""
        while self._waiting:
            round_id, queue = next(iter(self._waiting.items()))
            while queue and queue[0].entered.done():  # went away
                queue.popleft()
            if queue:
                yield round_id, queue[0]
            left = self._waiting.pop(round_id, None)
            if left:
                self._waiting[round_id] = left

    def _come_back(self, in_s: float) -> None:
        down = self.pace.breaker.since is not None
        if math.isinf(in_s) and not down:
            return  # whoever leaves pumps
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(in_s, 5.0), self._pump)

    def _send_away(self) -> None:
        why = self.pace.breaker.why
        for queue in self._waiting.values():
            for waiter in queue:
                with contextlib.suppress(asyncio.InvalidStateError):
                    waiter.entered.set_exception(Held("provider_down", why))
        self._waiting.clear()
        self.pace.breaker.forgive(self.clock())
