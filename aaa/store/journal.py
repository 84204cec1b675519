"""The journal of calls: intents, answers and failures, each one transaction.

Safe under any repetition: an intent is one row per key, an attempt ends once, a turn is one row per (session,
index); whoever comes second changes nothing and reads what the first wrote. So each of these may be repeated
when the database went away in the middle. Every transaction takes the rows of seat and round last and waits
for nothing while it holds them, so none can deadlock.
"""

import asyncio
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.asking import Amount, Attempt, Wish, tokens_of
from aaa.errors import MAYBE_BILLED, ModelError, StoreError
from aaa.failpoints import hit
from aaa.store.budget import NOTHING, Change, caps, minus, plus, reserve, settle
from aaa.store.database import Database, patiently
from aaa.store.events import append
from aaa.store.gates import hold
from aaa.store.notes import Place, owned, record_note
from aaa.store.spool import Kept, Spool
from aaa.store.steering import pause_for
from aaa.store.tables import attempts
from aaa.store.turns import NO_ATTEMPT, find_turn, insert_turn
from aaa.types import Note, Seed, Turn

EXCERPT = 600
"""Characters of a turn's text that travel in its event."""
PROMPT_S = 2.0
"""An answer not committed after so long goes to disk first."""


class Closed(NamedTuple):
    """What an attempt was before it was closed."""

    status: str
    counted: Amount
    """What already counts as spent for it."""


class Journal:
    """`asking.Journal` on PostgreSQL, and the notes beside it."""

    def __init__(self, database: Database, spool: Spool | None = None, seat: str = "") -> None:
        """`spool`: where answers wait on disk while the database is away; `seat`: whose journal it is."""
        self.database = database
        self.spool = spool
        self.seat = seat

    async def begin(self, wish: Wish, worst: Amount, within_s: float) -> Attempt | Turn:
        """Record an intent. One short transaction, committed before the request leaves."""
        key = secrets.token_hex(8)
        return await patiently(lambda: self._begin(wish, key, worst, within_s), for_s=20)

    async def _begin(self, wish: Wish, key: str, worst: Amount, within_s: float) -> Attempt | Turn:
        async with self.database.begin() as connection:
            recorded = await find_turn(connection, wish)
            if recorded is not None:
                return recorded
            await owned(connection, wish.session, wish.epoch)
            number = await _new_attempt(connection, wish, key, worst, within_s)
            if number is None:  # committed before, only nobody heard of it
                return await _attempt_of(connection, wish, key, worst)
            left = await _abandon_older(connection, wish, number)
            started = about(wish) | {"attempt": number}
            hit("begin.inside")
            await reserve(
                connection, wish.round, wish.call.seat, worst, left, ("call.started", started)
            )
            return Attempt(number=number, reserved=worst)

    async def answer(self, wish: Wish, attempt: Attempt, turn: Turn) -> Turn:
        """Record an answer: turn, attempt, money, counters and event commit together.

        It is paid for: while the database is away it lies on disk, fsynced, and is written when it is back.
        """
        writing = asyncio.ensure_future(patiently(lambda: self.write(wish, attempt, turn), for_s=0))
        done, _ = await asyncio.wait({writing}, timeout=PROMPT_S)
        if done and not isinstance(writing.exception(), StoreError):
            return writing.result()
        kept = await self._keep(Kept(wish=wish, attempt=attempt, turn=turn))
        try:
            recorded = await writing
        except StoreError:
            recorded = await patiently(lambda: self.write(wish, attempt, turn), for_s=None)
        if kept is not None and self.spool is not None:
            await asyncio.to_thread(self.spool.drop, kept)
        return recorded

    async def _keep(self, kept: Kept) -> str | None:
        if self.spool is None:
            return None
        name = await asyncio.to_thread(self.spool.keep, kept)
        hit("spool.after")
        return name

    async def write(self, wish: Wish, attempt: Attempt, turn: Turn) -> Turn:
        """One try at recording an answer; the turn on record. A repeat changes nothing."""
        async with self.database.begin() as connection:
            first = await insert_turn(connection, wish, attempt.number, turn)
            hit("answer.inside")
            cost = _cost(turn, attempt.reserved)
            late = None if first else turn.reply.model_dump(mode="json", exclude_none=True)
            was = await _close(connection, wish, attempt, "answered", cost, reply=late)
            if was is not None:
                happened = [("turn", _turn_event(wish, turn))] if first else []
                counters = {
                    "prompt_tokens": turn.reply.prompt_tokens or 0,
                    "completion_tokens": turn.reply.completion_tokens or 0,
                    "turns": int(first),
                }
                change = _change(was, cost, attempt.reserved)
                await settle(connection, wish.round, wish.call.seat, change, happened, counters)
                hit("settle.inside")
            if first:
                return turn
            recorded = await find_turn(connection, wish)
            assert recorded is not None
            return recorded

    async def fail(
        self, wish: Wish, attempt: Attempt, error: ModelError, retry_in_s: float | None
    ) -> None:
        """Record a failed attempt. It cost nothing, or the worst where the provider may have worked."""
        failed = about(wish) | {
            "attempt": attempt.number,
            "kind": error.kind,
            "message": str(error),
            "retry_in_s": None if retry_in_s is None else round(retry_in_s, 3),
        }
        cost = attempt.reserved if error.kind in MAYBE_BILLED else NOTHING
        await patiently(lambda: self._fail(wish, attempt, error, cost, failed), for_s=None)

    async def _fail(
        self, wish: Wish, attempt: Attempt, error: ModelError, cost: Amount, failed: dict[str, Any]
    ) -> None:
        async with self.database.begin() as connection:
            if error.retry_after_s is not None and self.seat:
                await hold(connection, self.seat, wish.call.agent, error.retry_after_s)
            why = {"kind": error.kind, "message": str(error)}
            was = await _close(connection, wish, attempt, "failed", cost, **why)
            hit("fail.inside")
            if was is not None:
                change = _change(was, cost, attempt.reserved)
                happened = [("call.failed", failed)]
                await settle(connection, wish.round, wish.call.seat, change, happened, {})

    async def abandon(self, wish: Wish, attempt: Attempt) -> None:
        """Record that an attempt was broken off; the provider may have worked, so it cost the worst."""

        async def once() -> None:
            async with self.database.begin() as connection:
                was = await _close(connection, wish, attempt, "abandoned", attempt.reserved)
                if was is not None:
                    change = _change(was, attempt.reserved, attempt.reserved)
                    await settle(connection, wish.round, wish.call.seat, change, [], {})

        await patiently(once, for_s=20)

    async def given(self, wish: Wish) -> Turn:
        """Put the words of `call.given` on the record: a turn that cost nothing and had no attempt.

        Raises `LeaseLost` where another claim owns the session.
        """
        reply = wish.call.given
        assert reply is not None
        turn = Turn(index=wish.index, call=wish.call, reply=reply)
        await patiently(lambda: self._given(wish, turn), for_s=20)
        return turn

    async def _given(self, wish: Wish, turn: Turn) -> None:
        async with self.database.begin() as connection:
            await owned(connection, wish.session, wish.epoch)
            if await insert_turn(connection, wish, NO_ATTEMPT, turn):
                happened = [("turn", _turn_event(wish, turn))]
                await append(connection, wish.round, happened, {"turns": 1}, late=True)

    async def note(self, place: Place, note: Note, seed: Seed, turns: Mapping[int, Turn]) -> None:
        """Record a note of the play. `turns`: of its session, by index. Raises `LeaseLost`."""
        await patiently(lambda: record_note(self.database, place, note, seed, turns), for_s=20)


