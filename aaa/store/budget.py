"""A round's budget: what its calls could cost is reserved before they begin, and settled after they ended.

Dollars, tokens and calls, for the round and for each of its seats. A cap holds because every reservation is
one conditional UPDATE: callers queue on the row's lock, and each sees the sum that the one before left.
Lock order: the seat's row, then the round's, which comes last in every transaction of the journal.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Numeric,
    and_,
    case,
    exists,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.asking import Amount
from aaa.gate import RoundStopped
from aaa.store.events import ENDED, insert_events
from aaa.store.tables import rounds, seat_usage

CAPS = ("usd", "tokens", "calls")
NOTHING = Amount(usd=0, tokens=0)
Happened = Sequence[tuple[str, Mapping[str, Any]]]


class Change(NamedTuple):
    """What an attempt's end does to a budget."""

    spent: Amount
    reserved: Amount
    """Added to what is reserved: usually negative."""

    @property
    def counters(self) -> dict[str, float | int]:
        """Column -> amount to add."""
        return {
            "spent_usd": self.spent.usd,
            "spent_tokens": self.spent.tokens,
            "reserved_usd": self.reserved.usd,
            "reserved_tokens": self.reserved.tokens,
        }


def minus(amount: Amount) -> Amount:
    return Amount(usd=-amount.usd, tokens=-amount.tokens)


def plus(a: Amount, b: Amount) -> Amount:
    return Amount(usd=a.usd + b.usd, tokens=a.tokens + b.tokens)


async def reserve(
    connection: AsyncConnection,
    round_id: str,
    seat: str,
    worst: Amount,
    left: Amount,
    happened: tuple[str, Mapping[str, Any]],
) -> None:
    """Count a call in, if the round runs and its budgets allow; else raise `RoundStopped` (all undone).

    `left`: what a dead process had reserved for this very call; it counts as spent from now on.
    """
    change = Change(spent=left, reserved=plus(worst, minus(left)))
    counters = change.counters | {"calls": 1}
    of_seat = (
        update(seat_usage)
        .where(
            seat_usage.c.round_id == round_id, seat_usage.c.seat == seat, _fits(seat_usage, worst)
        )
        .values(_added(seat_usage, counters))
        .returning(literal(1).label("fits"))
        .cte("of_seat")
    )
    of_round = (
        update(rounds)
        .where(
            rounds.c.id == round_id,
            rounds.c.status == "running",
            _fits(rounds, worst),
            exists(select(of_seat.c.fits)),
        )
        .values(last_event=rounds.c.last_event + 1, **_added(rounds, counters))
        .returning(rounds.c.last_event)
    )
    last = (await connection.execute(of_round)).scalar_one_or_none()
    if last is None:
        status = await connection.scalar(select(rounds.c.status).where(rounds.c.id == round_id))
        raise RoundStopped("budget_reached" if status == "running" else str(status))
    await insert_events(connection, round_id, last, [happened])


async def settle(
    connection: AsyncConnection,
    round_id: str,
    seat: str,
    change: Change,
    happened: Happened,
    counters: Mapping[str, int | float],
) -> None:
    """Write what an attempt came to on its seat and its round, with the round's events.

    What comes home after the round has ended counts, but the round's last event stays its last.
    """
    amounts = change.counters
    of_seat = (
        update(seat_usage)
        .where(seat_usage.c.round_id == round_id, seat_usage.c.seat == seat)
        .values(_added(seat_usage, amounts))
        .returning(seat_usage.c.seat)
        .cte("of_seat")
    )
    number = case((rounds.c.status.in_(ENDED), 0), else_=literal(len(happened)))
    of_round = (
        update(rounds)
        .where(rounds.c.id == round_id, exists(select(of_seat.c.seat)))
        .values(last_event=rounds.c.last_event + number, **_added(rounds, {**amounts, **counters}))
        .returning(rounds.c.last_event, rounds.c.status)
    )
    row = (await connection.execute(of_round)).one()
    if row.status not in ENDED:
        await insert_events(connection, round_id, row.last_event, happened)


def _added(table: FromClause, counters: Mapping[str, int | float]) -> dict[str, Any]:
    """Column -> itself plus the amount."""
    return {
        name: table.c[name] + (_dollars(n) if name.endswith("_usd") else literal(n))
        for name, n in counters.items()
    }


def _dollars(usd: float) -> ColumnElement[Decimal]:
    """Exact from here on: sums of floats would drift past a cap."""
    return literal(Decimal(f"{usd:.10f}"), Numeric(20, 10))


def _fits(table: FromClause, worst: Amount) -> ColumnElement[bool]:
    """Whether this row's budgets allow one more call that costs so much at worst."""
    usd = table.c.spent_usd + table.c.reserved_usd + _dollars(worst.usd)
    tokens = table.c.spent_tokens + table.c.reserved_tokens + literal(worst.tokens)
    return and_(
        or_(table.c.budget_usd.is_(None), literal(worst.usd) == 0, usd <= table.c.budget_usd),
        or_(table.c.budget_tokens.is_(None), tokens <= table.c.budget_tokens),
        or_(table.c.budget_calls.is_(None), table.c.calls < table.c.budget_calls),
    )


class Usage(NamedTuple):
    """One cap and what stands against it."""

    where: str
    """`the round`, or `seat 'teacher'`."""
    setting: str
    """What to raise: `budget_usd=…`."""
    cap: float
    spent: float
    reserved: float


async def caps(connection: AsyncConnection, round_id: str) -> list[Usage]:
    """Every cap of a round, the tightest first: the largest share used up."""
    found: list[Usage] = []
    of_round = await connection.execute(select(rounds).where(rounds.c.id == round_id))
    of_seats = await connection.execute(
        select(seat_usage).where(seat_usage.c.round_id == round_id).order_by(seat_usage.c.seat)
    )
    for where, prefix, row in [
        ("the round", "budget_", of_round.mappings().one()),
        *((f"seat {r['seat']!r}", f"seat_budgets.{r['seat']}.", r) for r in of_seats.mappings()),
    ]:
        for cap in CAPS:
            most = row[f"budget_{cap}"]
            if most is not None:
                spent = row["calls"] if cap == "calls" else row[f"spent_{cap}"]
                reserved = 0 if cap == "calls" else row[f"reserved_{cap}"]
                found.append(
                    Usage(where, f"{prefix}{cap}", float(most), float(spent), float(reserved))
                )
    return sorted(found, key=lambda usage: -(usage.spent + usage.reserved) / max(1e-9, usage.cap))
