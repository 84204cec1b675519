"""The schema: what migrations make is what the tables say, and populated data goes down and up again."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from aaa.catalogue import Catalogue
from aaa.store.database import Database, check_schema, downgrade, schema_version, upgrade
from aaa.store.rounds import create_round
from aaa.store.tables import metadata
from tests.playing import play_round


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
