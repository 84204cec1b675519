"""Database and control plane of a command that plays a round itself, beside a supervisor that starts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aaa.catalogue import Catalogue
from aaa.client import Client
from aaa.cluster.keeper import TRIES, Supervised
from aaa.errors import Conflict, SetupError
from aaa.settings import Settings
from aaa.store.database import Database
from aaa.store.leases import alive
from aaa.store.opening import open_database


@asynccontextmanager
async def local_plane(
    settings: Settings, catalogue: Catalogue, supervised: Supervised, stop: asyncio.Event
) -> AsyncIterator[Client]:
    """A client of it while the block runs, once the supervisor leads; its error ends the block.

    Raises `Conflict` where `stop` was set before, `SetupError` where no supervisor comes to lead.
    """
    async with open_database(settings) as database:
        supervisor = supervised.with_database(database.url)
        from aaa.api.server import local_api  # two seconds, in which the supervisor starts Ray

        try:
            async with (
                local_api(settings, database, catalogue) as own,
                Client(*own) as client,
            ):
                await _leads(database, supervised, supervisor, stop)
                async with asyncio.TaskGroup() as group:
                    watched = group.create_task(_unless_stopped(supervisor))
                    yield client
                    watched.cancel()
        except BaseExceptionGroup as group_error:
            raise group_error.exceptions[0] from None
        finally:
            stop.set()
            await asyncio.gather(supervisor, return_exceptions=True)


async def _leads(
    database: Database,
    supervised: Supervised,
    supervisor: asyncio.Task[None],
    stop: asyncio.Event,
) -> None:
    """Wait for a supervisor that leads. Raises what ended ours, and as `local_plane`."""
    while not stop.is_set():
        if "supervisor" in await alive(database, ["supervisor"], 5):
            return
        if supervisor.done():
            await supervisor
        if len(supervised.ended) >= TRIES:
            raise SetupError(
                f"{TRIES} supervisors ended before one led; the last: {supervised.ended[-1]}"
            )
        await asyncio.sleep(0.1)
    raise Conflict("stopped before it began")


async def _unless_stopped(supervisor: asyncio.Task[None]) -> None:
    await asyncio.shield(supervisor)
