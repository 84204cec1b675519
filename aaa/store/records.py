"""Pairs read back as canonical records, a million of them in a minute: plain rows, no checked values.

Sessions come by seed id, then session, whatever rounds they are of: the order of every export. They are
read in chunks, each in a short transaction, so memory is flat and a slow reader holds no snapshot open; the
next chunk is asked for while the last is worked on. What is not asked for is not read: judges' words are
most of a journal.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Select, Text, cast, select, union
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.records import Chat, Decided, Record, Said, Vote, Whence, by_checker, record
from aaa.store.database import Database
from aaa.store.tables import ballots, messages, sessions, turns, verdicts
from aaa.store.whence import RoundOf, SessionRow, families, in_order, rounds_of, seed_columns

CHUNK = 500
"""Sessions read at a time."""

Place = tuple[int, int]
"""Session, and index within it: of a turn, or of a verdict."""


class Wanted(NamedTuple):
    """What is read of every session."""

    rounds: Mapping[str, RoundOf]
    families: Mapping[str, str]
    words: bool


async def records(
    database: Database, round_ids: Sequence[str], *, words: bool = True
) -> AsyncIterator[Record]:
    """The rounds' pairs in export order. `words`: with what judges said word for word, and what it cost.

    Raises `NotFound` for a round that is not there.
    """
    async with aclosing(chunks(database, round_ids, words=words)) as found:
        async for chunk in found:
            for one in chunk:
                yield one


async def chunks(
    database: Database, round_ids: Sequence[str], *, words: bool = True
) -> AsyncGenerator[list[Record], None]:
    """As `records`, in lists of some hundreds."""
    rounds = await rounds_of(database, round_ids)
    wanted = Wanted(rounds, await families(database, round_ids), words)
    loading: asyncio.Task[list[Record]] | None = None
    try:
        async with aclosing(in_order(database, round_ids, CHUNK)) as parts:
            async for part in parts:
                ready = loading
                loading = asyncio.create_task(_load(database, part, wanted))
                if ready is not None:
                    yield await ready
        if loading is not None:
            yield await loading
    finally:
        if loading is not None:
            loading.cancel()


async def _load(database: Database, part: Sequence[SessionRow], wanted: Wanted) -> list[Record]:
    ids = [row.id for row in part]
    async with database.begin() as connection:
        won = (await connection.execute(_won(ids))).all()
        said = await _said(connection, ids, wanted.words)
        cast_ = await _votes(connection, ids, said)
        seeds = await _seeds(connection, ids, wanted.families)
        chats = await _messages(connection, {bytes(h) for row in won for h in row.context})
    of: dict[int, list[Decided]] = {}
    for row in won:
        of.setdefault(row.session_id, []).append(_decided(row, said, cast_, chats))
    made = []
    for session in part:
        decided = of.get(session.id)
        if decided:
            whence = _whence(session, wanted.rounds[session.round], seeds[session.id])
            made += [record(whence, one) for one in decided]
    return made


def _whence(session: SessionRow, round: RoundOf, seed: Mapping[str, Any]) -> Whence:
    scenario = round.script.scenario
    return Whence(
        session.round, session.id, scenario.name, scenario.protocol.id, round.stage, seed, round.lineage
    )  # fmt: skip


def _decided(
    row: Any,
    said: Mapping[Place, Said],
    votes: Mapping[Place, list[Vote]],
    chats: Mapping[bytes, dict[str, str]],
) -> Decided:
    chosen, rejected = (row.a, row.b) if row.winner == "a" else (row.b, row.a)
    context: Chat = [chats[bytes(h)] for h in row.context]
    session = row.session_id
    return Decided(
        row.pair_id, row.edge, context, said[session, chosen], said[session, rejected], row.winner,
        row.judging, row.margin, row.related_judges, row.reason, votes.get((session, row.index), ()),
    )  # fmt: skip


def _won(ids: Sequence[int]) -> Select[Any]:
    return (
        select(
            verdicts.c.session_id, verdicts.c.index, verdicts.c.edge, verdicts.c.context,
            verdicts.c.a, verdicts.c.b, verdicts.c.winner, verdicts.c.margin, verdicts.c.judging,
            verdicts.c.related_judges, verdicts.c.reason, verdicts.c.pair_id,
        )
        .where(verdicts.c.session_id.in_(ids), verdicts.c.pair_id.is_not(None))
        .order_by(verdicts.c.session_id, verdicts.c.index)
    )  # fmt: skip


async def _said(connection: AsyncConnection, ids: Sequence[int], words: bool) -> dict[Place, Said]:
    """The turns that won pairs are about; with `words`, those of their judges too."""
    won = verdicts.c.session_id.in_(ids), verdicts.c.pair_id.is_not(None)
    parts = [
        select(verdicts.c.session_id, side.label("index")).where(*won)
        for side in (verdicts.c.a, verdicts.c.b)
    ]
    if words:
        parts.append(
            select(ballots.c.session_id, ballots.c.turn).where(ballots.c.session_id.in_(ids))
        )
    places = union(*parts).subquery()
    t = turns.c
    found = await connection.execute(
        select(
            t.session_id, t.index, t.seat, t.agent, t.purpose, t.text, t.model, t.finish_reason,
            t.prompt_tokens, t.completion_tokens, t.cost_usd, cast(t.choice_logprobs, Text),
        )
        .join(places, (places.c.session_id == t.session_id) & (places.c.index == t.index))
    )  # fmt: skip
    return {(row[0], row[1]): Said._make((*row[1:-1], _json(row[-1]))) for row in found}


async def _votes(
    connection: AsyncConnection, ids: Sequence[int], said: Mapping[Place, Said]
) -> dict[Place, list[Vote]]:
    """Verdict -> its ballots, in their order."""
    b = ballots.c
    found = await connection.execute(
        select(
            b.session_id, b.verdict, b.judge, b.order, b.turn, b.prefers, cast(b.scores, Text),
            b.explanation, b.error,
        )
        .where(b.session_id.in_(ids))
        .order_by(b.session_id, b.verdict, b.number)
    )  # fmt: skip
    votes: dict[Place, list[Vote]] = {}
    for session, verdict, judge, order, turn, prefers, scores, explanation, error in found:
        words = None if by_checker(judge) else said.get((session, turn))
        vote = Vote(judge, order, turn, prefers, _json(scores), explanation, error, words)
        votes.setdefault((session, verdict), []).append(vote)
    return votes


async def _seeds(
    connection: AsyncConnection, ids: Sequence[int], heads: Mapping[str, str]
) -> dict[int, dict[str, Any]]:
    """Session -> what a record tells of its seed."""
    found = await connection.execute(
        select(sessions.c.id, sessions.c.seed_id, *seed_columns()).where(sessions.c.id.in_(ids))
    )
    return {
        id: {
            "id": seed,
            "tags": _json(tags) or [],
            "reference": reference,
            "parent": parent,
            "family": heads.get(seed, seed),
        }
        for id, seed, tags, reference, parent in found
    }


async def _messages(connection: AsyncConnection, hashes: set[bytes]) -> dict[bytes, dict[str, str]]:
    query = select(messages.c.hash, messages.c.role, messages.c.content)
    found = await connection.execute(query.where(messages.c.hash.in_(hashes)))
    return {bytes(hash): {"role": role, "content": content} for hash, role, content in found}


def _json(text: str | None) -> Any:
    return None if text is None else orjson.loads(text)
