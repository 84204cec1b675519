"""`aaa run`: the whole job in one process, from a scenario's name to pairs on disk.

Embedded database and Ray where none is configured, the API on loopback, the round started through it,
the live view until it is done, the pairs exported. Ctrl-C pauses the round, drains and says how to go on;
a second one stops at once. Nothing recorded is lost either way.
"""

import asyncio
import contextlib
import shlex
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aaa.catalogue import Catalogue, Script
from aaa.client import Client
from aaa.cluster.keeper import supervising
from aaa.commands import staged
from aaa.commands.opening import arguments, check_resumed, command_name, on_terminal, say, show
from aaa.commands.rounds import tell_going, unfinished
from aaa.commands.scenarios import prepared
from aaa.commands.stopping import STOPPED, held, stopping
from aaa.commands.table import print_rows
from aaa.corpus.conditions import Refused
from aaa.estimate import Estimate, estimate
from aaa.logs import set_up, to_file
from aaa.preflight import check_cluster, check_prices, check_reach
from aaa.scenario import AgentCard, Scenario
from aaa.settings import Settings
from aaa.states import LIVE

BUDGET = "budget_reached"


class Wanted(NamedTuple):
    """The arguments of `aaa run`."""

    scenario: str
    overrides: dict[str, Any]
    budget_usd: float | None = None
    resume: str | None = None
    tui: bool = True
    as_json: bool = False
    next_steps: bool = False


def dry_run(settings: Settings, wanted: Wanted) -> int:
    """Check everything, rehearse, print calls and cost. Spends nothing, starts nothing."""
    if staged.is_staged(settings, wanted.scenario):
        return staged.dry_run(settings, wanted.scenario, _overrides(wanted), wanted.as_json)
    _, script, seeds = prepared(settings, wanted.scenario, _overrides(wanted))
    found = estimate(script, seeds)
    if wanted.as_json:
        show(found.model_dump(mode="json"))
    else:
        tell_estimate(found)
        for line in short_of(script.scenario, found):
            say(line)
    check_prices(script)
    return 0


def short_of(scenario: Scenario, found: Estimate) -> list[str]:
    """A line for each budget of the round that it could reach before its end."""
    money, calls = scenario.budget_usd, scenario.budget_calls
    lines = []
    if money is not None and found.cost_usd is not None and found.cost_usd > money:
        lines.append(f"budget_usd {money:g} may not do: it could cost up to ${found.cost_usd:.4f}")
    if calls is not None and found.calls > calls:
        lines.append(f"budget_calls {calls} may not do: it could ask up to {found.calls} times")
    return [f"{line}; the round pauses there, and goes on when you raise it" for line in lines]


async def run(settings: Settings, wanted: Wanted) -> int:
    """Play a round to its end, or a course through its stages; exit code 0 when it completed."""
    if staged.is_staged(settings, wanted.scenario):
        asked = staged.Asked(
            wanted.scenario, _overrides(wanted), wanted.resume, wanted.as_json, wanted.budget_usd
        )
        return await staged.run(settings, asked, everything)
    if _shows(wanted):
        settings = to_file(settings, "aaa")  # a line on stderr would stand in the dashboard
        set_up(settings, "aaa")
    catalogue, script, _ = prepared(settings, wanted.scenario, _overrides(wanted))
    check_prices(script)
    check_cluster(settings)
    if settings.ray_address is None:
        check_reach(script, settings)
    say(f"Starting {script.scenario.name}: database, Ray and control plane on this machine …")
    stop = asyncio.Event()
    with stopping(stop):
        async with everything(settings, catalogue, stop, script.cards.values()) as client:
            round_id = await _begin(client, script, wanted)
            await tell_going(client, round_id)
            began = time.monotonic()
            code = await _follow(client, round_id, wanted, stop)
            if code == STOPPED:
                await held(client.pause(round_id))
                found = await client.round(round_id)
                first = "raise the budget as said above, then " if found["reason"] == BUDGET else ""
                again = _again(wanted, round_id)
                say(f"Stopped. Nothing recorded is lost; {first}go on with:\n  {again}")
            else:
                elapsed_s = time.monotonic() - began
                from aaa.commands.concluding import conclude  # brings NumPy

                left = await conclude(settings, client, script, round_id, wanted, elapsed_s)
                if left.refused is not None:
                    raise Refused(left.refused)
    return code


