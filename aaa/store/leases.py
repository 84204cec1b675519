"""Who drives which session: claims with a lease and an epoch, and how a session ends.

A claim raises the session's epoch; what an older claim still tries to write is refused or changes
nothing. Lock order everywhere: the round's row, then its sessions' rows.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from math import ceil
from typing import Any, Literal, NamedTuple

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    and_,
    bindparam,
    case,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.asking import LeaseLost
from aaa.errors import StoreError
from aaa.failpoints import hit
from aaa.states import GOING, SESSION_STATUS
from aaa.store.database import Database
from aaa.store.events import append
from aaa.store.rows import many, rows_of
from aaa.store.steering import set_status
from aaa.store.tables import rounds, sessions, workers
from aaa.types import Seed, Value

LEASE_S = 30
"""A claim not renewed for so long is free for others."""


class Claim(Value):
    """A session to drive, until its lease ends."""

    round: str
    session: int
    epoch: int
    seed: Seed


async def claim_sessions(
    database: Database, runner: str, room: int, lease_s: float = LEASE_S, *, expired: bool = True
) -> list[Claim]:
    """Take up to `room` sessions of running rounds; the round with the fewest running comes first.

    Free are queued sessions, those that `take_over` freed and, where `expired`, those whose lease ran out.
    `SKIP LOCKED`: two runners never wait for each other over a session. A round never has more running than
    its `concurrency`.
    """
    claims: list[Claim] = []
    async with database.begin() as connection:
        found = await connection.execute(
            select(rounds.c.id, rounds.c.status, rounds.c.concurrency, rounds.c.sessions_running)
            .where(rounds.c.status.in_(GOING))
            .order_by(rounds.c.id)
            .with_for_update()
        )
        live = sorted(found.all(), key=lambda row: row.sessions_running)
        for number, row in enumerate(live):
            share = ceil((room - len(claims)) / (len(live) - number))
            if share <= 0:
                break
            claims += await _claim_of(connection, row, runner, share, lease_s, expired=expired)
        if claims:
            hit("claim.inside")
    if claims:
        hit("claim.after")
    return claims


async def _claim_of(
    connection: AsyncConnection, row: Any, runner: str, room: int, lease_s: float, *, expired: bool
) -> list[Claim]:
    left = await _take(connection, row.id, runner, _left(expired=expired), room, lease_s)
    fresh_room = min(room - len(left), row.concurrency - row.sessions_running)
    fresh = await _take(
        connection, row.id, runner, sessions.c.status == "queued", fresh_room, lease_s
    )
    if left or fresh:
        happened = [
            (
                "session.started",
                {"session": c.session, "seed": c.seed.id, "runner": runner, "epoch": c.epoch},
            )
            for c in (*left, *fresh)
        ]
        if row.status == "queued":
            await connection.execute(
                update(rounds)
                .where(rounds.c.id == row.id)
                .values(status="running", started_at=func.now())
            )
            happened.insert(0, ("round.running", {"reason": "started"}))
        await append(
            connection,
            row.id,
            happened,
            {"sessions_running": len(fresh), "sessions_queued": -len(fresh)},
        )
    return [*left, *fresh]


_FREED = func.to_timestamp(0)
"""Until when a lease runs that was taken away."""


def _left(*, expired: bool) -> ColumnElement[bool]:
    """Running sessions that nobody drives; without `expired`, only those of which that is certain."""
    until = sessions.c.lease_until
    return and_(sessions.c.status == "running", until < func.now() if expired else until == _FREED)


async def _take(
    connection: AsyncConnection,
    round_id: str,
    runner: str,
    free: ColumnElement[bool],
    room: int,
    lease_s: float,
) -> list[Claim]:
    if room <= 0:
        return []
    chosen = (
        select(sessions.c.id)
        .where(sessions.c.round_id == round_id, free)
        .order_by(sessions.c.position)
        .limit(room)
        .with_for_update(skip_locked=True)
    )
    taken = await connection.execute(
        update(sessions)
        .where(sessions.c.id.in_(chosen.scalar_subquery()))
        .values(
            status="running",
            runner=runner,
            epoch=sessions.c.epoch + 1,
            lease_until=_lease(lease_s),
            started_at=func.coalesce(sessions.c.started_at, func.now()),
        )
        .returning(sessions.c.id, sessions.c.epoch, sessions.c.seed)
    )
    claims = [
        Claim(round=round_id, session=row.id, epoch=row.epoch, seed=Seed.model_validate(row.seed))
        for row in taken
    ]
    return sorted(claims, key=lambda claim: claim.session)


def _lease(lease_s: float) -> ColumnElement[Any]:
    return func.now() + timedelta(seconds=lease_s)


async def epochs_of(connection: AsyncConnection, ids: Collection[int]) -> dict[int, int]:
    """Session -> epoch of the claim that owns it; those that nobody drives are not there.

    It takes no lock: who holds a session's row may not wait for its round's. A claim that is lost between
    this look and the commit leaves an intent or a note that the next owner's replay would make too.
    """
    if not ids:
        return {}
    found = await connection.execute(OWNERS, {"ids": list(ids)})
    return {row.id: row.epoch for row in found}


OWNERS = select(sessions.c.id, sessions.c.epoch).where(
    sessions.c.id == func.any(bindparam("ids", type_=ARRAY(BigInteger))),
    sessions.c.status == "running",
)


def lost(session: int, epoch: int) -> LeaseLost:
    """What becomes of a claim that owns its session no more."""
    return LeaseLost(f"session {session}: claim {epoch} is over")


_CLAIMS = rows_of(sessions.c.id, sessions.c.epoch)
OURS = (
    select(sessions.c.id)
    .join(_CLAIMS, (sessions.c.id == _CLAIMS.c.id) & (sessions.c.epoch == _CLAIMS.c.epoch))
    .where(sessions.c.status == "running")
    .order_by(sessions.c.id)
    .with_for_update(of=sessions, key_share=True)
)
"""Sessions that are still these claims', locked in order, but not against who adds turns to them."""


