"""One round: its progress, money, seats, stage and failures, as `render` draws them, and its rudder."""

import asyncio
from dataclasses import replace

from textual import work
from textual.app import ComposeResult

from aaa.dashboard.feed import Feed
from aaa.dashboard.known import State
from aaa.dashboard.picture import Picture
from aaa.dashboard.render import rows
from aaa.dashboard.screens import COMMON, Deed, Watching, bindings
from aaa.dashboard.session_screen import SessionScreen
from aaa.dashboard.sessions_screen import SessionsScreen
from aaa.dashboard.steering import Steering

FRAME_S = 0.25
"""Time between two looks at whether something is new to draw."""
IDLE_FRAMES = 4
"""Frames after which it is drawn all the same, so that clocks go on."""


class RoundScreen(Watching):
    """A round that is followed as long as its screen is there."""

    DEEDS: tuple[Deed, ...] = (
        Deed("t", "theatre", "the session on stage, in full"),
        Deed("s", "sessions", "all sessions: search, step through"),
        Deed("p", "pause", "pause the round"),
        Deed("r", "resume", "have it go on"),
        Deed("c", "cancel", "cancel it for good (asks first)"),
        Deed("b", "budget", "change its budget"),
        Deed("n", "concurrency", "change how many sessions play at once"),
        Deed("y", "copy_id", "copy the round's id"),
        Deed("e", "copy_explain", "copy the command that explains the newest pair"),
        Deed("escape", "back", "the list of rounds", "Esc"),
    )
    REPLAYING: tuple[Deed, ...] = (
        Deed("space", "halt", "halt the replay, or have it go on", "Space"),
        Deed("plus,equals_sign", "faster", "replay twice as fast", "+"),
        Deed("minus", "slower", "replay half as fast", "-"),
    )
    BINDINGS = bindings(*DEEDS, *REPLAYING, *COMMON)

    def __init__(self, feed: Feed, hint: str) -> None:
        super().__init__()
        self.feed = feed
        if feed.replay is not None:
            self.DEEDS = (*self.DEEDS, *self.REPLAYING)
        self._hint = hint
        self._drawn = (-1, 0)
        self._following: asyncio.Task[None] | None = None
        self._steering = Steering(feed.client, feed.round["id"], self, self.tell)

    def compose(self) -> ComposeResult:
        yield Picture()

    def on_mount(self) -> None:
        self._following = asyncio.create_task(self.feed.follow())
        self.set_interval(FRAME_S, self._frame)

    def on_unmount(self) -> None:
        if self._following is not None:
            self._following.cancel()

    def on_resize(self) -> None:
        self._drawn = (-1, 0)
        self.call_after_refresh(self._frame)

    def on_screen_resume(self) -> None:
        self._drawn = (-1, 0)
        self.call_after_refresh(self._frame)  # at once as it was: that costs nothing

    def failure(self) -> BaseException | None:
        """Why following ended; `None` while it goes on."""
        task = self._following
        if task is None or not task.done() or task.cancelled():
            return None
        return task.exception()

    def _frame(self) -> None:
        changes, idle = self._drawn
        fresh = changes != self.feed.changes
        if not self.is_seen or not (fresh or idle >= IDLE_FRAMES):
            self._drawn = (changes, idle + 1)
            return
        picture = self.query_one(Picture)
        state = replace(self.feed.shown(), hint=self._hint)
        picture.show(rows(state, picture.size.width, picture.size.height, self.feed.now()))
        self._drawn = (self.feed.changes, 0)

    # Deeds

    def action_theatre(self) -> None:
        stage = self.feed.state.stage
        if stage is None:
            self.tell("no session has begun yet")
        else:
            self.app.push_screen(SessionScreen(self.feed, [stage.session], 0))

    def action_sessions(self) -> None:
        self.app.push_screen(SessionsScreen(self.feed))

    @work
    async def action_pause(self) -> None:
        self.feed.expects_pause = True  # before it is asked: its event may come first
        if not await self._steering.pause():
            self.feed.expects_pause = False

    @work
    async def action_resume(self) -> None:
        await self._steering.resume()
        self.feed.expects_pause = False

    @work
    async def action_cancel(self) -> None:
        await self._steering.cancel()

    @work
    async def action_budget(self) -> None:
        await self._steering.budget(self.feed.state.budget_usd)

    @work
    async def action_concurrency(self) -> None:
        await self._steering.concurrency(self.feed.state.concurrency)

    def action_copy_id(self) -> None:
        self.copy(self.feed.round["id"])

    def action_copy_explain(self) -> None:
        pair = newest_pair(self.feed.state)
        if pair:
            self.copy(f"aaa explain {pair}")
        else:
            self.tell("there is no pair yet")

    def action_back(self) -> None:
        self.dismiss()

    def action_halt(self) -> None:
        if self.feed.replay is not None:
            self.feed.replay.halt_or_go_on()

    def action_faster(self) -> None:
        if self.feed.replay is not None:
            self.feed.replay.faster(2)

    def action_slower(self) -> None:
        if self.feed.replay is not None:
            self.feed.replay.faster(0.5)


def newest_pair(state: State) -> str:
    """Id of the newest pair; `""` where there is none."""
    return next((told.ruling.pair for told in reversed(state.latest) if told.ruling.pair), "")