def _overrides(wanted: Wanted) -> dict[str, Any]:
    money = {} if wanted.budget_usd is None else {"budget_usd": wanted.budget_usd}
    return wanted.overrides | money


@asynccontextmanager
async def everything(
    settings: Settings, catalogue: Catalogue, stop: asyncio.Event, cards: Iterable[AgentCard] = ()
) -> AsyncIterator[Client]:
    """Database, supervisor and API while the block runs; a supervisor's error ends the block.

    `cards` are of who will be seated, where that is known: what they need is loaded once, and at once.
    """
    async with supervising(settings, stop, cards) as supervised:
        from aaa.commands.local_plane import local_plane  # a second, in which the supervisor loads

        async with local_plane(settings, catalogue, supervised, stop) as client:
            yield client


async def _begin(client: Client, script: Script, wanted: Wanted) -> str:
    """Start the round, or resume the one asked for; its id."""
    open_ = await unfinished(client, script.scenario.name)
    resume = next(iter(open_), None) if wanted.resume == staged.LAST else wanted.resume
    if resume is not None:
        found = await client.round(resume)
        check_resumed(found, script.scenario.name)
        ended = found["status"] not in LIVE
        if ended:  # only a live round can change
            await client.resume(resume)
        if wanted.budget_usd is not None:
            await client.retune(resume, {"budget_usd": wanted.budget_usd})
        if found["status"] == "paused":
            await client.resume(resume)
        say(f"Round {resume} goes on: {progress(dict(found))}")
        return resume
    for old in open_[:1]:
        say(f"(An earlier round did not end; go on with it by: {_again(wanted, old)})")
    made = await client.start_round(script.scenario.name, overrides=_overrides(wanted))
    say(f"Round {made['id']}: {made['sessions']['total']} sessions. Ctrl-C stops it safely.")
    return made["id"]


def progress(found: dict[str, Any]) -> str:
    sessions = found["sessions"]
    return f"{sessions['completed']} of {sessions['total']} sessions completed"


def _shows(wanted: Wanted) -> bool:
    """Whether the round is shown as a dashboard."""
    return wanted.tui and on_terminal() and not wanted.as_json


def _again(wanted: Wanted, round_id: str) -> str:
    repeated = arguments(wanted.overrides, resume=round_id)
    return f"{command_name()} run {shlex.quote(wanted.scenario)}{repeated}"


async def _follow(client: Client, round_id: str, wanted: Wanted, stop: asyncio.Event) -> int:
    """Watch until the round ends or we are asked to stop; the exit code."""
    from aaa.commands import watch

    follow = watch.watch(
        client, round_id, tui=_shows(wanted), as_json=wanted.as_json, stop_at_pause=True
    )
    watching = asyncio.create_task(follow)
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({watching, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if watching.done():
        return await watching
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
    say("Stopping: calls in flight come home (at most 10 s) …")
    return STOPPED


def tell_estimate(found: Estimate) -> None:
    """Calls and cost: a line each on stdout, their sum in words on stderr."""
    rows = [
        line.model_dump()
        | {"cost_usd": "unknown" if line.cost_usd is None else f"{line.cost_usd:.4f}"}
        for line in found.lines
    ]
    columns = ("seat", "agent", "purpose", "calls", "prompt_tokens", "completion_tokens")
    print_rows(
        (
            *columns,
            "cost_usd",
        ),
        rows,
    )
    cost = "unknown" if found.cost_usd is None else f"${found.cost_usd:.4f}"
    say(
        f"{found.sessions} sessions, at most {found.calls} calls, at most {cost}; nothing was spent."
    )
    if found.unpriced:
        say(f"No price is known for: {', '.join(found.unpriced)}")
