"""What promises are tested on: databases, and the control plane as a process of its own."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from aaa.api import server
from aaa.api.app import create_app
from aaa.catalogue import Catalogue
from aaa.settings import Settings
from aaa.store.database import Database
from aaa.store.rounds import create_round
from tests.acceptance.processes import AAA, new_home, started
from tests.catalogues import small_catalogue


class ControlPlane(NamedTuple):
    """A control plane that listens."""

    url: str
    pid: int


@contextmanager
def control_plane(database_url: str, stalled_s: float | None = None) -> Iterator[ControlPlane]:
    """A process that serves the API over this database and starts nothing else.

    `stalled_s`: patience with readers that take nothing; `None` is `aaa serve` as it is shipped.
    """
    command = [AAA, "serve", "--no-supervisor", "--port", "0"]
    if stalled_s is not None:
        command = [sys.executable, "-m", __name__, database_url, str(stalled_s)]
    with new_home() as home, started(command, home, DATABASE_URL=database_url) as process:
        url = process.wait_for(r"http://127\.0\.0\.1:\d+").group(0)
        yield ControlPlane(url, process.process.pid)


@asynccontextmanager
async def opened(url: str, pool: int = 8) -> AsyncIterator[Database]:
    """A database, closed at the end."""
    database = Database(url, pool=pool)
    try:
        yield database
    finally:
        await database.close()


async def new_round(database: Database, questions: int = 3, **scenario: Any) -> str:
    """A round of the small scenario that nobody plays yet; its id."""
    with tempfile.TemporaryDirectory() as folder:
        catalogue = small_catalogue(Path(folder) / "small", questions=questions, **scenario)
        script, seeds = catalogue.prepare(*catalogue.scenario("small"))
    return (await create_round(database, script, seeds)).id


async def _serve(database_url: str, stalled_s: float) -> None:
    """The control plane with another patience, until SIGTERM ends the process."""
    server.UNTAKEN_MS = int(stalled_s * 1500)
    async with opened(database_url) as database:
        app = create_app(
            Settings(), database, Catalogue((), ()), keep_alive_s=stalled_s / 6, stalled_s=stalled_s
        )
        ready = asyncio.Event()
        serving = asyncio.create_task(
            server.serve(app, "127.0.0.1", 0, ready=ready, stop=asyncio.Event())
        )
        await ready.wait()
        print(app.state.url, flush=True)
        await serving


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], float(sys.argv[2])))
