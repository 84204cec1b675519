"""The line between a runner and a seat: wishes go over and answers come back, many at a time.

A call to another process costs about as much as all the rest of a wish's way, so wishes of a few
milliseconds travel together, and so do answers. What is on the way may be lost, either way. So whenever the
line was broken, and when the seat says that it does not know the runner (it is new, or has not heard of it
for long), the runner says again all that it waits for; what the seat is asking already it does not ask
twice, and what it recorded it finds. Pure asyncio; `actors.py` puts Ray in between.
"""

import asyncio
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
GRANTED = TypeAdapter(list[tuple[Key, Granted]])


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

    def ask(self, caller: str, wishes: bytes) -> None:
        """Take wishes of a caller; one that is being granted already is not granted twice."""
        self._forget()
        self._callers.setdefault(caller, _Caller())
        for wish in WISHES.validate_json(wishes):
            key = key_of(wish)
            if key in self._callers[caller].ready:
                continue
            if key in self._asking:
                self._asking[key].add(caller)
                continue
            self._asking[key] = {caller}
            task = asyncio.create_task(self._answer(key, wish))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def fetch(self, caller: str) -> bytes | None:
        """The next answers, as soon as there are some; empty after `PATIENCE_S`. `None`: who are you?"""
        mine = self._callers.get(caller)
        if mine is None:
            return None
        mine.heard = time.monotonic()
        try:
            await asyncio.wait_for(mine.some.wait(), PATIENCE_S)
            await asyncio.sleep(LINGER_S)
        except TimeoutError:
            pass
        mine.heard = time.monotonic()
        ready, mine.ready = mine.ready, {}
        mine.some.clear()
        return GRANTED.dump_json(list(ready.items()))

    async def _answer(self, key: Key, wish: Wish) -> None:
        try:
            granted = await self._grant(wish)
        except Exception as error:  # noqa: BLE001 (it is raised at the other end)
            granted = Granted(broken=repr(error))
        for caller in self._asking.pop(key):
            waiting = self._callers.get(caller)
            if waiting is not None:
                waiting.ready[key] = granted
                waiting.some.set()

    def _forget(self) -> None:
        long_ago = time.monotonic() - FORGET_S
        for name in [name for name, caller in self._callers.items() if caller.heard < long_ago]:
            del self._callers[name]


class _Caller:
    def __init__(self) -> None:
        self.ready: dict[Key, Granted] = {}
        self.some = asyncio.Event()
        self.heard = time.monotonic()


class RunnerEnd:
    """A runner's end of the line to one seat."""

    def __init__(
        self,
        ask: Callable[[bytes], Awaitable[None]],
        fetch: Callable[[], Awaitable[bytes | None]],
        stopping: Callable[[], bool],
    ) -> None:
        """`ask`, `fetch`: the seat's, with this runner's name filled in; they raise `SeatGone`."""
        self._ask = ask
        self._fetch = fetch
        self._stopping = stopping
        self._waiting: dict[Key, tuple[Wish, asyncio.Future[Granted]]] = {}
        self._unsaid: list[Wish] = []
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
                answers = await self._fetch()
            except SeatGone:
                await self._wait_for_seat()
            except Exception as error:  # noqa: BLE001 (it is raised where the wishes came from)
                self._tell(dict.fromkeys(self._waiting, Granted(broken=repr(error))))
                continue
            if answers is not None:
                self._tell(dict(GRANTED.validate_json(answers)))
                continue
            self._unsaid = []
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
                await self._ask(WISHES.dump_json(waited_for))
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
