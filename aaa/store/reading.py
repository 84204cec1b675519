"""Reading sessions back: transcripts for replay, for exporters and for people."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.errors import NotFound
from aaa.store.database import Database
from aaa.store.rows import array_of
from aaa.store.tables import attempts, ballots, messages, notes, sessions, turns, verdicts
from aaa.store.turns import read_turn
from aaa.store.whence import RoundOf, SessionRow, families, in_order, rounds_of
from aaa.transcripts import Transcript
from aaa.types import Ballot, Message, Messages, Recorded, Seed, Turn, Value, Verdict

CHUNK = 200
"""Sessions read at a time by exports: bounds memory, and a query per table serves them all."""


class SessionSummary(Value):
    """A session in a list."""

    id: int
    round: str
    seed: str
    status: str
    reason: str
    message: str
    turns: int
    verdicts: int
    started_at: datetime | None
    finished_at: datetime | None


class Wanted(Value):
    """Which sessions of a round; all conditions given must hold."""

    status: str | None = None
    outcome: str | None = None
    """With a verdict of that outcome."""
    seat: str | None = None
    """Where that seat spoke; with `text`, where it said that."""
    tag: str | None = None
    """Whose seed has that tag."""
    text: str | None = None
    """Where a turn, or the seed's id, holds these words, in any case."""


async def list_sessions(
    database: Database,
    round_id: str,
    *,
    limit: int = 50,
    after: int = 0,
    wanted: Wanted | None = None,
) -> list[SessionSummary]:
    """A round's sessions by id, from the one after `after` on."""
    turn_count = select(func.count()).where(turns.c.session_id == sessions.c.id).scalar_subquery()
    verdict_count = (
        select(func.count()).where(verdicts.c.session_id == sessions.c.id).scalar_subquery()
    )
    plain = [sessions.c[n] for n in ("id", "status", "reason", "message")]
    query = (
        select(
            *plain,
            sessions.c.round_id.label("round"),
            sessions.c.seed_id.label("seed"),
            turn_count.label("turns"),
            verdict_count.label("verdicts"),
            sessions.c.started_at,
            sessions.c.finished_at,
        )
        .where(sessions.c.round_id == round_id, sessions.c.id > after)
        .order_by(sessions.c.id)
        .limit(limit)
    )
    query = query.where(*_conditions(wanted or Wanted()))
    async with database.begin() as connection:
        found = await connection.execute(query)
        return [SessionSummary.model_validate(dict(row)) for row in found.mappings()]


async def list_seeds(
    database: Database, round_id: str, *, limit: int = 50, after: int = 0
) -> list[tuple[int, Seed]]:
    """A round's seeds with the sessions that hold them, from the one after session `after` on."""
    query = (
        select(sessions.c.id, sessions.c.seed)
        .where(sessions.c.round_id == round_id, sessions.c.id > after)
        .order_by(sessions.c.id)
        .limit(limit)
    )
    async with database.begin() as connection:
        found = await connection.execute(query)
        return [(row.id, Seed.model_validate(row.seed)) for row in found]


