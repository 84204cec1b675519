"""The session theatre: one conversation in full, live or finished, and a step through it turn by turn."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from textual import work
from textual.app import ComposeResult
from textual.widgets import Static

from aaa.dashboard import state as states
from aaa.dashboard.feed import Feed
from aaa.dashboard.ink import Line, clock, ends, line
from aaa.dashboard.panels import STATUS_STYLES, waits
from aaa.dashboard.picture import Picture
from aaa.dashboard.screens import COMMON, Deed, Watching, bindings
from aaa.dashboard.theatre import Stage, cut_at
from aaa.dashboard.whole import whole_rows
from aaa.errors import AAAError

FRAME_S = 0.25
IDLE_FRAMES = 4


class SessionScreen(Watching):
    """The session `sessions[place]`; its neighbours are a key away."""

    DEEDS = (
        Deed("right", "step(1)", "one turn on", "→"),
        Deed("left", "step(-1)", "one turn back", "←"),
        Deed("f", "whole", "all turns there are, as they come"),
        Deed("right_square_bracket,j", "other(1)", "the next session", "]"),
        Deed("left_square_bracket,k", "other(-1)", "the session before", "["),
        Deed("d", "gone", "show or hide what a revision dropped"),
        Deed("y", "copy_id", "copy the session's id"),
        Deed("e", "copy_explain", "copy the command that explains its pair"),
        Deed("escape", "back", "back", "Esc"),
    )
    BINDINGS = bindings(*DEEDS, *COMMON)

    def __init__(self, feed: Feed, sessions: Sequence[str], place: int) -> None:
        super().__init__()
        self._feed, self._sessions, self._place = feed, sessions, place
        self._turns: int | None = None
        """Turns that are shown; `None`: all."""
        self._gone = True
        self._drawn: tuple[object, ...] = ()
        self._idle = 0

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield Picture()
        yield Static(id="foot")

    def on_mount(self) -> None:
        self.query_one(Picture).focus()
        self.action_other(0)
        self.set_interval(FRAME_S, self._frame)

    def on_unmount(self) -> None:
        self._feed.become(states.let_go(self._feed.state))

    @property
    def session(self) -> str:
        return self._sessions[self._place]

    @work(exclusive=True)
    async def action_other(self, by: int) -> None:
        """Put another session on stage, and keep it there."""
        place = self._place + by
        if not 0 <= place < len(self._sessions):
            self.tell("that was the last one" if by > 0 else "that was the first one")
            return
        try:
            session = await self._feed.transcript(self._sessions[place])
        except AAAError as error:
            self.tell(str(error), wrong=True)
            return
        self._place, self._turns = place, None
        self._feed.become(states.pinned(self._feed.state, session))
        self._frame()
        picture = self.query_one(Picture)
        if session["finished_at"] is None:
            picture.scroll_end(animate=False)
        else:
            picture.scroll_home(animate=False)

    def _frame(self) -> None:
        stage = self._feed.state.stage
        if stage is None or not self.is_seen:
            return
        picture = self.query_one(Picture)
        look = (self._feed.changes, self._turns, self._gone, picture.size, stage.session)
        self._idle = 0 if look != self._drawn else self._idle + 1
        if look == self._drawn and self._idle < IDLE_FRAMES:
            return
        self._drawn, self._idle = look, 0
        self._draw(picture, stage)

    def _draw(self, picture: Picture, stage: Stage) -> None:
        state, now, width = self._feed.shown(), self._feed.now(), picture.size.width
        was_at_end = picture.at_end and not stage.status
        if self._turns is not None:
            stage = cut_at(stage, self._turns)
            state = replace(state, running={})
        picture.show(whole_rows(state, stage, max(20, width - 2), now, gone=self._gone))
        if was_at_end or self._turns is not None:
            picture.scroll_end(animate=False)
        self.query_one("#head", Static).update(self._head(width))
        self.query_one("#foot", Static).update(self._foot(width))

    def _head(self, width: int) -> Line:
        state, stage = self._feed.state, self._feed.state.stage
        assert stage is not None
        status = stage.status or "running"
        left = line(
            (" AAA ", "bold reverse"), " ", ("theatre", "bold"), " ", (stage.seed, "bold"),
            (f"  session {stage.session}", "dim"), "  ", (f"● {status}", STATUS_STYLES.get(status, "")),
        )  # fmt: skip
        end = stage.finished_at or state.ended_at or self._feed.now()
        passed = "" if stage.since is None else clock(end - stage.since)
        total = stage.left_out + len(stage.speeches)
        shown = f"{total} turns"
        if self._turns is not None:
            shown = f"turn {min(stage.left_out + self._turns, total)}/{total}"
        return ends(left, line((f" {shown} ", ""), (f" {passed} ", "bold")), max(20, width - 1))

    def _foot(self, width: int) -> Line:
        state = self._feed.shown()
        if state.connection:
            return line((f" ⚠ {state.connection}", "bold yellow"))
        running = state.running.get(self.session)
        keys = line(
            (" ←→ turns · [ ] sessions · d dropped words · e explain · ? keys · Esc", "dim")
        )
        if running is None or self._turns is not None:
            return keys
        since = min((c.since for c in running.calls.values()), default=running.touched)
        now = self._feed.now()
        waiting = line(" waits: ", waits(state, running, now), f" {clock(now - since)} ")
        return ends(waiting, line(("? keys · Esc ", "dim")), max(20, width - 1))

    def action_step(self, by: int) -> None:
        stage = self._feed.state.stage
        total = len(stage.speeches) if stage else 0
        now = total if self._turns is None else self._turns
        self._turns = min(total, max(0, now + by))
        self._frame()

    def action_whole(self) -> None:
        self._turns = None
        self._frame()

    def action_gone(self) -> None:
        self._gone = not self._gone
        self._frame()

    def action_copy_id(self) -> None:
        self.copy(self.session)

    def action_copy_explain(self) -> None:
        stage = self._feed.state.stage
        pairs = [ruling.pair for ruling in stage.rulings if ruling.pair] if stage else []
        if pairs:
            self.copy(f"aaa explain {pairs[-1]}")
        else:
            self.tell("this session has no pair")

    def action_back(self) -> None:
        with suppress(asyncio.CancelledError):
            self.dismiss()
