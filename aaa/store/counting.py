"""What rounds have said since somebody looked, counted where it lies: no event travels, however many."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.states import LIVE, TERMINAL_EVENTS
from aaa.store.tables import events, rounds

OF_LATE_S = 900
"""Who looks at least so often misses no round, however short it was."""


async def time_of(connection: AsyncConnection) -> datetime:
    """When this transaction began, by the database's clock."""
    return (await connection.execute(select(func.now()))).scalar_one()


class Newest(NamedTuple):
    """Where a round stands."""

    event: int
    """Id of its newest event."""
    created_at: datetime


async def newest_events(connection: AsyncConnection) -> dict[str, Newest]:
    """Id of each round that is live, or ended of late -> where it stands."""
    of_late = rounds.c.finished_at > func.now() - timedelta(seconds=OF_LATE_S)
    live = or_(rounds.c.status.in_(LIVE), of_late)
    query = select(rounds.c.id, rounds.c.last_event, rounds.c.created_at).where(live)
    return {row.id: Newest(*row[1:]) for row in await connection.execute(query)}


async def last_end(connection: AsyncConnection, round_id: str, before: int) -> int:
    """Id of the last event before that one with which the round ended; 0: it never did."""
    query = select(func.max(events.c.id)).where(
        events.c.round_id == round_id, events.c.id < before, events.c.kind.in_(TERMINAL_EVENTS)
    )
    return int(await connection.scalar(query) or 0)


class Count(NamedTuple):
    """Turns, or failed attempts, that are alike in the first five; what they came to together."""

    event: str
    agent: str | None
    kind: str | None
    """Of failure, where it is a failed attempt."""
    retried: bool
    """The attempt is to be tried again."""
    refused: bool
    """The turn holds no answer."""
    number: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float
    seconds: float
    within: list[int]
    """Of each bound: how many took no longer."""


_COUNTED = """
    SELECT e.kind, d.agent, d.kind, d.retry_in_s IS NOT NULL, d.failure IS NOT NULL, count(*),
        coalesce(sum(d.prompt_tokens), 0)::bigint, coalesce(sum(d.completion_tokens), 0)::bigint,
        coalesce(sum(d.cost_usd), 0), coalesce(sum(greatest(d.latency_s, 0)), 0), ARRAY[{within}]
    FROM events e CROSS JOIN LATERAL jsonb_to_record(e.data) AS d (
        agent text, kind text, retry_in_s float8, failure text, prompt_tokens bigint,
        completion_tokens bigint, cost_usd float8, latency_s float8
    )
    WHERE e.round_id = :round AND e.id > :after AND e.id <= :until AND e.kind IN ('turn', 'call.failed')
    GROUP BY 1, 2, 3, 4, 5
"""


async def count_events(
    connection: AsyncConnection, round_id: str, after: int, until: int, bounds: Sequence[float]
) -> list[Count]:
    """The round's turns and failed attempts among these events. `bounds`: of latencies, in seconds."""
    each = (f"count(*) FILTER (WHERE coalesce(d.latency_s, 0) <= {bound:f})" for bound in bounds)
    query = text(_COUNTED.format(within=", ".join(each)))
    place = {"round": round_id, "after": after, "until": until}
    return [Count(*row) for row in await connection.execute(query, place)]