def _conditions(wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    if wanted.status is not None:
        yield sessions.c.status == wanted.status
    if wanted.outcome is not None:
        of_it = (verdicts.c.session_id == sessions.c.id, verdicts.c.outcome == wanted.outcome)
        yield exists().where(*of_it)
    if wanted.tag is not None:
        yield sessions.c.seed["tags"].has_key(wanted.tag)
    if wanted.seat is None and wanted.text is None:
        return
    said = turns.c.session_id == sessions.c.id
    if wanted.seat is not None:
        said &= turns.c.seat == wanted.seat
    if wanted.text is not None:
        said &= turns.c.text.icontains(wanted.text, autoescape=True)
    found: ColumnElement[bool] = exists().where(said)
    if wanted.text is not None and wanted.seat is None:
        found |= sessions.c.seed_id.icontains(wanted.text, autoescape=True)
    yield found


async def recorded(database: Database, session: int) -> Recorded:
    """What a session has on record: the input of a replay."""
    async with database.begin() as connection:
        return (await _recorded(connection, [session]))[session]


async def get_session(database: Database, session: int) -> dict[str, Any]:
    """A session with its whole transcript, as `docs/design/events.md` shows it. Raises `NotFound`."""
    async with database.begin() as connection:
        row = (
            await connection.execute(select(sessions).where(sessions.c.id == session))
        ).one_or_none()
        if row is None:
            raise NotFound(f"no session {session}; `aaa rounds show ROUND` lists a round's")
        journal = (await _recorded(connection, [session]))[session]
        tries = await connection.execute(
            select(attempts)
            .where(attempts.c.session_id == session)
            .order_by(attempts.c.index, attempts.c.attempt)
        )
        extra = await connection.execute(
            select(verdicts.c.index, verdicts.c.after, verdicts.c.pair_id)
            .where(verdicts.c.session_id == session)
            .order_by(verdicts.c.index)
        )
        return {
            "id": row.id,
            "round": row.round_id,
            "seed": row.seed,
            "status": row.status,
            "reason": row.reason,
            "message": row.message,
            "started_at": row.started_at,
            "finished_at": row.finished_at,
            "turns": [_flat(turn) for turn in journal.turns],
            "verdicts": [
                {"index": index, "after": after, "pair": pair, **v.model_dump(mode="json")}
                for (index, after, pair), v in zip(extra, journal.verdicts, strict=True)
            ],
            "notes": [
                {"index": index, **note.model_dump(mode="json")}
                for index, note in enumerate(journal.notes)
                if not isinstance(note, Verdict)
            ],
            "attempts": [
                {k: v for k, v in a._mapping.items() if k not in ("session_id", "reserved_usd")}
                for a in tries
            ],
        }


def _flat(turn: Turn) -> dict[str, Any]:
    """A turn as one JSON object."""
    call = turn.call.model_dump(mode="json")
    failure = None if turn.failure is None else turn.failure.model_dump()
    return {
        "index": turn.index,
        **call,
        **turn.reply.model_dump(mode="json"),
        "latency_s": turn.latency_s,
        "failure": failure,
    }


async def transcripts(database: Database, round_ids: Sequence[str]) -> AsyncIterator[Transcript]:
    """The rounds' sessions by seed id, then session: the order of every export. Memory stays flat.

    A short transaction per chunk: a slow reader holds no snapshot open. Raises `NotFound`.
    """
    rounds = await rounds_of(database, round_ids)
    heads = await families(database, round_ids)
    async with aclosing(in_order(database, round_ids, CHUNK)) as parts:
        async for part in parts:
            for transcript in await _read(database, part, rounds, heads):
                yield transcript


async def transcripts_of(database: Database, places: Sequence[SessionRow]) -> list[Transcript]:
    """Those sessions, in that order; at most `CHUNK` of them."""
    round_ids = tuple(dict.fromkeys(place.round for place in places))
    rounds = await rounds_of(database, round_ids)
    return await _read(database, places, rounds, await families(database, round_ids))


async def _read(
    database: Database,
    places: Sequence[SessionRow],
    rounds: Mapping[str, RoundOf],
    heads: Mapping[str, str],
) -> list[Transcript]:
    ids = [place.id for place in places]
    async with database.begin() as connection:
        found = await connection.execute(
            select(sessions.c.id, sessions.c.seed, sessions.c.status).where(sessions.c.id.in_(ids))
        )
        rows = {row.id: row for row in found}
        journals = await _recorded(connection, ids)
    return [
        _transcript(
            rows[place.id], place.round, rounds[place.round], heads.get(place.seed_id, ""),
            journals[place.id],
        )
        for place in places
    ]  # fmt: skip


def _transcript(
    row: Any, round_id: str, round: RoundOf, head: str, journal: Recorded
) -> Transcript:
    scenario = round.script.scenario
    return Transcript(
        round=round_id,
        session=row.id,
        scenario=scenario.name,
        protocol=scenario.protocol.id,
        status=row.status,
        seed=Seed.model_validate(row.seed),
        recorded=journal,
        lineage=round.lineage,
        stage=round.stage,
        family=head,
    )


async def find_pair(database: Database, pair: str) -> list[tuple[int, int]]:
    """(session, verdict index) of every place where this pair was decided, newest first."""
    async with database.begin() as connection:
        found = await connection.execute(
            select(verdicts.c.session_id, verdicts.c.index)
            .where(verdicts.c.pair_id == pair)
            .order_by(verdicts.c.session_id.desc())
        )
        places = [(session, index) for session, index in found]
    if not places:
        raise NotFound(f"no pair {pair!r}; an export's rows hold pair ids in their field `id`")
    return places


async def _recorded(connection: AsyncConnection, ids: Sequence[int]) -> dict[int, Recorded]:
    """Session -> its journal, for all of them in five queries."""
    turn_rows = await _rows(connection, turns, ids, "session_id", "index")
    verdict_rows = await _rows(connection, verdicts, ids, "session_id", "index")
    ballot_rows = await _rows(connection, ballots, ids, "session_id", "verdict", "number")
    hashes = {h for row in turn_rows for h in row["messages"]}
    hashes |= {h for row in verdict_rows for h in row["context"]}
    chats = await _messages(connection, hashes)
    made_turns: dict[int, list[Turn]] = {id: [] for id in ids}
    for row in turn_rows:
        chat = tuple(chats[h] for h in row["messages"])
        made_turns[row["session_id"]].append(read_turn(row, chat))
    cast: dict[tuple[int, int], list[Ballot]] = {}
    for row in ballot_rows:
        own = cast.setdefault((row["session_id"], row["verdict"]), [])
        own.append(Ballot(**{name: row[name] for name in Ballot.model_fields}))
    made_notes: dict[int, dict[int, Any]] = {id: {} for id in ids}
    for row in await _rows(connection, notes, ids, "session_id", "index"):
        made_notes[row["session_id"]][row["index"]] = row["data"]
    for row in verdict_rows:
        context = tuple(chats[h] for h in row["context"])
        own_ballots = cast.get((row["session_id"], row["index"]), [])
        made_notes[row["session_id"]][row["index"]] = _verdict(row, context, own_ballots)
    return {id: _journal(made_turns[id], made_notes[id]) for id in ids}


def _journal(own: Iterable[Turn], noted: Mapping[int, Any]) -> Recorded:
    return Recorded(turns=tuple(own), notes=tuple(noted[index] for index in sorted(noted)))


def _verdict(row: Mapping[str, Any], context: Messages, own: Iterable[Ballot]) -> Verdict:
    stored = set(Verdict.model_fields) - {"kind", "context", "ballots"}
    return Verdict(context=context, ballots=tuple(own), **{name: row[name] for name in stored})


async def _rows(
    connection: AsyncConnection, table: Any, ids: Sequence[int], *order: str
) -> list[Mapping[str, Any]]:
    query = select(table).where(table.c.session_id.in_(ids)).order_by(*(table.c[o] for o in order))
    return [dict(row) for row in (await connection.execute(query)).mappings()]


async def _messages(connection: AsyncConnection, hashes: Iterable[bytes]) -> dict[bytes, Message]:
    query = select(messages).where(messages.c.hash.in_(array_of(hashes, LargeBinary)))
    found = await connection.execute(query)
    return {bytes(row.hash): Message(role=row.role, content=row.content) for row in found}
