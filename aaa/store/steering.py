"""Steering rounds: the transitions that users ask for, and what runners and seats read of them.

A round's `status` is what is wanted; runners and seats obey it. Every transition is one transaction
that locks the round's row, so two callers cannot both win.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import Field
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.errors import Conflict, InputError
from aaa.failpoints import hit
from aaa.scenario import MOST_COUNT, MOST_USD, Budget
from aaa.states import ENDED, GOING, LIVE
from aaa.store.commands import first_time
from aaa.store.database import Database
from aaa.store.events import append
from aaa.store.rounds import Round, counters, find
from aaa.store.tables import rounds, seat_usage, sessions
from aaa.types import Value

LEGAL: Mapping[str, tuple[str, ...]] = {
    "pause": GOING,
    "resume": ("paused", "failed", "completed"),
    "cancel": LIVE,
}
"""Command -> states in which it is legal. A finished round resumes only if it has failed sessions."""


async def pause_round(
    database: Database, round_id: str, *, halt: bool = False, key: str | None = None
) -> Round:
    """No further call begins; those in flight come home, or with `halt` are broken off.

    A paused round whose calls still come home may be halted. A command whose `key` was seen before is not
    done again: the round as it is. Raises `Conflict`, `NotFound`.
    """
    async with database.begin() as connection:
        if not await first_time(connection, key, "pause", round_id, halt):
            return await find(connection, round_id)
        row = await find(connection, round_id, lock=True)
        if not (halt and row.status == "paused"):
            _check_legal(row, "pause")
            await set_status(connection, round_id, "paused", "asked", "paused on request")
        await connection.execute(update(rounds).where(rounds.c.id == round_id).values(halt=halt))
        hit("steer.inside")
        return await find(connection, round_id)


async def pause_for(database: Database, round_id: str, reason: str, message: str) -> None:
    """Pause a running round for a reason of our own. Repeats, and rounds that do not run, change nothing."""
    async with database.begin() as connection:
        row = await find(connection, round_id, lock=True)
        if row.status in LEGAL["pause"]:
            await set_status(connection, round_id, "paused", reason, message)


async def resume_round(database: Database, round_id: str, *, key: str | None = None) -> Round:
    """Go on where it stopped; sessions that failed are tried again. `key`, errors: as `pause_round`."""
    async with database.begin() as connection:
        if not await first_time(connection, key, "resume", round_id):
            return await find(connection, round_id)
        before = await _legal(connection, round_id, "resume")
        if before.status == "completed" and not before.sessions["failed"]:
            raise Conflict(f"round {round_id!r} is completed; there is nothing left to resume")
        again = await connection.execute(
            update(sessions)
            .where(sessions.c.round_id == round_id, sessions.c.status == "failed")
            .values(status="queued", reason="", message="", finished_at=None)
        )
        await connection.execute(
            update(rounds)
            .where(rounds.c.id == round_id)
            .values(status="running", halt=False, reason="", message="", finished_at=None)
        )
        await append(
            connection,
            round_id,
            [("round.running", {"reason": "resumed"})],
            {"sessions_failed": -again.rowcount, "sessions_queued": again.rowcount},
        )
        return await find(connection, round_id)


async def cancel_round(database: Database, round_id: str, *, key: str | None = None) -> Round:
    """End it for good; what is recorded stays. `key`, errors: as `pause_round`."""
    async with database.begin() as connection:
        if not await first_time(connection, key, "cancel", round_id):
            return await find(connection, round_id)
        await _legal(connection, round_id, "cancel")
        ended = await connection.execute(
            update(sessions)
            .where(sessions.c.round_id == round_id, sessions.c.status.in_(GOING))
            .values(
                status="cancelled",
                epoch=sessions.c.epoch + 1,  # whoever drives it now has lost it
                reason="cancelled",
                lease_until=None,
            )
        )
        row = await find(connection, round_id)
        await append(
            connection,
            round_id,
            [],
            {
                "sessions_cancelled": ended.rowcount,
                "sessions_queued": -row.sessions["queued"],
                "sessions_running": -row.sessions["running"],
            },
        )
        await set_status(connection, round_id, "cancelled", "asked", "cancelled on request")
        return await find(connection, round_id)


class Retune(Value):
    """What to change of a live round; what is left out stays, `null` takes a budget away."""

    concurrency: int | None = Field(None, ge=1, le=100_000)
    """Sessions driven at once."""
    budget_usd: float | None = Field(None, ge=0, le=MOST_USD, allow_inf_nan=False)
    budget_tokens: int | None = Field(None, ge=0, le=MOST_COUNT)
    budget_calls: int | None = Field(None, ge=0, le=MOST_COUNT)
    seat_budgets: dict[str, Budget] | None = None
    """Seat -> its budget; of a seat named here, what is left out stays too."""

    @property
    def of_round(self) -> dict[str, Any]:
        """Column -> value, of those that were given."""
        given = self.model_dump(exclude_unset=True, exclude={"seat_budgets"})
        if given.get("concurrency", 1) is None:
            raise InputError("concurrency: a number is needed, got null")
        return given


async def retune_round(database: Database, round_id: str, wanted: Retune) -> Round:
    """Change a live round's limits. Raises `Conflict`, `NotFound`, `InputError`."""
    changes, of_seats = wanted.of_round, wanted.seat_budgets or {}
    if not (changes or of_seats):
        raise InputError(f"nothing to change; give one of {', '.join(Retune.model_fields)}")
    async with database.begin() as connection:
        for seat, budget in sorted(of_seats.items()):  # before the round's row: the journal's order
            await _cap_seat(connection, round_id, seat, budget)
        row = await find(connection, round_id, lock=True)
        if row.status in ENDED:
            raise Conflict(f"round {round_id!r} is {row.status}; only {', '.join(LIVE)} can change")
        if changes:
            await connection.execute(
                update(rounds).where(rounds.c.id == round_id).values(**changes)
            )
        hit("steer.inside")
        told = wanted.model_dump(mode="json", exclude_unset=True)
        await append(connection, round_id, [("round.retuned", told)])
        return await find(connection, round_id)


