"""The line between a runner and a seat: wishes go over and answers come back, many at a time.

A call to another process costs about as much as all the rest of a wish's way, so wishes of a few
milliseconds travel together, and so do answers. What is on the way may be lost, either way. So the seat hands
an answer over again until the runner says that it has it. And whenever the line was broken, and when the
seat says that it does not know the runner (it is new, or has not heard of it for long), the runner says again
all that it waits for; what the seat is asking already it does not ask twice, and what it recorded it finds.
Pure asyncio; `actors.py` puts Ray in between.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from pydantic import TypeAdapter

from aaa.asking import Wish
from aaa.types import Failure, Reply, Turn, Value

LINGER_S = 0.004
"""How long the first of several waits for others."""
PATIENCE_S = 5.0
"""How long one request for answers is kept waiting."""
GONE_S = 0.5
"""How soon a seat that is gone is looked for again."""
FORGET_S = 60.0
"""A runner not heard of for so long is forgotten, with its answers: they are on record."""


class Said(Value):
    """A turn without its call, which the other end has."""

    reply: Reply
    failure: Failure | None = None
    latency_s: float = 0.0

    @classmethod
    def of(cls, turn: Turn) -> "Said":
        return cls(reply=turn.reply, failure=turn.failure, latency_s=turn.latency_s)

    def turn(self, wish: Wish) -> Turn:
        """As the answer to this wish."""
        return Turn(
            index=wish.index,
            call=wish.call,
            reply=self.reply,
            failure=self.failure,
            latency_s=self.latency_s,
        )


class Granted(Value):
    """What became of a wish; exactly one is set. Values cross processes, exceptions do not."""

    said: Said | None = None
    failure: Failure | None = None
    """The model brought no answer in all its attempts; the session ends with this."""
    stopped: str | None = None
    """The round does not run: why."""
    held: tuple[str, str] | None = None
    """Nobody can ask this model before a person looks: (reason, message); the round pauses."""
    lost: bool = False
    """The session has another owner now."""
    away: bool = False
    """The database does not answer; what was recorded is found again when it does."""
    broken: str = ""
    """The seat itself is at fault: what it said."""


Key = tuple[int, int, int]
"""Which wish: session, index, and the epoch of the claim that wishes."""


def key_of(wish: Wish) -> Key:
    return wish.session, wish.index, wish.epoch


WISHES = TypeAdapter(list[Wish])
GRANTED = TypeAdapter(tuple[int, list[tuple[Key, Granted]]])
"""Answers that were handed over at once, and their number, by which the runner says that it has them."""


class SeatGone(Exception):
    """The other end does not answer now; it may be back in a moment."""


class SeatEnd:
    """A seat's end: grants what comes over, keeps answers until they are fetched."""

    def __init__(self, grant: Callable[[Wish], Awaitable[Granted]]) -> None:
        self._grant = grant
        self._callers: dict[str, _Caller] = {}
        self._asking: dict[Key, set[str]] = {}
        """Wishes being granted -> who waits for them."""
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, caller: str, wishes: bytes, got: int, *, all_of_them: bool) -> None:
        """Take wishes of a caller; one that is being granted already is not granted twice.

        `got`: as in `fetch`. `all_of_them`: it waits for no others. From a caller who is not known nothing
        less is taken: `fetch` has it say all.
        """
        mine = self._callers.get(caller)
        if mine is None and all_of_them:
            mine = self._callers[caller] = _Caller()
        if mine is None:
            return
        mine.heard = time.monotonic()
        mine.has_got(got)
        self._forget(caller)
        for wish in WISHES.validate_json(wishes):
            key = key_of(wish)
            if mine.has(key):
                continue
            if key in self._asking:
                self._asking[key].add(caller)
                continue
            self._asking[key] = {caller}
            task = asyncio.create_task(self._answer(key, wish))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def fetch(self, caller: str, got: int) -> bytes | None:
        """The next answers, as soon as there are some; none after `PATIENCE_S`. `None`: who are you?

        `got`: number of the last answers that the caller has.
        """
        mine = self._callers.get(caller)
        if mine is None:
            return None
        mine.heard = time.monotonic()
        mine.has_got(got)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(mine.some.wait(), PATIENCE_S)
            await asyncio.sleep(LINGER_S)
        mine.heard = time.monotonic()
        return GRANTED.dump_json(mine.hand_over())

    async def _answer(self, key: Key, wish: Wish) -> None:
        try:
            granted = await self._grant(wish)
        except Exception as error:  # noqa: BLE001 (it is raised at the other end)
            granted = Granted(broken=repr(error))
        for caller in self._asking.pop(key):
            waiting = self._callers.get(caller)
            if waiting is not None:
                waiting.take(key, granted)

    def _forget(self, caller: str) -> None:
        """Others that were not heard of for long."""
        long_ago = time.monotonic() - FORGET_S
        for name in [name for name, other in self._callers.items() if other.heard < long_ago]:
            if name != caller:
                del self._callers[name]


