"""Watching a round in a terminal: events -> `reduce` -> `render`, at most five times a second.

While it runs, the screen is the terminal's alternate one (a resize leaves no debris); at the end the
last picture is printed where the shell goes on. The theatre's whole texts come over REST, beside the
events. Left out: keys, views to choose from, finished-round summaries.
"""

import asyncio
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any

from rich.console import Console
from rich.live import Live

from aaa.client import Client, Event, Round
from aaa.dashboard.following import follow
from aaa.dashboard.ink import clock as clock_words
from aaa.dashboard.known import State
from aaa.dashboard.render import render
from aaa.dashboard.state import opening, reduce, told
from aaa.errors import AAAError

FRAME_S = 0.2
"""Shortest time between two pictures."""
IDLE_S = 1.0
"""Longest time between two pictures, so that clocks go on."""
TRANSCRIPT_S = 1.5
"""Shortest time between two looks at the theatre's transcript."""
_BUSY_S = 0.05
"""How long events may be taken in before the screen and the keys get their turn."""

Transcript = Callable[[str], Awaitable[Mapping[str, Any]]]
"""Session id -> the session with its transcript."""


async def watch(
    client: Client,
    round_id: str,
    *,
    stop_at_pause: bool = False,
    hint: str | None = None,
    console: Console | None = None,
) -> Round:
    """Show a round until it ends (or stands still, with `stop_at_pause`); the round as it then is.

    `hint` is what the last row says; by default, how to leave.

    Ctrl-C (`KeyboardInterrupt`, or the cancellation that asyncio makes of it) restores the terminal,
    leaves the last picture and passes through: the round goes on. Raises what `Client.events` raises.
    """
    round = await client.round(round_id)
    news = _News()
    following = follow(client, round, on_drop=news.dropped, stop_at_pause=stop_at_pause)
    async with aclosing(following) as events:
        await show(round, events, client.session, hint=hint, console=console, news=news)
    return await client.round(round_id)


async def show(
    round: Mapping[str, Any],
    events: AsyncIterable[Event],
    transcript: Transcript,
    *,
    hint: str | None = None,
    console: Console | None = None,
    clock: Callable[[], float] = time.time,
    news: "_News | None" = None,
) -> State:
    """Draw what `events` make of `round` until they end; the last state."""
    console = console or Console()
    state = opening(round)
    seen = _Seen(replace(state, hint=hint or state.hint), news or _News(), clock)
    picture = Live(
        console=console, screen=console.is_terminal, auto_refresh=False, vertical_overflow="crop",
        redirect_stdout=False, redirect_stderr=False, transient=True,
    )  # fmt: skip
    try:
        with picture:
            await _first(
                _take_in(seen, events), _paint(picture, console, seen), _fetch(seen, transcript)
            )
    finally:
        console.print(render(seen.state, console.width, _last_height(console), seen.now()))
    return seen.state


class _News:
    """What the event stream's connection says; shown until the next event comes."""

    def __init__(self) -> None:
        self.words = ""

    def dropped(self, why: str, delay_s: float) -> None:
        self.words = f"connection lost, again in {clock_words(delay_s + 0.9)}: {why}"


class _Seen:
    """The one mutable thing: the state so far, and whether the screen shows it."""

    def __init__(self, state: State, news: _News, clock: Callable[[], float]) -> None:
        self.state = state
        self.news = news
        self.clock = clock
        self.changed = asyncio.Event()

    def now(self) -> float:
        return max(self.clock(), self.state.last_at)

    def become(self, state: State) -> None:
        self.state = state
        self.changed.set()


async def _take_in(seen: _Seen, events: AsyncIterable[Event]) -> None:
    """Every event, letting others run at least every `_BUSY_S`."""
    paused = time.monotonic()
    async for event in events:
        seen.news.words = ""
        seen.become(reduce(seen.state, event))
        if time.monotonic() - paused > _BUSY_S:
            await asyncio.sleep(0)
            paused = time.monotonic()


async def _paint(picture: Live, console: Console, seen: _Seen) -> None:
    while True:
        seen.changed.clear()
        state = replace(seen.state, connection=seen.news.words)
        picture.update(render(state, console.width, console.height, seen.now()), refresh=True)
        await asyncio.sleep(FRAME_S)
        with suppress(TimeoutError):
            await asyncio.wait_for(seen.changed.wait(), IDLE_S - FRAME_S)


async def _fetch(seen: _Seen, transcript: Transcript) -> None:
    """Whole texts for the theatre, once the past was caught up with; again after each verdict."""
    known = ("", 0)
    while True:
        state, stage = seen.state, seen.state.stage
        if stage is not None and state.last_id >= state.known_id:
            wanted = (stage.session, len(stage.rulings))
            if stage.wants_telling or wanted != known:
                with suppress(AAAError):  # the theatre then shows what the events said
                    session = await transcript(stage.session)
                    seen.become(told(seen.state, session))  # the state as it is by now
                known = wanted
        await asyncio.sleep(TRANSCRIPT_S)


def _last_height(console: Console) -> int:
    """Rows of the picture that stays: the screen's, less some for what the shell says next."""
    return max(12, console.height - 4) if console.is_terminal else 40


async def _first(*work: Coroutine[Any, Any, None]) -> None:
    """Do it all at once until the first is done; its error is ours, the others are cancelled."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
