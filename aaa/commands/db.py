"""`aaa db upgrade|status|stop`: the database's schema, and the embedded server."""

import asyncio

from aaa.commands.opening import say, show
from aaa.errors import InputError
from aaa.settings import Settings
from aaa.store import embedded
from aaa.store.database import Database
from aaa.store.opening import check_server, database_url
from aaa.store.schema import check_schema, schema_version, upgrade


async def run_upgrade(settings: Settings) -> int:
    """Bring the schema to this code's version."""
    database = Database(await asyncio.to_thread(database_url, settings))
    try:
        await check_server(database)
        before, head = await schema_version(database)
        if before != head:
            await upgrade(database)
        await check_schema(database)
        say(
            f"schema {before or 'none'} -> {head}"
            if before != head
            else f"schema {head} is current"
        )
    finally:
        await database.close()
    return 0


async def status(settings: Settings, as_json: bool) -> int:
    """Where the database is, and whether its schema fits; exit code 3 where it does not."""
    database = Database(await asyncio.to_thread(database_url, settings))
    try:
        await check_server(database)
        found, needed = await schema_version(database)
        state = {
            "embedded": settings.database_url is None,
            "schema": found,
            "needed": needed,
            "current": found == needed,
        }
        if as_json:
            show(state)
        else:
            say(
                f"database: {'embedded in ' + str(settings.home) if state['embedded'] else 'DATABASE_URL'}"
            )
            say(f"schema:   {found or 'none'} (this code needs {needed})")
        await check_schema(database)
    finally:
        await database.close()
    return 0


async def stop(settings: Settings) -> int:
    """Stop the embedded server that a killed process left. Raises `Conflict` where it is in use."""
    if settings.database_url is not None:
        raise InputError(
            "DATABASE_URL names a server of yours; only the embedded one is ours to stop"
        )
    found = await embedded.stop(settings.home)
    said = (
        "no embedded PostgreSQL runs" if found is None else f"stopped PostgreSQL, pid {found.pid},"
    )
    say(f"{said} in {settings.home}")
    return 0