async def _cap_seat(connection: AsyncConnection, round_id: str, seat: str, budget: Budget) -> None:
    values = {f"budget_{k}": v for k, v in budget.model_dump(exclude_unset=True).items()}
    mine = (seat_usage.c.round_id == round_id, seat_usage.c.seat == seat)
    if values:
        changed = await connection.execute(update(seat_usage).where(*mine).values(**values))
        if changed.rowcount:
            return
    known = await connection.scalars(
        select(seat_usage.c.seat).where(seat_usage.c.round_id == round_id)
    )
    seats = sorted(known.all())
    if seat not in seats:
        await find(connection, round_id)
        raise InputError(
            f"seat_budgets: round {round_id!r} has no seat {seat!r}; its seats: {', '.join(seats)}"
        )


class Wanted(NamedTuple):
    """What is wanted of a round now."""

    status: str
    halt: bool
    """Calls in flight are to be broken off."""
    concurrency: int
    running: int
    """Sessions that run, on all runners."""


async def wanted_of(database: Database, ids: Iterable[str]) -> dict[str, Wanted]:
    """Round -> what is wanted of it."""
    columns = (rounds.c.status, rounds.c.halt, rounds.c.concurrency, rounds.c.sessions_running)
    async with database.begin() as connection:
        found = await connection.execute(
            select(rounds.c.id, *columns).where(rounds.c.id.in_(list(ids)))
        )
        return {
            row.id: Wanted(
                row.status,
                row.halt or row.status == "cancelled",
                row.concurrency,
                row.sessions_running,
            )
            for row in found
        }


async def _legal(connection: AsyncConnection, round_id: str, command: str) -> Round:
    """The round, locked, if `command` is legal in its state. Raises `Conflict` naming what is."""
    row = await find(connection, round_id, lock=True)
    _check_legal(row, command)
    return row


def _check_legal(row: Round, command: str) -> None:
    if row.status not in LEGAL[command]:
        legal = [name for name, states in LEGAL.items() if row.status in states]
        if not row.sessions["failed"] and row.status == "completed":
            legal = []
        raise Conflict(
            f"round {row.id!r} is {row.status}: {command} is not possible; "
            f"possible: {', '.join(legal) or 'nothing'}"
        )


async def set_status(
    connection: AsyncConnection, round_id: str, status: str, reason: str, message: str
) -> None:
    """Write a status and its event; a terminal one also says how the round ended."""
    done = status in ENDED
    changes: dict[str, Any] = {"status": status, "reason": reason, "message": message}
    if done:
        changes["finished_at"] = func.now()
    await connection.execute(update(rounds).where(rounds.c.id == round_id).values(**changes))
    data: dict[str, Any] = {"reason": reason, "message": message}
    if done:
        row = (await connection.execute(select(rounds).where(rounds.c.id == round_id))).one()
        data |= counters(dict(row._mapping))
    await append(connection, round_id, [(f"round.{status}", data)])
