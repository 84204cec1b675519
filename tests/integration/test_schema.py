"""The schema: what migrations make is what the tables say, and populated data goes down and up again."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, select, text
from sqlalchemy.engine import make_url

from aaa.catalogue import Catalogue
from aaa.errors import SetupError
from aaa.store.database import Database
from aaa.store.opening import _create_database, check_server
from aaa.store.rounds import create_round, get_round
from aaa.store.schema import check_schema, downgrade, schema_version, upgrade
from aaa.store.tables import metadata, seat_usage
from tests.playing import play_round
from tests.postgres import Server


async def differences(database: Database) -> list[object]:
    def compare(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    async with database.begin() as connection:
        return await connection.run_sync(compare)


async def test_migrated_is_what_the_tables_say(database: Database) -> None:
    assert await differences(database) == []


async def test_down_and_up_again(database: Database, catalogue: Catalogue) -> None:
    scenario, folder = catalogue.scenario("small")
    made = await create_round(database, *catalogue.prepare(scenario, folder))
    await play_round(database, made.id)
    _, head = await schema_version(database)
    await downgrade(database, "base")
    assert await schema_version(database) == (None, head)
    await upgrade(database)
    await check_schema(database)
    assert await differences(database) == []
    again = await create_round(database, *catalogue.prepare(scenario, folder))
    assert await play_round(database, again.id) == 3


async def test_an_older_schema_says_how_to_upgrade(database: Database) -> None:
    await downgrade(database, "0001")
    with pytest.raises(SetupError, match=r"is 0001, this code needs .*`aaa db upgrade`"):
        await check_schema(database)


async def test_a_newer_schema_says_to_install_a_newer_aaa(database: Database) -> None:
    async with database.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for look in (check_schema, upgrade):
        with pytest.raises(SetupError, match=r"is 9999, newer than this code .*newer AAA"):
            await look(database)


async def test_a_server_that_could_lose_answers_is_refused(database: Database) -> None:
    """Set at the running server, as an administrator would, and set back."""
    await check_server(database)
    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        try:
            await _set(database, f"ALTER SYSTEM SET {name} = off")
            with pytest.raises(SetupError, match=rf"{name} = off.*Set {name} = on"):
                await check_server(database)
        finally:
            await _set(database, f"ALTER SYSTEM RESET {name}")
    await check_server(database)


async def test_a_server_that_waits_for_its_standbys_is_as_good(database: Database) -> None:
    try:
        await _set(database, "ALTER SYSTEM SET synchronous_commit = remote_apply")
        assert await shown(database, "synchronous_commit") == "remote_apply"
        await check_server(database)
    finally:
        await _set(database, "ALTER SYSTEM RESET synchronous_commit")


async def test_what_a_url_sets_holds_whoever_connects(empty_database_url: str) -> None:
    """Options as migrations have them; what we need holds beside."""
    asked = {"options": "-c search_path=pg_catalog -c work_mem=7MB", "connect_timeout": "7"}
    url = make_url(empty_database_url).update_query_dict(asked)
    database = Database(url.render_as_string(hide_password=False))
    assert await shown(database, "search_path") == "pg_catalog"
    assert await shown(database, "work_mem") == "7MB"
    assert await shown(database, "idle_in_transaction_session_timeout") == "5s"
    async with database.engine.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        assert isinstance(raw, psycopg.AsyncConnection)
        told = raw.info.get_parameters()
    assert (told["connect_timeout"], told["tcp_user_timeout"]) == ("7", "20000")
    await database.close()


async def shown(database: Database, name: str) -> str:
    async with database.begin() as connection:
        return str(await connection.scalar(text(f"SHOW {name}")))


async def _set(database: Database, statement: str) -> None:
    async with database.engine.connect() as connection:
        plain = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await plain.execute(text(statement))
        await plain.execute(text("SELECT pg_reload_conf()"))
    await asyncio.sleep(0.5)  # a session reads it at its next statement
    await database.close()


async def test_rounds_from_before_the_budgets_of_seats_count_what_they_used(
    database: Database, catalogue: Catalogue
) -> None:
    made = await create_round(database, *catalogue.prepare(*catalogue.scenario("small")))
    await play_round(database, made.id)
    before = await get_round(database, made.id)
    await downgrade(database, "0001")
    await upgrade(database)
    after = await get_round(database, made.id)
    assert (after.calls, after.spent_tokens) == (before.calls, before.spent_tokens)
    assert after.calls == after.turns > 0
    async with database.begin() as connection:
        found = await connection.execute(
            select(seat_usage.c.seat, seat_usage.c.calls, seat_usage.c.spent_usd)
        )
        seats = {row.seat: row for row in found}
    assert set(seats) == {"student", "teacher", "judge"}
    assert sum(row.calls for row in seats.values()) == after.calls
    assert float(sum(row.spent_usd for row in seats.values())) == pytest.approx(after.spent_usd)


def test_several_who_find_a_new_server_make_one_database(server: Server) -> None:
    """As `aaa serve` for the rounds and another for the API, started together in a new folder."""
    admin = make_url(server.url).set(database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("DROP DATABASE aaa WITH (FORCE)")
    together = threading.Barrier(6)

    def make(_: int) -> None:
        together.wait()
        _create_database(admin)

    with ThreadPoolExecutor(6) as several:
        list(several.map(make, range(6)))
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