async def pause_at_budget(database: Database, round_id: str) -> None:
    """Pause a running round because its next call could pass a budget; says which, and what to do."""
    async with database.begin() as connection:
        found = await caps(connection, round_id)
    tight = found[0]
    what = tight.setting.rpartition(".")[2].removeprefix("budget_")

    def told(amount: float) -> str:
        return f"${amount:.10g}" if what == "usd" else f"{amount:g} {what}"

    await pause_for(
        database,
        round_id,
        "budget_reached",
        f"the next call could pass the budget of {tight.where}, {told(tight.cap)} (spent "
        f"{told(tight.spent)}, reserved {told(tight.reserved)}); raise it with `aaa rounds set "
        f"{round_id} {tight.setting}=…`, then `aaa rounds resume {round_id}`",
    )


async def _new_attempt(
    connection: AsyncConnection, wish: Wish, key: str, worst: Amount, within_s: float
) -> int | None:
    """Number of a new attempt, `None` where this very intent is on record.

    Whoever took the same number first, a lost owner say, is counted past.
    """
    of_call = (attempts.c.session_id == wish.session) & (attempts.c.index == wish.index)
    number = select(func.coalesce(func.max(attempts.c.attempt), 0) + 1).where(of_call)
    make = pg_insert(attempts).values(
        session_id=wish.session,
        index=wish.index,
        attempt=number.scalar_subquery(),
        epoch=wish.epoch,
        seat=wish.call.seat,
        agent=wish.call.agent,
        key=key,
        status="asking",
        reserved_usd=worst.usd,
        reserved_tokens=worst.tokens,
        expires_at=func.now() + timedelta(seconds=within_s),
    )
    again = select(attempts.c.attempt).where(of_call, attempts.c.key == key)
    if await connection.scalar(again) is not None:
        return None
    while True:
        made = await connection.execute(make.on_conflict_do_nothing().returning(attempts.c.attempt))
        found = made.scalar_one_or_none()
        if found is not None:
            return int(found)


