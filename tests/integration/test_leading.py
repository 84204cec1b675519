"""Who leads: one supervisor per database, which a restart of the server does not unseat."""

import asyncio

from sqlalchemy import text

from aaa.store.database import Database
from aaa.store.leases import leading
from tests.postgres import Server


async def test_a_restart_of_the_server_does_not_unseat_the_leader(server: Server) -> None:
    """Else each restart would end Ray, every seat and every runner, to start them all again."""
    first, second = Database(server.url), Database(server.url)
    stop = asyncio.Event()
    async with leading(first, stop) as still:
        assert await still()
        await asyncio.to_thread(server.stop)
        assert await still()  # nobody else can lead now
        await asyncio.to_thread(server.start)
        assert await still()
        waiting = asyncio.create_task(_lead(second, stop))
        await asyncio.sleep(1)
        assert not waiting.done()
        assert await still()
    assert await waiting
    await first.close()
    await second.close()


async def test_who_lost_the_lock_to_another_does_not_lead(database: Database) -> None:
    """Its link broke, and another was faster."""
    stop = asyncio.Event()
    other = Database(database.url)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
    async with leading(database, stop) as still:
        waiting = asyncio.create_task(_lead_until(other, stop))
        await asyncio.sleep(0.2)
        async with other.begin() as connection:
            await connection.execute(
                text(
                    f"{cut} AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                )
            )
        await asyncio.sleep(1)
        assert not await still()
    stop.set()
    assert await waiting
    await other.close()


async def test_nobody_leads_by_a_standby(server: Server) -> None:
    """It would lend its lock beside that of the server it follows, and two would lead."""
    with server.followed() as standby:
        database, stop = Database(standby.url), asyncio.Event()
        waiting = asyncio.create_task(_lead(database, stop))
        await asyncio.sleep(1.5)
        assert not waiting.done()
        await asyncio.to_thread(standby.lead)
        assert await asyncio.wait_for(waiting, 30)
        await database.close()


async def _lead(database: Database, stop: asyncio.Event) -> bool:
    async with leading(database, stop) as still:
        return await still()


async def _lead_until(database: Database, stop: asyncio.Event) -> bool:
    async with leading(database, stop) as still:
        await stop.wait()
        return await still()
