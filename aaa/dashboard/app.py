"""The terminal dashboard: a Textual application over the API alone. It attaches to rounds, live or ended.

It takes the whole screen while it is there; at the end the last picture is printed where the shell goes
on. Left out: plain lines (`lines`), and what an exit code means (`aaa.commands.watch`).
"""

import asyncio
import signal
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

from rich.console import Console
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from aaa.client import Client, Round
from aaa.collecting import collect_seldom
from aaa.dashboard import dialogs
from aaa.dashboard.feed import Feed
from aaa.dashboard.keyboard import listen_closely
from aaa.dashboard.render import render
from aaa.dashboard.replay import Replay
from aaa.dashboard.round_screen import RoundScreen
from aaa.dashboard.rounds_screen import RoundsScreen
from aaa.dashboard.screens import Watching

LOOK_S = 0.2
"""How soon it is seen that a followed round is over, or cannot be followed."""
HINT = "p pause · r resume · s sessions · t theatre · ? keys · q leaves"


STYLE = """
Screen { background: ansi_default; color: ansi_default; }
Toast { width: auto; max-width: 90%; }
RoundsScreen DataTable, SessionsScreen DataTable { height: 1fr; }
DataTable > .datatable--header { background: ansi_default; text-style: bold underline; }
RoundsScreen Static, SessionsScreen Static, SessionScreen Static { height: 1; }
SessionsScreen Input { border: none; height: 1; padding: 0 1; display: none; }
"""


class Dashboard(App[None]):
    """Rounds, a round, its sessions, one of them. `run_async` returns when the watcher left."""

    ENABLE_COMMAND_PALETTE = True
    CSS = STYLE + dialogs.STYLE
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "interrupt", show=False, priority=True),
        Binding("ctrl+q", "leave", show=False, priority=True),
    ]

    def __init__(
        self,
        client: Client,
        round: Round | None,
        *,
        stop_at_pause: bool = False,
        replay: Replay | None = None,
    ) -> None:
        """`round` is opened at once. With `stop_at_pause` it ends where that round stands still or ends."""
        super().__init__(ansi_color=True)
        self.theme = "ansi-dark"
        self._client, self._round = client, round
        self._stop_at_pause, self._replay = stop_at_pause, replay
        self.feed: Feed | None = None
        """The round looked at last."""
        self.failure: BaseException | None = None
        """Why it ended, where something went wrong."""
        self.interrupted = False
        """Whether Ctrl-C ended it."""

    def on_mount(self) -> None:
        self.push_screen(RoundsScreen(self._client, self._open))
        if self._round is not None:
            self._open(self._round)
        self.set_interval(LOOK_S, self._look)
        collect_seldom()  # a search among ten thousand sessions would keep a key waiting

    def _open(self, round: Round) -> None:
        own = self._round is not None and round["id"] == self._round["id"]
        self.feed = Feed(
            self._client,
            round,
            stop_at_pause=self._stop_at_pause and own,
            replay=self._replay if own else None,
        )
        self.push_screen(RoundScreen(self.feed, HINT))

    def _look(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, RoundScreen):
                self.failure = self.failure or screen.failure()
                if self.failure is not None or screen.feed.over.is_set():
                    self.exit()

    def _handle_exception(self, error: Exception) -> None:
        """It ends. Textual would print every local variable, secrets with them; `watch` raises instead."""
        super()._handle_exception(error)
        self._exit_renderables.clear()
        self.failure = self.failure or error

    def action_leave(self) -> None:
        """Where the round is played here, leaving stops it: as Ctrl-C."""
        self.interrupted = self._stop_at_pause
        self.exit()

    def action_interrupt(self) -> None:
        self.interrupted = True
        self.exit()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette: what the screen's keys do."""
        if isinstance(screen, Watching):
            for title, told, callback in screen.commands():
                yield SystemCommand(title, told, callback)


async def watch(
    client: Client,
    round: Round | None,
    *,
    stop_at_pause: bool = False,
    replay: Replay | None = None,
    console: Console | None = None,
) -> Round | None:
    """Show rounds until the watcher leaves; the one looked at last, as it then is.

    Ctrl-C is passed on as the signal that it is elsewhere. Raises what `Client.events` raises.
    """
    console = console or Console()
    listen_closely()
    app = Dashboard(client, round, stop_at_pause=stop_at_pause, replay=replay)
    try:
        await app.run_async(mouse=False)
    finally:
        if app.feed is not None:
            _leave_picture(console, app.feed)
    if app.failure is not None:
        raise _first(app.failure)
    if app.interrupted:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)  # where it cancels us, it does so here
    return None if app.feed is None else await client.round(app.feed.round["id"])


def _leave_picture(console: Console, feed: Feed) -> None:
    """The last picture, where the shell goes on."""
    height = max(12, console.height - 4) if console.is_terminal else 40
    state = replace(feed.shown(), hint="")
    console.print(render(state, console.width, height, feed.now()))


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
