"""The supervisor: reads what should run, looks at what does, and starts or stops Ray actors.

One leads per database (an advisory lock); others wait to take over. It holds no truth: after a
restart it finds seats and runners on a cluster by their names and goes on.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
from collections.abc import Mapping
from typing import Any

from aaa.catalogue import Script
from aaa.cluster.actors import Actors
from aaa.cluster.conductor import conduct
from aaa.cluster.plan import Desired, plan, seat_name
from aaa.cluster.runtime import keep_signals, start_ray, stop_ray
from aaa.errors import AAAError, StoreError
from aaa.failpoints import hit
from aaa.scenario import AgentCard
from aaa.settings import Settings
from aaa.store.database import Database
from aaa.store.journal import Journal
from aaa.store.leases import Still, heartbeat, leading, settle_empty
from aaa.store.recovery import bring_home, sweep
from aaa.store.rounds import live_scripts, pausing_scripts
from aaa.store.spool import Spool

log = logging.getLogger(__name__)

TICK_S = 0.5
WATCH_S, LOST_S = 2.0, 15.0
"""How often the cluster is looked at; one that does not answer for so long is lost."""
DRAIN_S = 6.0
"""How long calls in flight may take to come home when the supervisor is told to stop."""
STOP_RAY_S = 5.0


class ClusterLost(AAAError):
    """Ray went away under us: this process cannot go on, the next one can."""


async def supervise(settings: Settings, database: Database, stop: asyncio.Event) -> None:
    """Lead, once it is our turn, until `stop` is set. Raises `SetupError` where Ray cannot start."""
    while not stop.is_set():
        async with leading(database, stop) as still:
            if not stop.is_set():
                await _lead(settings, database, stop, still)


async def _lead(settings: Settings, database: Database, stop: asyncio.Event, still: Still) -> None:
    ray = await asyncio.to_thread(start_ray, settings, namespace(database.url))
    keep_signals()
    actors = Actors(ray, settings, database.url)
    await asyncio.to_thread(actors.adopt)
    watching = asyncio.create_task(_watch(ray))
    conducting = asyncio.create_task(conduct(settings, database))
    looping = asyncio.create_task(_loop(settings, database, actors, stop, still))
    await asyncio.wait({watching, looping}, return_when=asyncio.FIRST_COMPLETED)
    if watching.done():
        conducting.cancel()
        await watching
    watching.cancel()
    ours = settings.ray_address is None
    try:
        ours |= await looping
    finally:
        conducting.cancel()
        await asyncio.gather(conducting, return_exceptions=True)
        if ours:
            await actors.drain(DRAIN_S)
        with contextlib.suppress(TimeoutError):  # a dead head is not waited for
            await asyncio.wait_for(asyncio.to_thread(stop_ray, ray, settings), STOP_RAY_S)


async def _watch(ray: Any) -> None:
    """Raises `ClusterLost` when the cluster's head does not answer, or no node is left."""
    while True:
        await asyncio.sleep(WATCH_S)
        try:
            nodes = await asyncio.wait_for(asyncio.to_thread(ray.nodes), LOST_S)
        except Exception as error:
            raise ClusterLost(f"the Ray cluster does not answer: {error!r}") from error
        if not any(node["Alive"] for node in nodes):
            raise ClusterLost("the Ray cluster has no node left")


async def _loop(
    settings: Settings, database: Database, actors: Actors, stop: asyncio.Event, still: Still
) -> bool:
    """Whether we led until `stop`: then the actors are ours to end, else another supervisor has them."""
    needed_at: dict[str, float] = {}
    clock = asyncio.get_running_loop().time
    journal = Journal(database, Spool(settings.home))
    me = f"supervisor@{socket.gethostname()}:{os.getpid()}"
    while not stop.is_set():
        try:
            live = await match(settings, database, actors, needed_at, clock())
            hit("supervise.after")
            await settle_empty(database)
            await sweep(database)
            await bring_home(journal)
            await heartbeat(
                database,
                me,
                "supervisor",
                socket.gethostname(),
                os.getpid(),
                {"rounds": live},
            )
        except StoreError as error:  # it is away; actors go on, and so do we when it is back
            log.warning("supervisor: %s", error)
        except Exception:
            log.exception("supervisor: a pass failed")
        if not await still():
            log.warning("another supervisor leads now")
            return False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), TICK_S)
    return True


async def match(
    settings: Settings,
    database: Database,
    actors: Actors,
    needed_at: dict[str, float],
    now: float,
) -> int:
    """Start and stop actors so that those run which rounds need; how many rounds are live.

    `needed_at`: as `plan` takes it, kept up here. A paused round keeps the seats that its calls come home to.
    """
    scripts = await live_scripts(database)
    desired = Desired(seats=_seats(scripts), runners=settings.runners)
    running = actors.running()
    for name in running:
        needed_at.setdefault(name, now)  # another supervisor's, so far
    needed_at |= dict.fromkeys([*desired.seats, *_seats(await pausing_scripts(database))], now)
    for action in plan(desired, running, needed_at, now):
        log.info("%s %s", action.do, action.name)
        actors.do(action, desired)
    return len(scripts)


def _seats(scripts: Mapping[str, Script]) -> dict[str, AgentCard]:
    """Actor name -> card, of every agent of these rounds."""
    cards = [card for script in scripts.values() for card in script.cards.values()]
    return {seat_name(card): card for card in cards}


def namespace(database_url: str) -> str:
    """Ray namespace of a database: clusters shared by two databases keep their actors apart."""
    return "aaa-" + hashlib.sha256(database_url.encode()).hexdigest()[:12]
