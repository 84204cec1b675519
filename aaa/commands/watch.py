"""`aaa watch [ROUND]`: a round in the terminal, live or finished; plain lines or JSON elsewhere.

Exit codes: 0 the round completed; 1 it failed or was cancelled; 4 we stopped before its end, because
it is paused (only with `stop_at_pause`, as `aaa run` asks) or whoever read our lines went away. Ctrl-C
leaves the round alone and passes through as the cancellation that asyncio makes of it, for the
caller's 130.
"""

import asyncio
import os
import sys
from contextlib import aclosing

from rich.console import Console

from aaa.clean import one_line
from aaa.client import Client, Round
from aaa.commands.opening import say
from aaa.commands.stopping import STOPPED
from aaa.dashboard import app, lines
from aaa.dashboard.following import follow
from aaa.dashboard.replay import Replay
from aaa.errors import NotFound


async def watch(
    client: Client,
    round_id: str | None,
    *,
    tui: bool,
    as_json: bool,
    stop_at_pause: bool = False,
    replay: Replay | None = None,
) -> int:
    """Show a round (`None`: the newest) until it ends, or in the dashboard until the watcher leaves.

    The exit code comes back. With `replay`, the round's events come at their own pace again.

    `tui` asks for the dashboard; a dumb terminal gets lines all the same. `stop_at_pause` is for a
    caller who plays the round as well: nobody else would make it go on. Raises `NotFound` where there
    is no round, and what `Client.events` raises.
    """
    console = Console()
    if tui and not as_json and not console.is_dumb_terminal:
        return await _dashboard(client, round_id, console, stop_at_pause, replay)
    chosen = round_id or await newest(client)
    try:
        round = await _print(client, chosen, as_json, stop_at_pause, replay)
    except asyncio.CancelledError:
        if not stop_at_pause:  # else the caller plays the round, and says what becomes of it
            _left(chosen)
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return STOPPED
    return exit_code(round)


async def _dashboard(
    client: Client,
    round_id: str | None,
    console: Console,
    stop_at_pause: bool,
    replay: Replay | None,
) -> int:
    """The dashboard until the watcher leaves it; the exit code of the round looked at last."""
    if round_id is None:
        opened = next(iter(await client.rounds(limit=1)), None)
    else:
        opened = await client.round(round_id)
    seen = await app.watch(
        client, opened, stop_at_pause=stop_at_pause, replay=replay, console=console
    )
    if seen is None:
        return 0
    if not stop_at_pause and exit_code(seen) == STOPPED:
        _left(seen["id"])
    return exit_code(seen)


def _left(round_id: str) -> None:
    _say(f"left round {round_id}, which goes on; `aaa watch {round_id}` comes back to it")


def exit_code(round: Round) -> int:
    """What a round's status means for the shell."""
    return {"completed": 0, "failed": 1, "cancelled": 1}.get(round["status"], STOPPED)


async def newest(client: Client) -> str:
    """Id of the newest round. Raises `NotFound` where there is none."""
    found = await client.rounds(limit=1)
    if not found:
        raise NotFound(
            "there is no round yet; `aaa run quickstart` starts one. Is it another server's, or of "
            "another folder? Then set AAA_URL, or AAA_HOME"
        )
    return found[0]["id"]


async def _print(
    client: Client, round_id: str, as_json: bool, stop_at_pause: bool, replay: Replay | None
) -> Round:
    """The round's events as lines on stdout; what happens to the connection on stderr."""
    round = await client.round(round_id)
    form = lines.as_json if as_json else lines.plain
    arriving = follow(client, round, on_drop=_dropped, on_back=_back, stop_at_pause=stop_at_pause)
    async with aclosing(replay.paced(arriving) if replay else arriving) as events:
        async for event in events:
            lines.write(event, sys.stdout, form)
    return await client.round(round_id)


def _dropped(why: str, delay_s: float) -> None:
    _say(f"connection lost, again in {delay_s:.1f} s: {why}")


def _back(last: int) -> None:
    _say(f"connected again; goes on after event {last}")


def _say(words: str) -> None:
    say(one_line(words))
