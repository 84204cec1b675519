"""Lock order: what a call's intent holds never makes a cancel of its round wait for it."""

import asyncio

import pytest
from sqlalchemy import select, text

from aaa.asking import Amount, Wish
from aaa.catalogue import Catalogue
from aaa.errors import StoreError
from aaa.gate import RoundStopped
from aaa.store.database import Database
from aaa.store.journal import Journal
from aaa.store.leases import claim_sessions
from aaa.store.rounds import create_round
from aaa.store.tables import rounds
from aaa.types import Call, Message


async def test_a_cancel_does_not_wait_for_a_call_that_begins(
    database: Database, catalogue: Catalogue
) -> None:
    script, seeds = catalogue.prepare(*catalogue.scenario("small"))
    made = await create_round(database, script, seeds)
    (claim, *_) = await claim_sessions(database, "runner-0@test", 1)
    call = Call(
        seat="student",
        agent=script.cast["student"][0].name,
        purpose="draft",
        messages=(Message(role="user", content="?"),),
    )
    wish = Wish(
        round=made.id, session=claim.session, epoch=claim.epoch, index=0, call=call, sampling_seed=0
    )
    async with (
        database.begin() as cancelling
    ):  # as `cancel_round` does: the round, then its sessions
        await cancelling.execute(
            select(rounds.c.id).where(rounds.c.id == made.id).with_for_update()
        )
        beginning = asyncio.create_task(Journal(database).begin(wish, Amount(usd=0, tokens=0), 60))
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while not (await cancelling.execute(text(waits))).scalar_one():
            await asyncio.sleep(0.02)
        await cancelling.execute(text("SET LOCAL lock_timeout = '500ms'"))
        await cancelling.execute(
            text("UPDATE sessions SET epoch = epoch + 1 WHERE id = :id"), {"id": claim.session}
        )
        await cancelling.execute(
            text("UPDATE rounds SET status = 'cancelled' WHERE id = :id"), {"id": made.id}
        )
    with pytest.raises(RoundStopped, match="cancelled"):
        await beginning


async def test_a_transaction_that_the_server_gave_up_on_is_no_raw_error(database: Database) -> None:
    async def too_slow() -> None:
        async with database.begin() as connection:
            await connection.execute(text("SET idle_in_transaction_session_timeout = '20ms'"))
            await asyncio.sleep(0.3)
            await connection.execute(text("SELECT 1"))

    with pytest.raises(StoreError, match="the database gave up on us"):
        await too_slow()
