"""The database's schema: which version it has, which this code needs, and the way from one to the other.

Apart from `database.py`, since only who opens a database migrates it: Alembic and the ORM that it loads would
cost every runner and every seat half a second.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from aaa.catalogue import shipped
from aaa.errors import SetupError
from aaa.store.database import Database, psycopg_url


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