async def renew(database: Database, claims: Sequence[Claim], lease_s: float = LEASE_S) -> set[int]:
    """Extend these claims; the sessions that are still ours."""
    if not claims:
        return set()
    async with database.begin() as connection:
        kept = await connection.execute(
            update(sessions)
            .where(sessions.c.id.in_(OURS))
            .values(lease_until=_lease(lease_s))
            .returning(sessions.c.id),
            many({"id": c.session, "epoch": c.epoch} for c in claims),
        )
        hit("renew.inside")
        return set(kept.scalars())


async def take_over(database: Database, slot: str, runner: str) -> int:
    """Free what earlier processes of a runner's slot held, without waiting for their leases to end.

    Only one process at a time is a slot's; should an older one still live, its epoch is over.
    """
    async with database.begin() as connection:
        freed = await connection.execute(
            update(sessions)
            .where(
                sessions.c.status == "running",
                sessions.c.runner.like(f"{slot}@%"),
                sessions.c.runner != runner,
            )
            .values(lease_until=_FREED)
        )
        return freed.rowcount


class End(NamedTuple):
    """How a claim ends: its session completed, failed, or given back unfinished."""

    claim: Claim
    status: Literal["completed", "failed", "queued"]
    reason: str = ""
    message: str = ""


async def end_sessions(database: Database, ends: Sequence[End]) -> Sequence[None]:
    """End claims of different sessions, and each round with the last of them; what is recorded stays.

    Nothing for a session that is no longer its claim's.
    """
    by_round: dict[str, list[End]] = {}
    for end in sorted(ends, key=lambda end: end.claim.round):
        by_round.setdefault(end.claim.round, []).append(end)
    async with database.begin() as connection:
        for round_id, its_ends in by_round.items():
            await _end_of(connection, round_id, its_ends)
    if any(end.status != "queued" for end in ends):
        hit("finish.after")
    return [None] * len(ends)


async def _end_of(connection: AsyncConnection, round_id: str, ends: Sequence[End]) -> None:
    await connection.execute(select(rounds.c.id).where(rounds.c.id == round_id).with_for_update())
    claims = many({"id": e.claim.session, "epoch": e.claim.epoch} for e in ends)
    ours = set((await connection.execute(OURS, claims)).scalars())
    ends = [end for end in ends if end.claim.session in ours]
    if not ends:
        return
    rows = (
        {"id": e.claim.session, "status": e.status, "reason": e.reason, "message": e.message}
        for e in ends
    )
    await connection.execute(END, many(rows))
    finished = [end for end in ends if end.status != "queued"]
    counters = Counter(f"sessions_{end.status}" for end in ends)
    counters["sessions_running"] = -len(ends)
    await append(connection, round_id, [_finished(end) for end in finished], counters)
    if finished:
        await _finish_round(connection, round_id)
        hit("finish.inside")


def _finished(end: End) -> tuple[str, dict[str, Any]]:
    return "session.finished", {
        "session": end.claim.session,
        "seed": end.claim.seed.id,
        "status": end.status,
        "reason": end.reason,
        "message": end.message,
    }


_ENDS = rows_of(*(sessions.c[name] for name in ("id", "status", "reason", "message")))
_BACK = _ENDS.c.status == "queued"
END = (
    update(sessions)
    .where(sessions.c.id == _ENDS.c.id)
    .values(
        status=_ENDS.c.status,
        reason=case((_BACK, sessions.c.reason), else_=_ENDS.c.reason),
        message=case((_BACK, sessions.c.message), else_=_ENDS.c.message),
        lease_until=None,
        runner=case((_BACK, None), else_=sessions.c.runner),
        finished_at=case((_BACK, sessions.c.finished_at), else_=func.now()),
    )
)


