"""Verdicts read as battles: a page at a time, so memory holds numbers, not a whole round's texts."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, select, tuple_

from aaa.battles import EDGES, Identity, Judged, Ledger, players
from aaa.errors import NotFound
from aaa.store.database import Database
from aaa.store.tables import rounds, sessions, turns, verdicts

CHUNK = 1000
"""Verdicts read at a time."""
CHUNK_OF_TEXTS = 250
"""The same, where both answers come along."""
GIVEN = "given answers"
"""Why a verdict is no battle: its round judged answers that were given to it."""
_SOURCE = sessions.c.seed[("comparison", "source", "round")].astext
"""The round that a session's answers were played in, where it only judges them again."""


async def read_battles(
    database: Database,
    round_ids: Sequence[str] = (),
    *,
    edges: Sequence[str] = EDGES,
    style: bool = False,
) -> Ledger:
    """The battles of these rounds, of all where none is named, by session. Raises `NotFound`.

    A round that judged another's answers again counts where it is named, its players being those of the
    other; among all rounds it would count the same answers twice. `style`: with the style of their
    answers, which takes reading every text. Keyset paging, a short transaction a page: what is recorded
    meanwhile may be in it, and no snapshot is held open.
    """
    named = await _players(database, round_ids)
    ledger, last = Ledger(), (0, -1)
    size = CHUNK_OF_TEXTS if style else CHUNK
    while True:
        async with database.begin() as connection:
            found = await connection.execute(_page(round_ids, last, style).limit(size))
            rows = found.all()
        again = bool(round_ids)
        await asyncio.to_thread(_take, ledger, rows, named, tuple(edges), again)
        if len(rows) < size:
            return ledger
        last = (rows[-1].session_id, rows[-1].index)


def _page(round_ids: Sequence[str], last: tuple[int, int], style: bool) -> Select[Any]:
    """Verdicts after `last`, with who gave the answers; a verdict's turns are always on record."""
    a, b = turns.alias("a"), turns.alias("b")
    texts = [a.c.text.label("a_text"), b.c.text.label("b_text")] if style else []
    place = tuple_(verdicts.c.session_id, verdicts.c.index)
    query = (
        select(
            *(verdicts.c[name] for name in ("session_id", "index", "edge", "outcome", "winner")),
            sessions.c.round_id,
            sessions.c.seed_id,
            sessions.c.seed["tags"].label("tags"),
            _SOURCE.label("source"),
            a.c.agent.label("a"),
            b.c.agent.label("b"),
            *texts,
        )
        .join(sessions, sessions.c.id == verdicts.c.session_id)
        .join(a, (a.c.session_id == verdicts.c.session_id) & (a.c.index == verdicts.c.a))
        .join(b, (b.c.session_id == verdicts.c.session_id) & (b.c.index == verdicts.c.b))
        .where(place > last)
        # implied by the joins, but PostgreSQL would not see it and begin at the first session each time
        .where(*(column >= last[0] for column in (sessions.c.id, a.c.session_id, b.c.session_id)))
        .order_by(verdicts.c.session_id, verdicts.c.index)
    )
    return query.where(sessions.c.round_id.in_(round_ids)) if round_ids else query


def _take(
    ledger: Ledger,
    rows: Sequence[Any],
    named: Mapping[tuple[str, str], str],
    edges: tuple[str, ...],
    again: bool,
) -> None:
    """`again`: verdicts on another round's answers count too."""
    for row in rows:
        played = row.source or row.round_id
        a, b = named.get((played, row.a)), named.get((played, row.b))
        if a is None or b is None or (row.source and not again):
            ledger.left_out[GIVEN] += 1
            continue
        judged = Judged(
            edge=row.edge,
            outcome=row.outcome,
            winner=row.winner,
            a=a,
            b=b,
            seed=row.seed_id,
            tags=tuple(row.tags or ()),
            texts=(row.a_text, row.b_text) if hasattr(row, "a_text") else None,
        )
        ledger.take(judged, edges)


async def _players(database: Database, round_ids: Sequence[str]) -> dict[tuple[str, str], str]:
    """(round, agent) -> player, by the cards that the rounds began with. Raises `NotFound`."""
    query = select(rounds.c.id, rounds.c.script["cards"].label("cards"))
    if round_ids:
        sources = select(_SOURCE).where(sessions.c.round_id.in_(round_ids), _SOURCE.is_not(None))
        query = query.where(rounds.c.id.in_(round_ids) | rounds.c.id.in_(sources))
    async with database.begin() as connection:
        cards = {row.id: row.cards for row in await connection.execute(query)}
    missing = [id for id in round_ids if id not in cards]
    if missing:
        raise NotFound(f"no round {missing[0]!r}; `aaa rounds ls` lists them")
    who = {
        (round_id, agent): Identity(agent, card["generation"], card["model"])
        for round_id, held in cards.items()
        for agent, card in held.items()
    }
    names = players(who.values())
    return {place: names[identity] for place, identity in who.items()}
