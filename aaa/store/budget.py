"""A round's budget: what its calls could cost is reserved before they begin, and settled after they ended.

Dollars, tokens and calls, for the round and for each of its seats. A cap holds because every reservation is
one conditional UPDATE: callers queue on the row's lock, and each sees the sum that the one before left.
Lock order: a round's seats by name, then the round; of several rounds by id. They come last in every
transaction of the journal.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Integer,
    Numeric,
    Table,
    and_,
    bindparam,
    case,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

from aaa.asking import Amount, NoRoom
from aaa.failpoints import hit
from aaa.gate import RoundStopped
from aaa.states import ENDED
from aaa.store.events import insert_events
from aaa.store.tables import rounds, seat_usage

CAPS = ("usd", "tokens", "calls")
NOTHING = Amount(usd=0, tokens=0)
SPENT = ("spent_usd", "spent_tokens", "reserved_usd", "reserved_tokens", "calls")
COUNTED = ("turns", "prompt_tokens", "completion_tokens")


@dataclass
class Sums:
    """What to add to a row's columns; dollars are exact, since sums of floats would drift past a cap."""

    spent_usd: Decimal = Decimal(0)
    spent_tokens: int = 0
    reserved_usd: Decimal = Decimal(0)
    reserved_tokens: int = 0
    calls: int = 0
    """Calls that begin: only where they fit may the row change."""
    free: bool = True
    """None of them can cost a dollar."""

    def plus(self, other: "Sums") -> "Sums":
        """Both together."""
        return Sums(
            self.spent_usd + other.spent_usd,
            self.spent_tokens + other.spent_tokens,
            self.reserved_usd + other.reserved_usd,
            self.reserved_tokens + other.reserved_tokens,
            self.calls + other.calls,
            self.free and other.free,
        )


@dataclass
class Tab:
    """What one transaction comes to for a round: money by seat, counters, events in their order."""

    seats: dict[str, Sums] = field(default_factory=lambda: defaultdict(Sums))
    happened: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    turns: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def begin(self, seat: str, worst: Amount) -> None:
        """A call begins: its worst is reserved."""
        sums = self.seats[seat]
        sums.reserved_usd += dollars(worst.usd)
        sums.reserved_tokens += worst.tokens
        sums.calls += 1
        sums.free = sums.free and worst.usd == 0

    def spend(self, seat: str, spent: Amount, *, freed: Amount = NOTHING) -> None:
        """So much is spent; what was reserved for it is free again."""
        sums = self.seats[seat]
        sums.spent_usd += dollars(spent.usd)
        sums.spent_tokens += spent.tokens
        sums.reserved_usd -= dollars(freed.usd)
        sums.reserved_tokens -= freed.tokens


def minus(a: Amount, b: Amount) -> Amount:
    return Amount(usd=a.usd - b.usd, tokens=a.tokens - b.tokens)


def dollars(usd: float) -> Decimal:
    """As the database keeps it: ten places."""
    return Decimal(f"{usd:.10f}")


async def settle(connection: AsyncConnection, round_id: str, tab: Tab) -> None:
    """Write a round's tab, with its events. Raises `RoundStopped` where calls begin that do not fit.

    It is `NoRoom` where one alone would fit but for what is reserved for others: that mostly comes back.
    A call begins only if the round runs and its budgets allow. What comes home after the round has ended
    counts, but the round's last event stays its last.
    """
    total = Sums()
    for seat in sorted(tab.seats):
        sums = tab.seats[seat]
        total = total.plus(sums)
        found = await connection.execute(
            OF_SEAT, {"its_round": round_id, "its_seat": seat} | vars(sums)
        )
        if found.rowcount != 1:
            mine = and_(seat_usage.c.round_id == round_id, seat_usage.c.seat == seat)
            raise await _stopped(connection, round_id, seat_usage, mine, sums)
    changes = vars(total) | {name: getattr(tab, name) for name in COUNTED}
    found = await connection.execute(
        OF_ROUND, {"its_round": round_id, "events": len(tab.happened)} | changes
    )
    row = found.one_or_none()
    if row is None:
        raise await _stopped(connection, round_id, rounds, rounds.c.id == round_id, total)
    hit("settle.inside")
    if row.status not in ENDED:
        await insert_events(connection, round_id, row.last_event, tab.happened)


async def _stopped(
    connection: AsyncConnection, round_id: str, table: Table, mine: ColumnElement[bool], sums: Sums
) -> RoundStopped:
    """Why nothing begins. `mine`: the row of `table` that had no room for `sums`."""
    status = await connection.scalar(select(rounds.c.status).where(rounds.c.id == round_id))
    if status != "running":
        return RoundStopped(str(status))
    later = await connection.scalar(select(_fits(table, others=False)).where(mine), vars(sums))
    return (NoRoom if later else RoundStopped)("budget_reached")


def _given(name: str, type_: TypeEngine[Any] | None = None) -> BindParameter[Any]:
    if type_ is None:
        type_ = Numeric(20, 10) if name.endswith("_usd") else BigInteger()
    return bindparam(name, type_=type_)


def _added(table: Table, names: tuple[str, ...]) -> dict[str, Any]:
    """Column -> itself plus what is given."""
    return {name: table.c[name] + _given(name) for name in names}


def _fits(table: Table, *, others: bool = True) -> ColumnElement[bool]:
    """Whether this row's budgets allow the calls that begin, if each comes to its worst.

    `others=False`: leaving out what is reserved beside it, since that may come back. What this transaction
    frees does not: it was left by a dead process, and counts as spent here.
    """
    usd = table.c.spent_usd + _given("spent_usd") + _given("reserved_usd")
    tokens = table.c.spent_tokens + _given("spent_tokens") + _given("reserved_tokens")
    usd += table.c.reserved_usd if others else _given("spent_usd")
    tokens += table.c.reserved_tokens if others else _given("spent_tokens")
    calls = table.c.calls + _given("calls")
    free = bindparam("free", type_=Integer) == 1
    return and_(
        or_(table.c.budget_usd.is_(None), free, usd <= table.c.budget_usd),
        or_(table.c.budget_tokens.is_(None), tokens <= table.c.budget_tokens),
        or_(table.c.budget_calls.is_(None), calls <= table.c.budget_calls),
    )


_NONE_BEGINS = _given("calls") == 0

OF_SEAT = (
    update(seat_usage)
    .where(
        seat_usage.c.round_id == bindparam("its_round"),
        seat_usage.c.seat == bindparam("its_seat"),
        or_(_NONE_BEGINS, _fits(seat_usage)),
    )
    .values(_added(seat_usage, SPENT))
)
OF_ROUND = (
    update(rounds)
    .where(
        rounds.c.id == bindparam("its_round"),
        or_(_NONE_BEGINS, and_(rounds.c.status == "running", _fits(rounds))),
    )
    .values(
        last_event=rounds.c.last_event
        + case((rounds.c.status.in_(ENDED), 0), else_=_given("events")),
        **_added(rounds, (*SPENT, *COUNTED)),
    )
    .returning(rounds.c.last_event, rounds.c.status)
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
