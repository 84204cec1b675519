"""P1: the schema can be changed with rounds in it, and a change that dies half way can be made again.

Down one step and up again on a populated database; and `aaa db upgrade` killed with SIGKILL after a
chosen statement of its own, which an event trigger of the test's holds up for a moment.
"""

import asyncio
import random
import subprocess
import sys
from contextlib import suppress
from typing import Any, NamedTuple

import psycopg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from aaa.catalogue import shipped
from aaa.store.schema import downgrade, schema_version, upgrade
from aaa.store.tables import metadata
from tests.acceptance.processes import AAA, new_home, until
from tests.chaos.promise import Promise, main
from tests.chaos.rows import all_rows, connect, count, differing
from tests.chaos.stage import new_round, opened
from tests.playing import play_round
from tests.postgres import embedded_server, empty_database

HOLD_UP = """
CREATE SCHEMA chaos;
CREATE SEQUENCE chaos.statements;
CREATE TABLE chaos.stop AS SELECT 0 AS at;
CREATE FUNCTION chaos.hold_up() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('chaos.statements') = (SELECT at FROM chaos.stop) THEN PERFORM pg_sleep(1); END IF;
END $$;
CREATE EVENT TRIGGER hold_up ON ddl_command_end EXECUTE FUNCTION chaos.hold_up();
"""


class Outcome(NamedTuple):
    """What it came to."""

    heads: int
    differences: int
    """Between what the migrations make and what the tables say."""
    steps: int
    """Migrations that were undone and made again on populated data."""
    rows: int
    """Rows that were there all the time."""
    changed: int
    """Rows that a step, a kill or a second run lost, made up or altered."""
    kills: int
    half: int
    """Kills after which the schema was not exactly the old one."""
    unfinished: int
    """Second runs that did not bring it to the newest."""

    @property
    def holds(self) -> bool:
        wrong = (self.differences, self.changed, self.half, self.unfinished)
        return self.heads == 1 and not any(wrong) and self.kills > 0 and self.rows > 0


def migrate(kills: int = 60, questions: int = 50, seed: int = 0) -> Outcome:
    """`kills` spread over the steps and their statements; a round of so many `questions` is in it."""
    scripts = ScriptDirectory(str(shipped("migrations")))
    # newest first: the step that each makes begins at the one before
    steps = [(str(s.down_revision or "base"), s.revision) for s in scripts.walk_revisions()]
    with embedded_server() as server, empty_database(server) as url:
        asyncio.run(_populate(url, questions))
        rows = all_rows(url)
        changed = sum(_down_and_up(url, before) for before, _ in steps if before != "base")
        with connect(url) as connection:
            connection.execute(HOLD_UP)
        chance = random.Random(seed)
        ends = [_kill(url, steps[n % len(steps)][0], chance) for n in range(kills)]
        return Outcome(
            heads=len(scripts.get_heads()),
            differences=asyncio.run(_differences(url)),
            steps=len(steps) - 1,
            rows=count(rows),
            changed=changed + sum(end.changed for end in ends),
            kills=kills,
            half=sum(end.half for end in ends),
            unfinished=sum(end.unfinished for end in ends),
        )


class _End(NamedTuple):
    changed: int
    half: bool
    unfinished: bool


async def _populate(url: str, questions: int) -> None:
    async with opened(url) as database:
        await upgrade(database)
        await play_round(database, await new_round(database, questions))


def _down_and_up(url: str, revision: str) -> int:
    """Take it back to that revision and up again; rows that changed, as far as the older schema has them."""
    rows = all_rows(url)
    asyncio.run(_to(url, revision))
    older = all_rows(url)
    asyncio.run(_to(url, "head"))
    newer = all_rows(url)
    return differing(older, rows) + differing(older, newer)


def _kill(url: str, revision: str, chance: random.Random) -> _End:
    """Kill an upgrade from that revision after one of its statements, then run it again."""
    if not all_rows(url)["rounds"]:  # a step from nothing has been made before
        asyncio.run(_populate(url, 3))
    asyncio.run(_to(url, revision))
    version, rows = asyncio.run(_version(url)), all_rows(url)
    with connect(url) as connection:
        _stop_at(connection, 0)
        asyncio.run(_to(url, "head"))
        statements = _statements(connection)
        asyncio.run(_to(url, revision))
        at = chance.randint(1, statements)
        _stop_at(connection, at)
        _upgrade_and_die(url, connection, at)
        _stop_at(connection, 0)
    half = asyncio.run(_version(url)) != version or differing(rows, all_rows(url)) > 0
    with suppress(DBAPIError):  # then it stays unfinished
        asyncio.run(_to(url, "head"))
    found, head = asyncio.run(_head(url))
    return _End(differing(rows, all_rows(url)), half, found != head)


def _upgrade_and_die(url: str, connection: "psycopg.Connection[dict[str, Any]]", at: int) -> None:
    """`aaa db upgrade`, killed while it makes statement `at`; its server process is waited for."""
    with new_home() as home:
        process = subprocess.Popen(
            [AAA, "db", "upgrade"], env=home.env | {"DATABASE_URL": url}, stderr=subprocess.PIPE
        )
        try:
            until(lambda: _statements(connection) >= at, f"statement {at}", within_s=60)
        finally:
            process.kill()
            process.communicate()
    busy = "SELECT count(*) AS n FROM pg_stat_activity WHERE state = 'active' AND datname = "
    busy += "current_database() AND pid <> pg_backend_pid()"
    until(lambda: connection.execute(busy).fetchone() == {"n": 0}, "the transaction's end", 30)


def _stop_at(connection: "psycopg.Connection[dict[str, Any]]", statement: int) -> None:
    connection.execute("SELECT setval('chaos.statements', 1, false)")
    connection.execute("UPDATE chaos.stop SET at = %s", (statement,))


def _statements(connection: "psycopg.Connection[dict[str, Any]]") -> int:
    """Statements that changed the schema since `_stop_at`; seen while they are not committed."""
    row = connection.execute("SELECT last_value, is_called FROM chaos.statements").fetchone()
    assert row is not None
    return int(row["last_value"]) if row["is_called"] else 0


async def _to(url: str, revision: str) -> None:
    async with opened(url) as database:
        if revision == "head":
            await upgrade(database)
        else:
            await downgrade(database, revision)


async def _head(url: str) -> tuple[str | None, str]:
    async with opened(url) as database:
        return await schema_version(database)


async def _version(url: str) -> str | None:
    return (await _head(url))[0]


async def _differences(url: str) -> int:
    def compare(connection: Connection) -> int:
        return len(compare_metadata(MigrationContext.configure(connection), metadata))

    async with opened(url) as database, database.begin() as connection:
        return await connection.run_sync(compare)


PROMISE = Promise(
    "P1",
    "schema changes are safe on populated data, and after a kill in their middle",
    migrate,
    {"kills": 3, "questions": 5},
)

if __name__ == "__main__":
    sys.exit(main(PROMISE))
