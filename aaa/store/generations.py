"""Generations of students as rows: who was trained from whom, in which course, and what its gate found.

Their cards are files in `AAA_HOME/agents`, as every card is a file; a row says where one comes from.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as pg_insert

from aaa.errors import NotFound
from aaa.store.database import Database
from aaa.store.tables import generations
from aaa.types import Value


class Generation(Value):
    """A trained student."""

    agent: str
    student: str
    """The agent at the head of its line."""
    generation: int
    parent: str | None
    model: str
    course_id: str | None = None
    stage: str | None = None
    admission: dict[str, Any] | None = None
    """What its gate found; `None`: it met none."""
    admitted: bool | None = None
    """`None`: not decided yet."""
    at: datetime | None = None


async def register(database: Database, found: Generation) -> Generation:
    """Put a generation on record, or what changed about it; the row as it is now."""
    values = found.model_dump(exclude={"at"})
    changes = {k: v for k, v in values.items() if k != "agent" and v is not None}
    async with database.begin() as connection:
        row = await connection.execute(
            pg_insert(generations)
            .values(**values)
            .on_conflict_do_update(index_elements=["agent"], set_=changes)
            .returning(generations)
        )
        return Generation.model_validate(dict(row.one()._mapping))


async def admit(
    database: Database, agent: str, admitted: bool, admission: dict[str, Any] | None
) -> None:
    """Say whether a generation was let in, and why."""
    async with database.begin() as connection:
        await connection.execute(
            update(generations)
            .where(generations.c.agent == agent)
            .values(admitted=admitted, admission=admission)
        )


async def list_generations(
    database: Database,
    student: str | None = None,
    *,
    limit: int | None = None,
    after: str | None = None,
) -> list[Generation]:
    """All generations, or those of one student, by student and number, from the one after `after` on.

    Raises `NotFound` for `after`.
    """
    last = None if after is None else await find_generation(database, after)
    place = tuple(generations.c[name] for name in ("student", "generation", "agent"))
    query = select(generations).order_by(*place).limit(limit)
    if student is not None:
        query = query.where(generations.c.student == student)
    if last is not None:
        query = query.where(tuple_(*place) > tuple_(last.student, last.generation, last.agent))
    async with database.begin() as connection:
        found = (await connection.execute(query)).all()
    return [Generation.model_validate(dict(row._mapping)) for row in found]


async def find_generation(database: Database, agent: str) -> Generation:
    """That one. Raises `NotFound`."""
    async with database.begin() as connection:
        row = (
            await connection.execute(select(generations).where(generations.c.agent == agent))
        ).one_or_none()
    if row is None:
        raise NotFound(f"no generation {agent!r}; `aaa generations ls` lists them")
    return Generation.model_validate(dict(row._mapping))
