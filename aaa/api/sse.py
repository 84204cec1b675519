"""A round's events as server-sent events: replayed from any id, then live, each once and in order.

Every round that is listened to has one poller, however many listen; it keeps the newest events in
memory. A reader is only a cursor: it takes from that memory what it can and reads the database for
what is older, so a slow one costs nobody anything. Events have no gap (`store.events`), so the next
id is all there is to know.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC
from itertools import islice

import orjson

from aaa.errors import StoreError
from aaa.states import ENDED, TERMINAL_EVENTS
from aaa.store.database import Database
from aaa.store.events import Event, oldest_s, read_events
from aaa.store.rounds import Round, get_round

KEEP_ALIVE_S = 10.0
"""Longest silence of a stream."""
SHORTEST_POLL_S, LONGEST_POLL_S = 0.05, 1.0
"""Bounds of the wait between two looks at the database; it grows while nothing happens."""
TAIL = 1024
"""Events kept in memory of each round that is listened to."""
BATCH = 200
"""Events sent, or read from the database, at a time."""

CONNECTED, KEEP_ALIVE = b": connected\n", b": keep-alive\n"
"""Comment lines alone: a blank line after them would make some parsers see an empty event."""


class Stream:
    """What is new in one round, for all who listen to it."""

    def __init__(self, database: Database, round: Round, keep_alive_s: float) -> None:
        self.database = database
        self.round_id = round.id
        self.keep_alive_s = keep_alive_s
        self.last = round.last_event
        self.final = round.last_event if round.status in ENDED else None
        """Id of the round's last word; `None` while it goes on, or while nobody can tell."""
        self.tail: deque[Event] = deque(maxlen=TAIL)
        self.changed = asyncio.Event()
        self.closed = asyncio.Event()
        self.readers = 0
        self.sent: dict[object, int] = {}
        """Reader that has caught up once -> id of the last event that was sent to it."""
        self.poller = asyncio.create_task(self._poll())

    def close(self) -> None:
        """Have the poller and every reader end where they are."""
        self.closed.set()
        self._wake()

    async def frames(self, after: int) -> AsyncIterator[bytes]:
        """The round's events after that id as an event stream, until its last word or our closing.

        Between two frames it holds nothing but its place.
        """
        me = object()
        try:
            yield CONNECTED
            while not self.closed.is_set():
                if me in self.sent or after >= self.last:
                    self.sent[me] = after
                changed = self.changed  # before looking, so that nothing new is slept through
                try:
                    events = await self._next(after)
                    if events:
                        yield b"".join(map(frame, events))
                        after = events[-1].id
                    elif self.final is not None and after >= self.final:
                        return
                    elif not await _within(changed, self.keep_alive_s):
                        yield KEEP_ALIVE
                except StoreError:
                    yield KEEP_ALIVE
                    await _within(self.closed, LONGEST_POLL_S)
        finally:
            self.sent.pop(me, None)

    async def _next(self, after: int) -> list[Event]:
        """The next events after that id: from memory, or where it does not reach back, the database."""
        if after >= self.last:
            return []
        if not self.tail or after + 1 < self.tail[0].id:
            found = await self._read(after)
            return [
                event for event in found if event.id <= self.last
            ]  # nobody is before the poller
        skip = after + 1 - self.tail[0].id
        return list(islice(self.tail, skip, skip + BATCH))

    async def _read(self, after: int) -> list[Event]:
        async with self.database.begin() as connection:
            return await read_events(connection, self.round_id, after, BATCH)

    async def _poll(self) -> None:
        """Follow the round until closed. While the database is away, nothing is new."""
        wait_s = SHORTEST_POLL_S
        while not self.closed.is_set():
            found: list[Event] = []
            try:
                found = await self._read(self.last)
                self._take_up(found)
                await self._look_for_the_end()
            except StoreError:
                wait_s = LONGEST_POLL_S
            if found:
                wait_s = SHORTEST_POLL_S
            if len(found) < BATCH:
                await _within(self.closed, wait_s)
                wait_s = min(wait_s * 1.3, LONGEST_POLL_S)

    def _take_up(self, found: list[Event]) -> None:
        if found:
            self.tail.extend(found)
            self.last, self.final = found[-1].id, None
            self._wake()

    async def _look_for_the_end(self) -> None:
        """Whether the newest event is the round's last word: a resumed round goes on after a terminal one."""
        if self.final is not None or not self.tail or self.tail[-1].kind not in TERMINAL_EVENTS:
            return
        round = await get_round(self.database, self.round_id)
        if round.status in ENDED and round.last_event == self.last:
            self.final = self.last
            self._wake()

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class Listening:
    """The rounds that someone listens to."""

    def __init__(self, database: Database, *, keep_alive_s: float = KEEP_ALIVE_S) -> None:
        self.database = database
        self.keep_alive_s = keep_alive_s
        self.streams: dict[str, Stream] = {}
        self.pollers: set[asyncio.Task[None]] = set()
        self.closed = False

    @asynccontextmanager
    async def join(self, round: Round) -> AsyncIterator[Stream]:
        """The round's stream; it is followed as long as someone is in here."""
        stream = self.streams.get(round.id)
        if stream is None:
            stream = self.streams[round.id] = Stream(self.database, round, self.keep_alive_s)
            self.pollers.add(stream.poller)
            stream.poller.add_done_callback(self.pollers.discard)
            if self.closed:
                stream.close()
        stream.readers += 1
        try:
            yield stream
        finally:
            stream.readers -= 1
            if not stream.readers:
                stream.close()
                del self.streams[round.id]

    async def lag_s(self) -> float:
        """How old the oldest event is that some reader who had caught up was not sent yet; 0: all were.

        Who replays a round is not late, however old its events are. Raises `StoreError`.
        """
        sent = {id: min(stream.sent.values()) for id, stream in self.streams.items() if stream.sent}
        async with self.database.begin() as connection:
            return await oldest_s(connection, [(id, last + 1) for id, last in sent.items()])

    async def close(self) -> None:
        """End every stream where it is; readers go on by id wherever they connect next."""
        self.closed = True
        for stream in self.streams.values():
            stream.close()
        await asyncio.gather(*self.pollers, return_exceptions=True)


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Whether the event came within so many seconds."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


def frame(event: Event) -> bytes:
    """One event as it goes over the wire; its JSON has no line break in it."""
    data = orjson.dumps({**event.data, "at": event.at.astimezone(UTC).isoformat()})
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.id, event.kind.encode(), data)
