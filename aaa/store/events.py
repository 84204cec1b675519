"""A round's events: numbered without a gap, in the transaction that makes them true.

The number is a column of the round's row. Advancing it locks that row until commit, so numbers become
visible in their order and a reader that asks for `id > last` misses nothing. Append last: the lock is
then held for one statement and the commit.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.states import ENDED
from aaa.store.rows import insert_many, many
from aaa.store.tables import events, rounds
from aaa.types import Value

INSERT = insert_many(events, "round_id", "id", "kind", "data")


class Event(Value):
    """One row of `docs/design/events.md`."""

    id: int
    kind: str
    at: datetime
    data: dict[str, Any]


async def append(
    connection: AsyncConnection,
    round_id: str,
    happened: Sequence[tuple[str, Mapping[str, Any]]],
    counters: Mapping[str, int | float] | None = None,
    *,
    late: bool = False,
) -> None:
    """Append events (kind, data), and advance the round's counters, in this transaction.

    `late`: what comes home after the round has ended counts, but the round's last event stays its last.
    """
    changes = {name: rounds.c[name] + amount for name, amount in (counters or {}).items()}
    number: ColumnElement[int] = literal(len(happened))
    if late:
        number = case((rounds.c.status.in_(ENDED), 0), else_=number)
    row = (
        await connection.execute(
            update(rounds)
            .where(rounds.c.id == round_id)
            .values(last_event=rounds.c.last_event + number, **changes)
            .returning(rounds.c.last_event, rounds.c.status)
        )
    ).one()
    if not (late and row.status in ENDED):
        await insert_events(connection, round_id, row.last_event, happened)


async def insert_events(
    connection: AsyncConnection,
    round_id: str,
    last: int,
    happened: Sequence[tuple[str, Mapping[str, Any]]],
) -> None:
    """Write events whose numbers, ending in `last`, this transaction has already taken."""
    if happened:
        first = last - len(happened) + 1
        rows = [
            {"round_id": round_id, "id": number, "kind": kind, "data": dict(data)}
            for number, (kind, data) in enumerate(happened, first)
        ]
        await connection.execute(INSERT, many(rows))


async def oldest_s(connection: AsyncConnection, places: Sequence[tuple[str, int]]) -> float:
    """How long ago the oldest of these events (round, id) was written, in seconds; 0: there is none."""
    age = func.extract("epoch", func.clock_timestamp() - func.min(events.c.at))
    these = tuple_(events.c.round_id, events.c.id).in_(list(places))
    found = await connection.scalar(select(age).where(these)) if places else None
    return max(0.0, float(found or 0))


async def read_events(
    connection: AsyncConnection, round_id: str, after: int, limit: int = 500
) -> list[Event]:
    """The next events after that id, in order; an empty list when there are none yet."""
    found = await connection.execute(
        select(events.c.id, events.c.kind, events.c.at, events.c.data)
        .where(events.c.round_id == round_id, events.c.id > after)
        .order_by(events.c.id)
        .limit(limit)
    )
    return [Event.model_validate(dict(row)) for row in found.mappings()]