class _Caller:
    """Answers of one caller, until it has them."""

    def __init__(self) -> None:
        self.some = asyncio.Event()
        """There is something to hand over."""
        self.heard = time.monotonic()
        self._ready: dict[Key, Granted] = {}
        self._handed: dict[Key, Granted] = {}
        """Handed over, but who knows whether it arrived."""
        self._number = time.time_ns()
        """Of the last time that something was handed over; no other seat under this name has the same."""

    def has(self, key: Key) -> bool:
        """Whether there is an answer; it is handed over, again if need be."""
        if key in self._handed:
            self.take(key, self._handed.pop(key))
        return key in self._ready

    def take(self, key: Key, granted: Granted) -> None:
        self._ready[key] = granted
        self.some.set()

    def has_got(self, number: int) -> None:
        """The answers of that number arrived, and all before them; others go again."""
        if number == self._number:
            self._handed = {}
        if self._handed:
            self.some.set()

    def hand_over(self) -> tuple[int, list[tuple[Key, Granted]]]:
        self._handed |= self._ready
        self._ready = {}
        self._number += 1
        self.some.clear()
        return self._number, list(self._handed.items())


class RunnerEnd:
    """A runner's end of the line to one seat."""

    def __init__(
        self,
        ask: Callable[[bytes, int, bool], Awaitable[None]],
        fetch: Callable[[int], Awaitable[bytes | None]],
        stopping: Callable[[], bool],
    ) -> None:
        """`ask`, `fetch`: the seat's, with this runner's name filled in; they raise `SeatGone`."""
        self._ask = ask
        self._fetch = fetch
        self._stopping = stopping
        self._waiting: dict[Key, tuple[Wish, asyncio.Future[Granted]]] = {}
        self._unsaid: list[Wish] = []
        self._got = 0
        """Number of the last answers."""
        self._saying: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None

    async def __call__(self, wish: Wish) -> Granted:
        """Have a wish granted. A seat that is gone is waited for: asking again finds what it recorded."""
        answered: asyncio.Future[Granted] = asyncio.get_running_loop().create_future()
        self._waiting[key_of(wish)] = (wish, answered)
        self._unsaid.append(wish)
        if self._saying is None or self._saying.done():
            self._saying = asyncio.create_task(self._say())
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen())
        try:
            return await answered
        finally:
            if self._waiting.get(key_of(wish), (None, None))[1] is answered:
                del self._waiting[key_of(wish)]

    async def _say(self) -> None:
        while self._unsaid:
            await asyncio.sleep(LINGER_S)
            unsaid, self._unsaid = self._unsaid, []
            await self._send(unsaid)

    async def _listen(self) -> None:
        """Fetch answers as long as some are waited for."""
        await asyncio.sleep(2 * LINGER_S)  # the seat hears the first wish first
        while self._waiting:
            answers = None
            try:
                answers = await self._fetch(self._got)
            except SeatGone:
                await self._wait_for_seat()
            except Exception as error:  # noqa: BLE001 (it is raised where the wishes came from)
                self._tell(dict.fromkeys(self._waiting, Granted(broken=repr(error))))
                continue
            if answers is not None:
                self._got, told = GRANTED.validate_json(answers)
                self._tell(dict(told))
                continue
            self._got, self._unsaid = 0, []
            await self._send([wish for wish, _ in self._waiting.values()])

    async def _wait_for_seat(self) -> None:
        """A moment; a runner that is to stop waits for no seat."""
        if self._stopping():
            self._tell(dict.fromkeys(self._waiting, Granted(stopped="stopping")))
        await asyncio.sleep(GONE_S)

    async def _send(self, wishes: Sequence[Wish]) -> None:
        """Say wishes until they are heard, or nobody waits for them any more."""
        while waited_for := [wish for wish in wishes if key_of(wish) in self._waiting]:
            try:
                everything = len(waited_for) == len(self._waiting)
                await self._ask(WISHES.dump_json(waited_for), self._got, everything)
            except SeatGone:
                await self._wait_for_seat()
            except Exception as error:  # noqa: BLE001 (it is raised where the wish came from)
                self._tell({key_of(wish): Granted(broken=repr(error)) for wish in waited_for})
            else:
                return

    def _tell(self, answers: Mapping[Key, Granted]) -> None:
        for key, granted in answers.items():
            waiting = self._waiting.pop(key, None)
            if waiting is not None and not waiting[1].done():
                waiting[1].set_result(granted)
