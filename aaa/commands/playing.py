"""How a command plays a round of its own making: here, or where `AAA_URL` says; then reads what it says.

What `aaa judges calibrate` and `aaa rounds rejudge` have in common: their round is an ordinary one, so
it can be watched, stopped with Ctrl-C and gone on with.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from aaa.catalogue import open_catalogue
from aaa.client import Client, connect
from aaa.commands import watch
from aaa.commands.opening import on_terminal, say
from aaa.commands.rounds import tell_going
from aaa.commands.run import everything
from aaa.commands.stopping import STOPPED, held, stopping
from aaa.preflight import check_cluster
from aaa.settings import Settings
from aaa.states import GOING

PROGRESS_S = 10.0
"""Seconds between two lines of progress where there is no live view."""

Start = Callable[[Client], Awaitable[str]]
"""Starts the round, or finds the one to go on with; its id."""
Again = Callable[[str], str]
"""The command that goes on with the round of that id."""
Finish = Callable[[Client, str], Awaitable[None]]
"""Reads an ended round and tells what it says."""


async def play(settings: Settings, start: Start, finish: Finish, *, again: Again, tui: bool) -> int:
    """Start, follow, finish; the exit code."""
    if settings.url is not None:
        async with connect(settings) as client:
            return await _follow(client, await start(client), finish, again, tui, None)
    check_cluster(settings)
    stop = asyncio.Event()
    with stopping(stop):
        async with everything(settings, open_catalogue(settings), stop) as client:
            return await _follow(client, await start(client), finish, again, tui, stop)


async def _follow(
    client: Client,
    round_id: str,
    finish: Finish,
    again: Again,
    tui: bool,
    stop: asyncio.Event | None,
) -> int:
    found = await client.round(round_id)
    if stop is not None and found["status"] == "paused":
        await client.resume(round_id)
    say(f"Round {round_id}: {found['sessions']['total']} sessions. Ctrl-C stops it safely.")
    if stop is not None:
        await tell_going(client, round_id)
    following = asyncio.create_task(_watch(client, round_id, tui))
    asked = asyncio.create_task((stop or asyncio.Event()).wait())
    await asyncio.wait({following, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if not following.done():
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        await held(client.pause(round_id))
        say(f"Stopped. Nothing recorded is lost; go on with:\n  {again(round_id)}")
        return STOPPED
    code = await following
    if code == STOPPED:
        reason = (await client.round(round_id))["message"] or "it does not run"
        say(f"The round is paused: {reason}\nGo on with:\n  {again(round_id)}")
    else:
        await finish(client, round_id)
    return code


async def _watch(client: Client, round_id: str, tui: bool) -> int:
    """Follow until the round ends or pauses: the live view, or a line of progress now and then."""
    if tui and on_terminal():
        return await watch.watch(client, round_id, tui=True, as_json=False, stop_at_pause=True)
    clock = asyncio.get_running_loop().time
    told = clock()
    while True:
        found = await client.round(round_id)
        if found["status"] not in GOING:
            return watch.exit_code(found)
        if clock() - told >= PROGRESS_S:
            told, sessions = clock(), found["sessions"]
            done = sessions["completed"] + sessions["failed"]
            say(f"{done} of {sessions['total']} sessions, ${found['spent_usd']:.4f} spent")
        await asyncio.sleep(0.3)
