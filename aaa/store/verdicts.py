"""Verdicts with their ballots, written only by the session's present owner."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select, true
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.asking import LeaseLost
from aaa.failpoints import hit
from aaa.store.database import Database
from aaa.store.events import append
from aaa.store.tables import ballots, sessions, verdicts
from aaa.store.turns import insert_messages, message_hash
from aaa.transcripts import pair_id
from aaa.types import Seed, Turn, Verdict


async def record_verdict(
    database: Database,
    whose: tuple[str, int, int],
    index: int,
    after: int,
    verdict: Verdict,
    seed: Seed,
    a: Turn,
    b: Turn,
) -> None:
    """Record a verdict with its ballots, once. `whose`: (round, session, epoch). Raises `LeaseLost`."""
    round_id, session, epoch = whose
    pair = pair_id(seed, verdict, a, b)
    async with database.begin() as connection:
        await owned(connection, session, epoch)
        await insert_messages(connection, verdict.context)
        if not await _insert(connection, session, index, after, verdict, pair):
            return
        await _insert_ballots(connection, session, index, verdict)
        hit("verdict.inside")
        event = _event(session, index, verdict, pair, a, b)
        await append(
            connection,
            round_id,
            [("verdict", event)],
            {f"verdicts_{verdict.outcome}": 1, "pairs": int(pair is not None)},
            late=True,
        )
    hit("verdict.after")


async def owned(connection: AsyncConnection, session: int, epoch: int) -> None:
    """Raises `LeaseLost` unless this claim owns the session.

    It takes no lock: who holds a session's row may not wait for its round's. A claim that is lost between
    this look and the commit leaves an intent or a verdict that the next owner's replay would make too.
    """
    found = await connection.execute(
        select(true()).where(
            sessions.c.id == session, sessions.c.epoch == epoch, sessions.c.status == "running"
        )
    )
    if found.one_or_none() is None:
        raise LeaseLost(f"session {session}: claim {epoch} is over")


async def _insert(
    connection: AsyncConnection,
    session: int,
    index: int,
    after: int,
    verdict: Verdict,
    pair: str | None,
) -> bool:
    """Store it; `False` where it was there before."""
    made = await connection.execute(
        pg_insert(verdicts)
        .values(
            session_id=session,
            index=index,
            after=after,
            context=[message_hash(m) for m in verdict.context],
            pair_id=pair,
            **verdict.model_dump(exclude={"kind", "context", "ballots"}),
        )
        .on_conflict_do_nothing()
        .returning(verdicts.c.index)
    )
    return made.scalar_one_or_none() is not None


async def _insert_ballots(
    connection: AsyncConnection, session: int, index: int, verdict: Verdict
) -> None:
    rows: Sequence[dict[str, Any]] = [
        {"session_id": session, "verdict": index, "number": number, **ballot.model_dump()}
        for number, ballot in enumerate(verdict.ballots)
    ]
    if rows:
        await connection.execute(insert(ballots), rows)


def _event(
    session: int, index: int, verdict: Verdict, pair: str | None, a: Turn, b: Turn
) -> dict[str, Any]:
    plain = verdict.model_dump(
        include={"edge", "outcome", "winner", "margin", "a", "b", "judging", "reason"}, mode="json"
    )
    shown = {"judge", "order", "prefers", "error"}
    return plain | {
        "session": session,
        "index": index,
        "agents": {"a": a.call.agent, "b": b.call.agent},
        "ballots": [ballot.model_dump(include=shown) for ballot in verdict.ballots],
        "pair": pair,
    }
