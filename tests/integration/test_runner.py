"""A runner on a real database: its seats are a function, no Ray."""

import asyncio
from collections import Counter

from aaa.asking import Amount, Attempt, Wish
from aaa.catalogue import Catalogue
from aaa.cluster.line import Granted, Said
from aaa.cluster.runner import Runner
from aaa.store.database import Database
from aaa.store.journal import Journal
from aaa.store.rounds import create_round, get_round
from aaa.types import Reply, Turn
from tests.playing import say

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
        begun = await journal.begin(wish, Amount(usd=0, tokens=0), 60)
        if isinstance(begun, Attempt):
            turn = Turn(index=wish.index, call=wish.call, reply=Reply(text=say(wish.call)))
            begun = await journal.answer(wish, begun, turn)
        return Granted(said=Said.of(begun))

    runner = Runner("runner-0", database.url, seat)
    running = asyncio.create_task(runner.run())
    async with asyncio.timeout(30):
        while (await get_round(database, made.id)).status != "completed":
            await asyncio.sleep(0.05)
    await runner.stop()
    await running
    assert asked.pop(AWAY_AT) == 2
    assert set(asked.values()) == {1}
