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

from aaa.cluster.actors import Actors
from aaa.cluster.plan import Desired, plan, seat_name
from aaa.cluster.runtime import keep_signals, start_ray, stop_ray
from aaa.errors import StoreError
from aaa.settings import Settings
from aaa.store.database import Database
from aaa.store.leases import Still, heartbeat, leading, settle_empty
from aaa.store.rounds import live_scripts

log = logging.getLogger(__name__)

TICK_S = 0.5
DRAIN_S = 9.0
"""How long calls in flight may take to come home when the supervisor is told to stop."""


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
    try:
        await _loop(settings, database, actors, stop, still)
    finally:
        await actors.drain(DRAIN_S)
        await asyncio.to_thread(stop_ray, ray, settings)


async def _loop(
    settings: Settings, database: Database, actors: Actors, stop: asyncio.Event, still: Still
) -> None:
    needed_at: dict[str, float] = {}
    clock = asyncio.get_running_loop().time
    me = f"supervisor@{socket.gethostname()}:{os.getpid()}"
    while not stop.is_set():
        try:
            scripts = await live_scripts(database)
            cards = [card for script in scripts.values() for card in script.cards.values()]
            seats = {seat_name(card): card for card in cards}
            desired = Desired(seats=seats, runners=settings.runners)
            needed_at |= dict.fromkeys(seats, clock())
            for action in plan(desired, actors.running(), needed_at, clock()):
                log.info("%s %s", action.do, action.name)
                actors.do(action, desired)
            await settle_empty(database)
            await heartbeat(
                database,
                me,
                "supervisor",
                socket.gethostname(),
                os.getpid(),
                {"rounds": len(scripts)},
            )
        except StoreError:  # the database is away; actors go on, and so do we when it is back
            log.exception("supervisor: a pass failed")
        if not await still():
            log.warning("another supervisor leads now")
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), TICK_S)


def namespace(database_url: str) -> str:
    """Ray namespace of a database: clusters shared by two databases keep their actors apart."""
    return "aaa-" + hashlib.sha256(database_url.encode()).hexdigest()[:12]
