"""Reaching PostgreSQL: pools of connections, transactions, and what an absent server looks like.

Left out: opening a server (`opening.py`) and its schema (`schema.py`).
"""

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from psycopg.errors import IdleInTransactionSessionTimeout, ReadOnlySqlTransaction
from sqlalchemy import event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import (
    ArgumentError,
    InterfaceError,
    InternalError,
    OperationalError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from aaa.errors import SetupError, StoreError

T = TypeVar("T")
logging.getLogger("psycopg").setLevel(logging.ERROR)  # a cancelled query is no news to a person

log = logging.getLogger(__name__)

IDLE_S = 5.0
"""A transaction that says nothing for so long is rolled back by the server: a frozen process must not
keep others from the rows that it has locked. None of ours waits for anything but the database."""

LOST = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""When a server over TCP counts as gone that says nothing, not even that it is: after 20 to 25 s. libpq's
words: seconds, but `tcp_user_timeout` in ms. The system's own limits are up to two hours."""


class Database:
    """A pool of connections to one PostgreSQL database."""

    def __init__(self, url: str, *, pool: int = 8) -> None:
        """`url`: any PostgreSQL URL. Connects on first use."""
        self.url = url
        parsed = psycopg_url(url)
        self.engine: AsyncEngine = create_async_engine(
            parsed,
            pool_size=pool,
            max_overflow=0,
            pool_timeout=60,
            connect_args=_arguments(parsed),
        )
        event.listen(self.engine.sync_engine, "handle_error", _leave_a_demoted_server)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction: committed at the end, rolled back by an exception.

        Raises `StoreError` when the server does not answer, takes no writes, or ended the transaction to
        break a deadlock or because it said nothing for `IDLE_S`.
        """
        try:
            async with self.engine.begin() as connection:
                yield connection
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise StoreError(f"the database does not answer: {_cause(error)}") from error
        except InternalError as error:
            if isinstance(error.orig, IdleInTransactionSessionTimeout):
                raise StoreError(f"the database gave up on us: {_cause(error)}") from error
            if isinstance(error.orig, ReadOnlySqlTransaction):
                raise StoreError(f"the database takes no writes: {_cause(error)}") from error
            raise

    async def close(self) -> None:
        await self.engine.dispose()


def _arguments(url: URL) -> dict[str, Any]:
    """What connections are opened with beside `url`, whose own values win; its `options` hold, too."""
    own = {name: value for name, value in LOST.items() if name not in url.query}
    idle = f"-c idle_in_transaction_session_timeout={IDLE_S * 1000:.0f}"
    options = " ".join((*url.normalized_query.get("options", ()), idle))
    return own | {"prepare_threshold": 3, "options": options}


def _leave_a_demoted_server(context: ExceptionContext) -> None:
    """A server that takes no writes leads no more: connect anew, to whoever leads now."""
    if isinstance(context.original_exception, ReadOnlySqlTransaction):
        context.is_disconnect = True


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
