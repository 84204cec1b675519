"""A runner on a real database: its seats are a function, no Ray."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from sqlalchemy import func, select, text, update

from aaa.asking import Amount, Attempt, Wish
from aaa.catalogue import Catalogue
from aaa.cluster.line import Granted, Said
from aaa.cluster.runner import Runner
from aaa.errors import StoreError
from aaa.store.database import Database, patiently
from aaa.store.journal import Journal
from aaa.store.leases import End, end_sessions
from aaa.store.rounds import create_round, get_round
from aaa.store.steering import resume_round
from aaa.store.tables import sessions
from aaa.types import Failure, Reply, Turn
from tests.playing import say
from tests.postgres import Server

AWAY_AT = 2
"""The call during which the database is away."""


async def test_a_session_goes_on_from_its_journal_where_the_database_was_away(
    database: Database, catalogue: Catalogue
) -> None:
    """The claim is the first of its session, and stays the same."""
    scenario, folder = catalogue.scenario("small", {})
    script, seeds = catalogue.prepare(scenario, folder)
    made = await create_round(database, script, seeds[:1])
    journal = Journal(database)
    asked: Counter[int] = Counter()

    async def seat(_: str, wish: Wish) -> Granted:
        asked[wish.index] += 1
        if wish.index == AWAY_AT and asked[AWAY_AT] == 1:
            return Granted(away=True)
        return await _recorded(journal, wish)

    runner = Runner("runner-0", database.url, seat)
    running = asyncio.create_task(runner.run())
    async with asyncio.timeout(30):
        while (await get_round(database, made.id)).status != "completed":
            await asyncio.sleep(0.05)
    await runner.stop()
    await running
    assert asked.pop(AWAY_AT) == 2
    assert set(asked.values()) == {1}


async def _recorded(journal: Journal, wish: Wish) -> Granted:
    """What a seat does: the intent on record, then the answer."""
    begun = await journal.begin(wish, Amount(usd=0, tokens=0), 60)
    if isinstance(begun, Attempt):
        turn = Turn(index=wish.index, call=wish.call, reply=Reply(text=say(wish.call)))
        begun = await journal.answer(wish, begun, turn)
    return Granted(said=Said.of(begun))


class _Slow(Runner):
    """A runner that takes its time to renew."""

    async def _renew(self) -> None:
        await asyncio.sleep(1.5)
        await super()._renew()


async def _end_leases(database: Database) -> None:
    async with database.begin() as connection:
        ran_out = func.now() - text("interval '1 second'")
        await connection.execute(update(sessions).values(lease_until=ran_out))


@pytest.mark.parametrize(
    "what", ["the database was away", "the machine slept", "another has just begun"]
)
async def test_after_an_outage_a_session_stays_with_its_owner(
    server: Server, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Nobody could renew meanwhile: each runner first has time to, before others take what ran out."""
    database = Database(server.url)
    scenario, folder = catalogue.scenario("small", {})
    script, seeds = catalogue.prepare(scenario, folder)
    made = await create_round(database, script, seeds)
    asked: Counter[tuple[int, int]] = Counter()
    go_on = asyncio.Event()

    async def seat(_: str, wish: Wish) -> Granted:
        asked[wish.session, wish.index] += 1
        await go_on.wait()
        turn = Turn(index=wish.index, call=wish.call, reply=Reply(text=say(wish.call)))
        return Granted(said=Said.of(turn))

    lease_s = 16.0
    owner = _Slow("runner-0", server.url, seat, lease_s=lease_s)
    other = Runner("runner-1", server.url, seat, lease_s=lease_s)
    running = [asyncio.create_task(owner.run())]
    async with asyncio.timeout(60):
        while len(asked) < len(seeds):
            await asyncio.sleep(0.05)
        if what != "another has just begun":
            running.append(asyncio.create_task(other.run()))
            await asyncio.sleep(lease_s / 4 + 0.5)
        if what == "the machine slept":
            later = SimpleNamespace(time=lambda: time.time() + 100)
            monkeypatch.setattr("aaa.cluster.runner.time", later)
        else:
            await asyncio.to_thread(server.away, 1)
        await patiently(lambda: _end_leases(database))  # as if it had been longer than a lease
        if len(running) == 1:
            running.append(asyncio.create_task(other.run()))
        await asyncio.sleep(3)
        go_on.set()
        while (await get_round(database, made.id)).status != "completed":
            await asyncio.sleep(0.05)
        await asyncio.gather(owner.stop(), other.stop(), *running)
    async with database.begin() as connection:
        assert set(await connection.scalars(select(sessions.c.epoch))) == {1}
    await database.close()
    assert set(asked.values()) == {1}


async def test_a_round_pauses_while_other_calls_of_the_batch_are_out(
    database: Database, catalogue: Catalogue
) -> None:
    """And does not once more when they come home, by when somebody has raised the budget."""
    scenario, folder = catalogue.scenario("small", {"budget_calls": 10_000})
    script, seeds = catalogue.prepare(scenario, folder)
    made = await create_round(database, script, seeds[:1])
    journal, raised, home = Journal(database), asyncio.Event(), asyncio.Event()

    async def seat(_: str, wish: Wish) -> Granted:
        if wish.index == 0 and not raised.is_set():
            return Granted(stopped="budget_reached")
        if wish.index == 1:
            await home.wait()
        return await _recorded(journal, wish)

    runner = Runner("runner-0", database.url, seat)
    running = asyncio.create_task(runner.run())
    async with asyncio.timeout(30):
        while (await get_round(database, made.id)).status != "paused":
            await asyncio.sleep(0.05)
        raised.set()
        await resume_round(database, made.id)
        home.set()
        while (found := await get_round(database, made.id)).status == "running":
            await asyncio.sleep(0.05)
    await runner.stop()
    await running
    assert (found.status, found.reason) == ("completed", "done")


async def test_a_session_that_fails_while_the_database_is_away_is_not_played_again(
    database: Database, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its calls had all their attempts already."""
    scenario, folder = catalogue.scenario("small", {})
    script, seeds = catalogue.prepare(scenario, folder)
    made = await create_round(database, script, seeds[:1])
    asked: Counter[int] = Counter()
    away = [True, True]

    async def seat(_: str, wish: Wish) -> Granted:
        asked[wish.index] += 1
        return Granted(failure=Failure(kind="server", message="no"))

    async def ending(database: Database, ends: Sequence[End]) -> Sequence[None]:
        if away and away.pop():
            raise StoreError("the database does not answer")
        return await end_sessions(database, ends)

    monkeypatch.setattr("aaa.cluster.runner.end_sessions", ending)
    runner = Runner("runner-0", database.url, seat)
    running = asyncio.create_task(runner.run())
    async with asyncio.timeout(30):
        while (await get_round(database, made.id)).status != "failed":
            await asyncio.sleep(0.05)
    await runner.stop()
    await running
    assert not away
    assert set(asked.values()) == {1}
