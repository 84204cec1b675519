"""Where sessions belong: their rounds, the stage of a course, and the seed at the head of an evolved one's
line.

A family is a seed with all that was evolved from it, in whatever round: a split by family keeps them
together.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Integer, Text, cast, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.catalogue import Script
from aaa.store.database import Database
from aaa.store.rounds import get_script
from aaa.store.rows import array_of
from aaa.store.tables import courses, notes, sessions, steps

PAGE = 5000
"""Session rows read at a time by `in_order`: they are small."""


class RoundOf(NamedTuple):
    """What all sessions of a round share."""

    script: Script
    stage: str | None
    """Name of the stage, where a course played it."""
    lineage: Mapping[str, tuple[str, ...]]


async def rounds_of(database: Database, round_ids: Sequence[str]) -> dict[str, RoundOf]:
    """Round -> what its sessions share, in the order given. Raises `NotFound` for one that is not there."""
    scripts = {round_id: await get_script(database, round_id) for round_id in round_ids}
    async with database.begin() as connection:
        stages = await _stages(connection, round_ids)
    return {
        id: RoundOf(
            script=script,
            stage=stages.get(id),
            lineage={a.name: a.lineage for held in script.cast.seats.values() for a in held},
        )
        for id, script in scripts.items()
    }


async def _stages(connection: AsyncConnection, round_ids: Sequence[str]) -> dict[str, str]:
    stage = courses.c.script["scenario"]["stages"][cast(steps.c.stage, Integer)]["name"].astext
    found = await connection.execute(
        select(steps.c.round_id, stage)
        .join(courses, courses.c.id == steps.c.course_id)
        .where(steps.c.round_id.in_(round_ids))
    )
    return {row[0]: row[1] for row in found}


async def families(database: Database, round_ids: Sequence[str]) -> dict[str, str]:
    """Evolved seed -> id of the seed at the head of its line; seeds that nobody evolved are left out.

    The lines are followed through the seeds of every round and through what plays evolved. A parent that is
    on no record is the head.
    """
    parent = sessions.c.seed["parent"].astext
    async with database.begin() as connection:
        found = await connection.execute(
            select(sessions.c.seed_id, parent)
            .where(sessions.c.round_id.in_(round_ids), parent.is_not(None))
            .distinct()
        )
        own = {row[0]: row[1] for row in found}
        known = dict(own)
        frontier = set(own.values()) - set(known)
        while frontier:
            above = await _parents(connection, frontier)
            known |= above
            frontier = set(above.values()) - set(known)
    return {child: _head(known, child) for child in own}


async def line_of(database: Database, seed: str, parent: str | None) -> tuple[str, ...]:
    """The seeds that this one was evolved from, nearest first; empty for one that nobody evolved."""
    line: list[str] = []
    async with database.begin() as connection:
        while parent is not None and parent not in (seed, *line):
            line.append(parent)
            parent = (await _parents(connection, {parent})).get(parent)
    return tuple(line)


async def _parents(connection: AsyncConnection, children: set[str]) -> dict[str, str]:
    """Child -> parent, for those of these that have one."""
    parent = sessions.c.seed["parent"].astext
    wanted = array_of(sorted(children), Text)
    of_seeds = select(sessions.c.seed_id, parent).where(
        sessions.c.seed_id.in_(wanted), parent.is_not(None)
    )
    child = notes.c.data["id"].astext
    of_notes = select(child, notes.c.data["parent"].astext).where(
        notes.c.kind == "evolved", child.in_(wanted)
    )
    found: dict[str, str] = {}
    for query in (of_notes, of_seeds):
        found |= {name: above for name, above in await connection.execute(query) if above != name}
    return found


def _head(parents: Mapping[str, str], seed: str) -> str:
    seen = {seed}
    while (above := parents.get(seed)) is not None and above not in seen:
        seed = above
        seen.add(seed)
    return seed


class SessionRow(NamedTuple):
    """A session, as far as its place in an export goes."""

    seed_id: str
    id: int
    round: str


async def places_of(database: Database, mark: str | None, seed: str) -> list[SessionRow]:
    """Sessions that a row may have come from, newest first: of seeds with that mark, of that very seed, or
    those that evolved it.

    A look at every session's seed id: 0.1 s for 250,000 of them, and asked by people alone.
    """
    digest = func.encode(func.sha256(func.convert_to(sessions.c.seed_id, "UTF8")), "hex")
    evolved = (
        exists()
        .where(notes.c.session_id == sessions.c.id, notes.c.kind == "evolved")
        .where(notes.c.data["id"].astext == seed)
    )
    wanted = (
        or_(sessions.c.seed_id == seed, evolved)
        if mark is None
        else func.left(digest, len(mark)) == mark
    )
    query = select(sessions.c.seed_id, sessions.c.id, sessions.c.round_id).where(wanted)
    async with database.begin() as connection:
        found = await connection.execute(query.order_by(sessions.c.id.desc()))
        return [SessionRow(*row) for row in found]


async def in_order(
    database: Database, round_ids: Sequence[str], size: int
) -> AsyncGenerator[list[SessionRow], None]:
    """The rounds' sessions by seed id, then session, in lists of `size`: the order of every export."""
    pages = [_Pages(database, round_id) for round_id in dict.fromkeys(round_ids)]
    heads = [row for page in pages if (row := await page.next()) is not None]
    of = {page.round: page for page in pages}
    chunk: list[SessionRow] = []
    while heads:
        first = min(heads)
        heads.remove(first)
        chunk.append(first)
        if (after := await of[first.round].next()) is not None:
            heads.append(after)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


class _Pages:
    """A round's sessions by seed id, read a page at a time: the index of the table has them in that order."""

    def __init__(self, database: Database, round_id: str) -> None:
        self.round = round_id
        self._database = database
        self._page: list[SessionRow] = []
        self._place = 0
        self._last: str | None = None

    async def next(self) -> SessionRow | None:
        if self._place == len(self._page):
            await self._turn_over()
        if self._place == len(self._page):
            return None
        self._place += 1
        return self._page[self._place - 1]

    async def _turn_over(self) -> None:
        query = (
            select(sessions.c.seed_id, sessions.c.id)
            .where(sessions.c.round_id == self.round)
            .order_by(sessions.c.seed_id)
            .limit(PAGE)
        )
        if self._last is not None:
            query = query.where(sessions.c.seed_id > self._last)
        async with self._database.begin() as connection:
            found = (await connection.execute(query)).all()
        self._page = [SessionRow(seed_id, id, self.round) for seed_id, id in found]
        self._place = 0
        if found:
            self._last = self._page[-1].seed_id
