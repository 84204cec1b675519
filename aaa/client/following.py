"""A round's events over a connection that may break: each once and in order."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import httpx
from httpx_sse import EventSource, SSEError

from aaa.client.shapes import Event
from aaa.client.wire import Wire, check, path_of, why_of
from aaa.errors import SetupError
from aaa.states import TERMINAL_EVENTS

SILENCE_S = 45.0
"""An event stream this quiet is dead: the server promises a keep-alive every 10 s."""
FIRST_DELAY_S, LONGEST_DELAY_S = 0.25, 10.0
"""Bounds of the wait before a dropped event stream is opened again; it doubles in between."""

OnDrop = Callable[[str, float], None]
"""(why the event stream broke, seconds until it is opened again) -> None."""
OnBack = Callable[[int], None]
"""(id of the last event before it broke) -> None, when it is open again."""


def unheard(*told: object) -> None:
    """Who does not want to hear of it."""


async def follow(
    wire: Wire,
    round_id: str,
    *,
    after: int = 0,
    on_drop: OnDrop = unheard,
    on_back: OnBack = unheard,
    patience_s: float = 600.0,
) -> AsyncGenerator[Event, None]:
    """A round's events after id `after`, each once and in order, until a terminal one.

    A round that was resumed goes on after one: the server ends the stream with the last of them.
    A dropped connection is opened again where it broke, after a wait that doubles from 0.25 to
    10 s; `on_drop` is told, and `on_back` when it is open. Raises `SetupError` when nobody answers
    the first time, or later for `patience_s`; the API's own refusals are raised at once. Close it
    (`contextlib.aclosing`).
    """
    last, drops, heard, ended, lost = after, 0, None, False, False
    while True:
        connected, why = False, "the server closed the stream"
        try:
            async with aclosing(_once(wire, round_id, last)) as arriving:
                async for event in arriving:
                    connected = True
                    if lost:
                        on_back(last)
                    lost = False
                    if event is None or event.id <= last:
                        continue
                    last, drops = event.id, 0
                    ended = event.kind in TERMINAL_EVENTS
                    yield event
        except _NothingMore:
            return
        except _Dropped as drop:
            why = str(drop)
        if ended:
            return
        now = time.monotonic()
        heard = now if connected else heard
        if heard is None:
            raise SetupError(why)
        if now - heard > patience_s:
            raise SetupError(f"no word of round {round_id!r} for {patience_s:g} s: {why}")
        delay_s = min(FIRST_DELAY_S * 2**drops, LONGEST_DELAY_S)
        drops, lost = min(drops + 1, 16), True
        on_drop(why, delay_s)
        await asyncio.sleep(delay_s)


async def _once(wire: Wire, round_id: str, last: int) -> AsyncGenerator[Event | None, None]:
    """`None` once connected, then events.

    Raises `_Dropped` where connecting again may help, `_NothingMore` where all has been told.
    """
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    if last:
        headers["Last-Event-ID"] = str(last)
    path, patient = path_of("rounds", round_id, "events"), httpx.Timeout(SILENCE_S, connect=10.0)
    try:
        async with wire.http.stream("GET", path, headers=headers, timeout=patient) as response:
            if response.status_code == 429 or response.status_code >= 500:
                raise _Dropped(f"the server answered {response.status_code}")
            await check(response)
            if response.status_code == 204:
                raise _NothingMore
            yield None
            async for sse in EventSource(response).aiter_sse():
                if sse.data:  # a blank line after a keep-alive is no event
                    yield _event(sse.id, sse.event, sse.data)
    except httpx.TransportError as error:
        raise _Dropped(why_of(error, wire.url)) from error
    except SSEError as error:
        raise SetupError(f"{wire.url} does not stream events: {error}") from error


class _Dropped(Exception):
    """An event stream that may work again later."""


class _NothingMore(Exception):
    """The round has ended, and no event of it is new to us."""


def _event(id_: str, kind: str, data: str) -> Event:
    try:
        return Event(id=int(id_), kind=kind, data=json.loads(data))
    except ValueError as error:
        raise SetupError(f"event {id_!r} of kind {kind!r} is unreadable: {error}") from error
