"""Steering commands that were done, by their Idempotency-Key: one that is sent again is not done again.

Left out: what starts something keeps its key in its own row (`rounds.py`, `courses.py`).
"""

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.errors import Conflict
from aaa.store.database import Database
from aaa.store.tables import commands
from aaa.types import fingerprint


async def first_time(connection: AsyncConnection, key: str | None, *command: object) -> bool:
    """Whether that command is to be done now: it has no key, or one that is kept with this transaction.

    Of two at once the second waits here until the first has committed. Raises `Conflict` for a key of
    another command.
    """
    if key is None:
        return True
    kept = await connection.scalar(
        pg_insert(commands)
        .values(key=key, request_hash=fingerprint(command))
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(commands.c.key)
    )
    return kept is not None or not await _done(connection, key, command)


async def done_before(database: Database, key: str | None, *command: object) -> bool:
    """Whether that command was done under this key. Raises as `first_time`."""
    if key is None:
        return False
    async with database.begin() as connection:
        return await _done(connection, key, command)


async def _done(connection: AsyncConnection, key: str, command: tuple[object, ...]) -> bool:
    query = select(commands.c.request_hash).where(commands.c.key == key)
    found = await connection.scalar(query)
    if found not in (None, fingerprint(command)):
        raise Conflict(f"Idempotency-Key {key!r} was used for another command; take a new key")
    return found is not None