async def _attempt_of(connection: AsyncConnection, wish: Wish, key: str, worst: Amount) -> Attempt:
    number = await connection.scalar(
        select(attempts.c.attempt).where(
            attempts.c.session_id == wish.session,
            attempts.c.index == wish.index,
            attempts.c.key == key,
        )
    )
    assert number is not None
    return Attempt(number=number, reserved=worst)


async def _abandon_older(connection: AsyncConnection, wish: Wish, number: int) -> Amount:
    """Close what a dead process left in flight for this call; what it had reserved.

    Its request may have been served and billed: what was reserved counts as spent.
    """
    left = await connection.execute(
        update(attempts)
        .where(
            attempts.c.session_id == wish.session,
            attempts.c.index == wish.index,
            attempts.c.attempt < number,
            attempts.c.status == "asking",
        )
        .values(ABANDONED)
        .returning(attempts.c.reserved_usd, attempts.c.reserved_tokens)
    )
    total = NOTHING
    for row in left:
        total = plus(total, Amount(usd=float(row.reserved_usd), tokens=row.reserved_tokens))
    return total


ABANDONED: Mapping[Any, Any] = {
    "status": "abandoned",
    "finished_at": func.now(),
    "cost_usd": attempts.c.reserved_usd,
    "tokens": attempts.c.reserved_tokens,
}
"""An attempt of which nobody will hear: what it reserved counts as spent."""


async def _close(
    connection: AsyncConnection,
    wish: Wish,
    attempt: Attempt,
    status: str,
    cost: Amount,
    **more: Any,
) -> Closed | None:
    """End an attempt; what it was before, `None` where it has ended like this already.

    One that counts as abandoned ends again when its answer comes after all.
    """
    this = (
        (attempts.c.session_id == wish.session)
        & (attempts.c.index == wish.index)
        & (attempts.c.attempt == attempt.number)
    )
    found = await connection.execute(
        select(attempts.c.status, attempts.c.cost_usd, attempts.c.tokens)
        .where(this, attempts.c.status.in_(("asking", "abandoned")))
        .with_for_update()
    )
    was = found.one_or_none()
    if was is None or (was.status == "abandoned" and status == "abandoned"):
        return None
    await connection.execute(
        update(attempts)
        .where(this)
        .values(
            status=status,
            cost_usd=cost.usd,
            tokens=cost.tokens,
            finished_at=func.now(),
            **more,
        )
    )
    counted = NOTHING
    if was.status == "abandoned":
        counted = Amount(usd=float(was.cost_usd), tokens=was.tokens)
    return Closed(was.status, counted)


def _change(was: Closed, cost: Amount, reserved: Amount) -> Change:
    """What ending an attempt does: what it reserved is free again, unless that was counted before."""
    if was.status == "abandoned":
        return Change(spent=plus(cost, minus(was.counted)), reserved=NOTHING)
    return Change(spent=cost, reserved=minus(reserved))


def _cost(turn: Turn, worst: Amount) -> Amount:
    """What an answer counts as: the worst, as far as the provider does not tell.

    A request that it refused for good, as too long say, cost nothing.
    """
    if turn.failure is not None:
        return NOTHING
    tokens = tokens_of(turn.reply)
    usd = turn.reply.cost_usd
    return Amount(
        usd=worst.usd if usd is None else usd, tokens=worst.tokens if tokens is None else tokens
    )


def about(wish: Wish) -> dict[str, Any]:
    """What every event of a call tells."""
    call = wish.call
    return {
        "session": wish.session,
        "index": wish.index,
        "seat": call.seat,
        "agent": call.agent,
        "purpose": call.purpose,
    }


def _turn_event(wish: Wish, turn: Turn) -> dict[str, Any]:
    reply = turn.reply
    return about(wish) | {
        "text": reply.text[:EXCERPT],
        "characters": len(reply.text),
        "finish_reason": reply.finish_reason,
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "cost_usd": reply.cost_usd,
        "latency_s": turn.latency_s,
        "failure": None if turn.failure is None else turn.failure.kind,
    }
