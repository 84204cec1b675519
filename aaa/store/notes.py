"""What plays conclude: verdicts with their ballots, and every other note; written by a session's owner only.

Verdicts have tables of their own, since pairs, ratings and counts are made from them; other notes are kept as
they are.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import insert, select, true
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.asking import LeaseLost
from aaa.failpoints import hit
from aaa.store.database import Database
from aaa.store.events import append
from aaa.store.tables import ballots, notes, sessions, verdicts
from aaa.store.turns import insert_messages, message_hash
from aaa.transcripts import pair_id
from aaa.types import Note, Seed, Turn, Verdict

LONG = {"prompt", "context", "steps", "ballots"}
"""Fields of a note that its event leaves out: they are in the session."""


class Place(NamedTuple):
    """Where a note stands: under whose claim, as which note of the session, after how many turns."""

    round: str
    session: int
    epoch: int
    number: int
    after: int


async def record_note(
    database: Database, place: Place, note: Note, seed: Seed, turns: Mapping[int, Turn]
) -> None:
    """Record a note, once. `turns`: of the session, by index. Raises `LeaseLost`."""
    async with database.begin() as connection:
        await owned(connection, place.session, place.epoch)
        if isinstance(note, Verdict):
            made = await _verdict(connection, place, note, seed, turns)
        else:
            made = await _other(connection, place, note)
        if made is None:
            return
        hit("verdict.inside")
        event, counters = made
        await append(connection, place.round, [event], counters, late=True)
    hit("verdict.after")


Event = tuple[tuple[str, dict[str, Any]], dict[str, int]]
"""What happened (kind, data), and what it adds to the round's counters."""


async def _other(connection: AsyncConnection, place: Place, note: Note) -> Event | None:
    plain = note.model_dump(mode="json")
    row = {"session_id": place.session, "index": place.number, "after": place.after}
    made = await connection.execute(
        pg_insert(notes)
        .values(row | {"kind": note.kind, "data": plain})
        .on_conflict_do_nothing()
        .returning(notes.c.index)
    )
    if made.scalar_one_or_none() is None:
        return None
    short = {key: value for key, value in plain.items() if key not in LONG}
    return ("note", {"session": place.session, "index": place.number, **short}), {}


async def _verdict(
    connection: AsyncConnection,
    place: Place,
    verdict: Verdict,
    seed: Seed,
    turns: Mapping[int, Turn],
) -> Event | None:
    a, b = turns[verdict.a], turns[verdict.b]
    pair = pair_id(seed, verdict, a, b)
    await insert_messages(connection, verdict.context)
    if not await _insert(connection, place.session, place.number, place.after, verdict, pair):
        return None
    await _insert_ballots(connection, place.session, place.number, verdict)
    event = _event(place.session, place.number, verdict, pair, a, b)
    return ("verdict", event), {f"verdicts_{verdict.outcome}": 1, "pairs": int(pair is not None)}


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
