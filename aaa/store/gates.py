"""How each model's gate stands, as its seat last told, for people to look at; and until when it holds off.

What a provider asked for (Retry-After) must outlive the seat that heard it, so it is written with the failed
attempt; the rest is news, written about once a second.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import func, select, tuple_
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.errors import NotFound
from aaa.gate import Standing
from aaa.store.database import Database
from aaa.store.rounds import get_script
from aaa.store.tables import gates
from aaa.types import Value

FRESH_S = 15.0
"""A gate not heard of for so long has no seat behind it."""


class GateRow(Value):
    """A model's gate as users see it."""

    seat: str
    """Name of the actor that wraps the agent's card."""
    agent: str
    state: str
    """`open`, `full` (all slots taken), `rate` (a limit a minute), `holding` (Retry-After), `down` (dead)."""
    concurrency: int
    """Calls that may be in flight now; below the card's limit after a 429."""
    in_flight: int
    waiting: int
    """Calls that wait to begin."""
    opens_at: datetime | None
    """When the next call may begin; `None`: when one in flight ends, or now."""
    why: str
    """What the provider said, where it is dead."""
    since: datetime
    """When it came into this state."""
    beat_at: datetime


class Waited(NamedTuple):
    """How long all calls that one seat let in had waited before it."""

    seat: str
    agent: str
    s: float


async def tell(database: Database, seat: str, agent: str, standing: Standing) -> None:
    """Write how a gate stands."""
    opens_at = None
    if standing.wait_s:
        opens_at = func.now() + timedelta(seconds=standing.wait_s)
    values: dict[str, Any] = {
        "agent": agent,
        "state": standing.state,
        "concurrency": standing.limit,
        "in_flight": standing.in_flight,
        "waiting": standing.waiting,
        "opens_at": opens_at,
        "why": standing.why,
        "waited_s": standing.waited_s,
        "beat_at": func.now(),
    }
    since = func.coalesce(
        select(gates.c.since)
        .where(gates.c.seat == seat, gates.c.state == standing.state)
        .scalar_subquery(),
        func.now(),
    )
    async with database.begin() as connection:
        await connection.execute(
            pg_insert(gates)
            .values(seat=seat, since=func.now(), **values)
            .on_conflict_do_update(index_elements=["seat"], set_=values | {"since": since})
        )


async def hold(connection: AsyncConnection, seat: str, agent: str, for_s: float) -> None:
    """Put on record that no call may begin for so long."""
    until = func.now() + timedelta(seconds=for_s)
    standing = {"state": "holding", "concurrency": 0, "in_flight": 0, "waiting": 0, "why": ""}
    await connection.execute(
        pg_insert(gates)
        .values(seat=seat, agent=agent, since=func.now(), hold_until=until, **standing)
        .on_conflict_do_update(
            index_elements=["seat"],
            set_={"hold_until": func.greatest(gates.c.hold_until, until)},
        )
    )


async def held_s(database: Database, seat: str) -> float:
    """Seconds that a gate must still hold off; 0 where it need not."""
    left = func.extract("epoch", gates.c.hold_until - func.now())
    async with database.begin() as connection:
        found = await connection.scalar(select(left).where(gates.c.seat == seat))
    return max(0.0, float(found or 0))


async def waited_at_gates(connection: AsyncConnection) -> list[Waited]:
    """Of every seat there was; a new actor of one begins again at 0."""
    query = select(gates.c.seat, gates.c.agent, gates.c.waited_s).order_by(gates.c.seat)
    return [Waited(*row) for row in await connection.execute(query)]


async def standing_gates(
    database: Database,
    round_id: str | None = None,
    *,
    limit: int | None = None,
    after: str | None = None,
) -> list[GateRow]:
    """The gates that have a seat behind them, by agent; those of that round's agents only, where given.

    `after`: from the one after that seat's on. Raises `NotFound`: there is no such round, or seat.
    """
    fresh = gates.c.beat_at > func.now() - timedelta(seconds=FRESH_S)
    query = select(*(gates.c[name] for name in GateRow.model_fields)).where(fresh)
    if round_id is not None:
        cards = (await get_script(database, round_id)).cards
        query = query.where(gates.c.agent.in_(cards))
    place = (gates.c.agent, gates.c.seat)
    async with database.begin() as connection:
        if after is not None:
            agent = await connection.scalar(select(gates.c.agent).where(gates.c.seat == after))
            if agent is None:
                raise NotFound(f"no seat {after!r}")
            query = query.where(tuple_(*place) > tuple_(agent, after))
        found = await connection.execute(query.order_by(*place).limit(limit))
        return [GateRow.model_validate(dict(row)) for row in found.mappings()]