async def _finish_round(connection: AsyncConnection, round_id: str) -> None:
    """End a round that has no session left to drive: failed only if none completed."""
    counted = (rounds.c[f"sessions_{name}"] for name in SESSION_STATUS)
    total = (rounds.c.status, rounds.c.sessions_total, *counted)
    row = (await connection.execute(select(*total).where(rounds.c.id == round_id))).one()
    if row.sessions_queued or row.sessions_running or row.status not in GOING:
        return
    if row.sessions_completed:
        failed = row.sessions_failed
        message = f"{failed} of {row.sessions_total} sessions failed" if failed else ""
        await set_status(connection, round_id, "completed", "done", message)
    else:
        why = await connection.scalar(
            select(sessions.c.message)
            .where(sessions.c.round_id == round_id, sessions.c.status == "failed")
            .order_by(sessions.c.position)
            .limit(1)
        )
        message = f"every session failed; the first: {why}"
        await set_status(connection, round_id, "failed", "all_sessions_failed", message)


async def settle_empty(database: Database) -> None:
    """End rounds that run with no session left: the last came home while the round was paused."""
    async with database.begin() as connection:
        found = await connection.execute(
            select(rounds.c.id)
            .where(
                rounds.c.status.in_(GOING),
                rounds.c.sessions_queued == 0,
                rounds.c.sessions_running == 0,
            )
            .order_by(rounds.c.id)
            .with_for_update()
        )
        for round_id in found.scalars().all():
            await _finish_round(connection, round_id)


async def heartbeat(
    database: Database, worker: str, kind: str, host: str, pid: int, info: dict[str, Any]
) -> None:
    """Say that a process of the cluster is alive."""
    values = {"kind": kind, "host": host, "pid": pid, "info": info, "beat_at": func.now()}
    async with database.begin() as connection:
        await connection.execute(
            pg_insert(workers)
            .values(id=worker, **values)
            .on_conflict_do_update(index_elements=["id"], set_=values)
        )


async def alive(database: Database, kinds: Iterable[str], within_s: float = 15) -> dict[str, int]:
    """Kind -> how many of its processes were heard of within so many seconds."""
    recent = func.now() - text(f"interval '{float(within_s)} seconds'")
    async with database.begin() as connection:
        found = await connection.execute(
            select(workers.c.kind, func.count().label("alive"))
            .where(workers.c.kind.in_(tuple(kinds)), workers.c.beat_at > recent)
            .group_by(workers.c.kind)
        )
        return {row.kind: row.alive for row in found}


LEADER_LOCK = 4_202_611_220_002
_WRITES = select(func.current_setting("transaction_read_only") == "off")
_AWAY = (DBAPIError, PoolTimeout, StoreError)
Still = Callable[[], Awaitable[bool]]


@asynccontextmanager
async def leading(database: Database, stop: asyncio.Event) -> AsyncIterator[Still]:
    """Wait to become the one supervisor of this database (or for `stop`); gives a check that we lead.

    While the server is away nobody can lead, so whoever led goes on, and takes the lock again when it is
    back. One that takes no writes is as good as away: a standby would lend a lock beside that of the server
    it follows.
    """
    lock = _Lock(database)
    try:
        leads = False
        while not (leads or stop.is_set()):
            with contextlib.suppress(*_AWAY):
                leads = await lock.take()
            if not leads:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), 0.5)
        yield lock.still
    finally:
        await lock.drop()


class _Lock:
    """The leader's: an advisory lock on a connection of its own, that ends with the process or its link."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: AsyncConnection | None = None

    async def take(self) -> bool:
        """Whether it is ours, now or still. Raises one of `_AWAY`."""
        if self._held is not None:
            with contextlib.suppress(DBAPIError):
                if await self._held.scalar(_WRITES):
                    return True
        await self.drop()
        connection = await self._database.engine.connect()
        try:
            connection = await connection.execution_options(isolation_level="AUTOCOMMIT")
            if not await connection.scalar(_WRITES):
                raise StoreError("the database takes no writes")
            if await connection.scalar(select(func.pg_try_advisory_lock(LEADER_LOCK))):
                self._held = connection
        finally:
            if self._held is None:
                await _hang_up(connection)
        return self._held is not None

    async def still(self) -> bool:
        with contextlib.suppress(*_AWAY):
            return await self.take()
        return True

    async def drop(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            await _hang_up(held)


async def _hang_up(connection: AsyncConnection) -> None:
    """End its link for good, and with it a lock that it holds."""
    with contextlib.suppress(DBAPIError):
        await connection.invalidate()
    await connection.close()
