"""Pairs read back as canonical records, a million of them in a minute: plain rows, no checked values.

Sessions come by seed id, then session, whatever rounds they are of: the order of every export. They are
read in chunks, each in a short transaction, so memory is flat and a slow reader holds no snapshot open; the
next chunks are asked for while one is worked on. What is not asked for is not read: judges' words are most
of a journal. The statements go to psycopg as they are and come back as binary tuples: what SQLAlchemy does
for each row would take most of the time.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, LiteralString, NamedTuple

import orjson
from psycopg import AsyncConnection

from aaa.records import Chat, Decided, Record, Said, Vote, Whence, by_checker, record
from aaa.store.database import Database
from aaa.store.whence import RoundOf, SessionRow, families, in_order, rounds_of

CHUNK = 125
"""Sessions read at a time."""
AHEAD = 2
"""Chunks asked for before they are needed."""

Place = tuple[int, int]
"""Session, and index within it: of a turn, or of a verdict."""

PAIRS: LiteralString = """
    SELECT v.session_id, v.index, v.pair_id, v.edge, v.context, v.winner, v.judging, v.margin,
        v.related_judges, v.reason,
        a.index, a.seat, a.agent, a.purpose, a.text, a.model, a.finish_reason, a.prompt_tokens,
        a.completion_tokens, a.cost_usd,
        b.index, b.seat, b.agent, b.purpose, b.text, b.model, b.finish_reason, b.prompt_tokens,
        b.completion_tokens, b.cost_usd
    FROM verdicts v
    JOIN turns a ON a.session_id = v.session_id AND a.index = v.a
    JOIN turns b ON b.session_id = v.session_id AND b.index = v.b
    WHERE v.session_id = ANY(%s) AND v.pair_id IS NOT NULL
    ORDER BY v.session_id, v.index
"""
"""Won verdicts with both answers."""
HEAD, WIDTH = 10, 10
"""Columns of the verdict, and of each answer, in it."""
VOTES: LiteralString = """
    SELECT session_id, verdict, judge, "order", turn, prefers, scores::text, '', error
    FROM ballots WHERE session_id = ANY(%s) ORDER BY session_id, verdict, number
"""
VOTES_IN_WORDS: LiteralString = VOTES.replace("''", "explanation")
WORDS: LiteralString = """
    SELECT t.session_id, t.index, t.seat, t.agent, t.purpose, t.text, t.model, t.finish_reason,
        t.prompt_tokens, t.completion_tokens, t.cost_usd, t.choice_logprobs::text
    FROM turns t
    WHERE (t.session_id, t.index) IN
        (SELECT session_id, turn FROM ballots WHERE session_id = ANY(%s))
"""
"""What judges said; of a checker's ballot, the answer that it looked at."""
SEEDS: LiteralString = """
    SELECT id,
        CASE WHEN seed->>'reference' IS NOT NULL THEN (seed->'prompt')::text END,
        seed_id, (seed->'tags')::text, seed->>'reference', seed->>'parent'
    FROM sessions WHERE id = ANY(%s)
"""
"""A prompt is needed only to tell whether a reference answers what was asked."""
MESSAGES: LiteralString = """
    SELECT hash, role, content FROM messages WHERE hash IN
        (SELECT unnest(context) FROM verdicts WHERE session_id = ANY(%s) AND pair_id IS NOT NULL)
"""


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
    loading: deque[asyncio.Task[list[Record]]] = deque()
    try:
        async with aclosing(in_order(database, round_ids, CHUNK)) as parts:
            async for part in parts:
                loading.append(asyncio.create_task(_load(database, part, wanted)))
                if len(loading) > AHEAD:
                    yield await loading.popleft()
        while loading:
            yield await loading.popleft()
    finally:
        for task in loading:
            task.cancel()


async def _load(database: Database, part: Sequence[SessionRow], wanted: Wanted) -> list[Record]:
    ids = [row.id for row in part]
    async with database.begin() as connection:
        raw: AsyncConnection[Any] = (await connection.get_raw_connection()).driver_connection  # type: ignore[assignment]
        won, ballots, seeds, said, words = await _answers(raw, ids, wanted.words)
    votes = _votes(ballots, words)
    chats = {hash: {"role": role, "content": content} for hash, role, content in said}
    decided: dict[int, list[Decided]] = {}
    for row in won:
        context = [chats[hash] for hash in row[4]]
        decided.setdefault(row[0], []).append(_decided(row, context, votes.get(row[:2], ())))
    of = {id: (_seed(wanted.families, *rest), _json(prompt) or []) for id, prompt, *rest in seeds}
    return [
        record(whence, one)
        for session in part
        if session.id in decided
        for whence in (_whence(session, wanted.rounds[session.round], *of[session.id]),)
        for one in decided[session.id]
    ]


async def _answers(raw: AsyncConnection[Any], ids: list[int], words: bool) -> list[list[Any]]:
    """Pairs, ballots, seeds, messages and judges' words of these sessions, asked for all at once.

    The server works on them while the loop is busy with an earlier chunk.
    """
    asked = [
        PAIRS,
        VOTES_IN_WORDS if words else VOTES,
        SEEDS,
        MESSAGES,
        *([WORDS] if words else []),
    ]
    cursors = [raw.cursor(binary=True) for _ in asked]
    async with raw.pipeline():
        for cursor, query in zip(cursors, asked, strict=True):
            await cursor.execute(query, (ids,))
    found = [await cursor.fetchall() for cursor in cursors]
    return found if words else [*found, []]


def _votes(ballots: Sequence[Any], words: Sequence[Any]) -> dict[Place, list[Vote]]:
    """Verdict -> its ballots, in their order."""
    said: dict[Place, Said] = {row[:2]: Said._make((*row[1:-1], _json(row[-1]))) for row in words}
    votes: dict[Place, list[Vote]] = {}
    for session, verdict, judge, order, turn, prefers, scores, explanation, error in ballots:
        spoken = said.get((session, turn)) if said and not by_checker(judge) else None
        scored = None if scores is None else orjson.loads(scores)
        vote = Vote._make((judge, order, turn, prefers, scored, explanation, error, spoken))
        place = session, verdict
        if place in votes:
            votes[place].append(vote)
        else:
            votes[place] = [vote]
    return votes


def _decided(row: Sequence[Any], context: list[dict[str, str]], votes: Sequence[Vote]) -> Decided:
    id, edge, _, winner, judging, margin, related, reason = row[2:HEAD]
    chosen = Said._make((*row[HEAD : HEAD + WIDTH], None))
    rejected = Said._make((*row[HEAD + WIDTH :], None))
    if winner == "b":
        chosen, rejected = rejected, chosen
    return Decided(
        id, edge, context, chosen, rejected, winner, judging, margin, related, reason, votes
    )


def _seed(
    heads: Mapping[str, str], id: str, tags: str | None, reference: str | None, parent: str | None
) -> dict[str, Any]:
    return {
        "id": id,
        "tags": _json(tags) or [],
        "reference": reference,
        "parent": parent,
        "family": heads.get(id, id),
    }


def _whence(session: SessionRow, round: RoundOf, seed: Mapping[str, Any], prompt: Chat) -> Whence:
    scenario = round.script.scenario
    return Whence(
        session.round, session.id, scenario.name, scenario.protocol.id, round.stage, seed, round.lineage,
        prompt,
    )  # fmt: skip


def _json(text: str | None) -> Any:
    return None if text is None else orjson.loads(text)
