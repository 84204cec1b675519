"""Courses as rows: the steps of a staged scenario, what each found, and which seeds are used up.

Desired state is a row here too: whoever conducts obeys `status`. A step is begun and ended once; to begin or
to end it again changes nothing, so a conductor may die anywhere.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field
from sqlalchemy import Row, Text, exists, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.curriculum.course import CourseScript, Prepared, Step
from aaa.curriculum.course import steps as steps_of
from aaa.errors import Conflict, InputError, NotFound
from aaa.failpoints import hit
from aaa.scenario import MOST_COUNT, MOST_USD, STUDENT
from aaa.store import steering
from aaa.store.commands import first_time
from aaa.store.database import Database
from aaa.store.rounds import SEEDS_AT_ONCE, Round, get_round, new_id
from aaa.store.rows import array_of
from aaa.store.tables import course_seeds, courses, rounds, steps
from aaa.types import Seed, Value, fingerprint

POOL = "pool"
LEGAL: Mapping[str, tuple[str, ...]] = {
    "pause": ("running",),
    "resume": ("paused",),
    "cancel": ("running", "paused"),
}
"""Command -> states in which it is legal."""


class StepRow(Value):
    """A step of a course, and what came of it."""

    position: int
    stage: str
    kind: str
    protocol: str | None
    """Of a play."""
    status: str
    """`waiting`, `running` or `done`."""
    round: str | None
    """The round that plays it, where it is one."""
    data: dict[str, Any]
    """What it found: seeds drawn and weights, counts of training data, exit code, admission."""
    started_at: datetime | None
    finished_at: datetime | None


class Course(Value):
    """A course as users see it."""

    id: str
    scenario: str
    description: str
    status: str
    reason: str
    message: str
    student: str
    """Who is taught now."""
    parent: str | None
    next_student: str | None
    """Who is taught from the next stage on, where somebody asked for another."""
    stage: str | None
    """Of the first step that is not done; `None` at the end."""
    stages: tuple[str, ...]
    budget_usd: float | None
    budget_tokens: int | None
    budget_calls: int | None
    spent_usd: float
    spent_tokens: int
    calls: int
    concurrency: int
    steps: tuple[StepRow, ...]
    created_at: datetime
    finished_at: datetime | None


async def create_course(
    database: Database,
    prepared: Prepared,
    *,
    idempotency_key: str | None = None,
    request: object = None,
) -> Course:
    """Store a course with its steps and seeds; the conductor takes it from there. As `create_round`."""
    scenario = prepared.script.scenario
    request_hash = fingerprint(request)
    async with database.begin() as connection:
        made = await connection.scalar(
            pg_insert(courses)
            .values(
                id=new_id(scenario.name),
                scenario=scenario.name,
                script=prepared.script.model_dump(mode="json"),
                status="running",
                student=scenario.seats[STUDENT][0],
                budget_usd=scenario.budget_usd,
                budget_tokens=scenario.budget_tokens,
                budget_calls=scenario.budget_calls,
                concurrency=scenario.concurrency,
                idempotency_key=idempotency_key,
                request_hash=request_hash,
            )
            .on_conflict_do_nothing(index_elements=["idempotency_key"])
            .returning(courses.c.id)
        )
        if made is None:
            return await _made_before(connection, str(idempotency_key), request_hash)
        rows = [
            step.model_dump() | {"course_id": made, "status": "waiting"}
            for step in steps_of(scenario)
        ]
        await connection.execute(insert(steps), rows)
        await _insert_seeds(connection, made, POOL, prepared.pool)
        for use, seeds in prepared.apart.items():
            await _insert_seeds(connection, made, use, seeds)
        return await _find(connection, made)


async def _insert_seeds(
    connection: AsyncConnection, course_id: str, use: str, seeds: Sequence[Seed]
) -> None:
    for first in range(0, len(seeds), SEEDS_AT_ONCE):
        part = enumerate(seeds[first : first + SEEDS_AT_ONCE], first)
        rows = [
            {
                "course_id": course_id,
                "use": use,
                "position": n,
                "seed": seed.model_dump(mode="json"),
            }
            for n, seed in part
        ]
        await connection.execute(insert(course_seeds), rows)


async def made_before(
    database: Database, idempotency_key: str | None, request: object
) -> Course | None:
    """The course that was started with this key, if one was. Raises `Conflict`: by another request."""
    if idempotency_key is None:
        return None
    async with database.begin() as connection:
        return await _made_with(connection, idempotency_key, fingerprint(request))


async def _made_before(connection: AsyncConnection, key: str, request_hash: str) -> Course:
    found = await _made_with(connection, key, request_hash)
    assert found is not None
    return found


async def _made_with(connection: AsyncConnection, key: str, request_hash: str) -> Course | None:
    row = (
        await connection.execute(
            select(courses.c.id, courses.c.request_hash).where(courses.c.idempotency_key == key)
        )
    ).one_or_none()
    if row is None:
        return None
    if row.request_hash != request_hash:
        raise Conflict(
            f"Idempotency-Key {key!r} was used for another request (course {row.id!r}); take a new key"
        )
    return await _find(connection, row.id)


async def get_course(database: Database, course_id: str) -> Course:
    """That course. Raises `NotFound`."""
    async with database.begin() as connection:
        return await _find(connection, course_id)


async def list_courses(
    database: Database, *, limit: int = 50, before: str | None = None
) -> list[Course]:
    """Courses, newest first, from the one after course `before` on. Raises `NotFound` for `before`."""
    query = select(courses).order_by(courses.c.created_at.desc(), courses.c.id.desc()).limit(limit)
    async with database.begin() as connection:
        if before is not None:
            last = await _find(connection, before)
            query = query.where(
                (courses.c.created_at < last.created_at)
                | ((courses.c.created_at == last.created_at) & (courses.c.id < last.id))
            )
        found = (await connection.execute(query)).all()
        return [await _course(connection, row) for row in found]


async def script_of(database: Database, course_id: str) -> CourseScript:
    """What the course was started with. Raises `NotFound`."""
    async with database.begin() as connection:
        row = await _row(connection, course_id)
    return CourseScript.model_validate(row.script)


async def _row(connection: AsyncConnection, course_id: str, *, lock: bool = False) -> Row[Any]:
    query = select(courses).where(courses.c.id == course_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound(f"no course {course_id!r}; `aaa courses ls` lists them")
    return row


async def _find(connection: AsyncConnection, course_id: str) -> Course:
    return await _course(connection, await _row(connection, course_id))


async def _course(connection: AsyncConnection, row: Row[Any]) -> Course:
    query = select(steps).where(steps.c.course_id == row.id).order_by(steps.c.position)
    found = (await connection.execute(query)).all()
    spent = (
        await connection.execute(
            select(
                func.coalesce(func.sum(rounds.c.spent_usd), 0).label("usd"),
                func.coalesce(func.sum(rounds.c.spent_tokens), 0).label("tokens"),
                func.coalesce(func.sum(rounds.c.calls), 0).label("calls"),
            ).where(rounds.c.id.in_([step.round_id for step in found if step.round_id]))
        )
    ).one()
    stages = row.script["scenario"]["stages"]
    open_ = [step for step in found if step.status != "done"]
    held = found[-1:] if row.status == "paused" else []  # after its last step: by that one's gate
    at = next(iter([*open_, *held]), None)
    plain = (
        *("id", "scenario", "status", "reason", "message", "student", "parent", "next_student"),
        *("budget_tokens", "budget_calls", "concurrency", "created_at", "finished_at"),
    )
    return Course(
        description=row.script["scenario"]["description"],
        stage=stages[at.stage]["name"] if at else None,
        stages=tuple(stage["name"] for stage in stages),
        budget_usd=None if row.budget_usd is None else float(row.budget_usd),
        spent_usd=float(spent.usd),
        spent_tokens=int(spent.tokens),
        calls=int(spent.calls),
        steps=tuple(_step(step, stages) for step in found),
        **{name: getattr(row, name) for name in plain},
    )


def _step(row: Row[Any], stages: Sequence[Mapping[str, Any]]) -> StepRow:
    stage = stages[row.stage]
    protocol = None if row.play is None else stage["plays"][row.play]["protocol"]["id"]
    return StepRow(
        position=row.position,
        stage=stage["name"],
        kind=row.kind,
        protocol=protocol,
        status=row.status,
        round=row.round_id,
        data=row.data,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )


# Steering


async def steer(
    database: Database, course_id: str, command: str, *, key: str | None = None
) -> Course:
    """`pause`, `resume` or `cancel`. Its round, if it plays one, is steered by the caller and the conductor.

    `key`: as `steering.pause_round`. Raises `Conflict`, `NotFound`.
    """
    status = {"pause": "paused", "resume": "running", "cancel": "cancelled"}[command]
    async with database.begin() as connection:
        if not await first_time(connection, key, command, course_id):
            return await _find(connection, course_id)
        row = await _row(connection, course_id, lock=True)
        if row.status not in LEGAL[command]:
            legal = [name for name, states in LEGAL.items() if row.status in states]
            raise Conflict(
                f"course {course_id!r} is {row.status}: {command} is not possible; "
                f"possible: {', '.join(legal) or 'nothing'}"
            )
        asked = {"reason": "", "message": ""} if command == "resume" else {"reason": "asked"}
        await _set(connection, course_id, status=status, **asked)
        return await _find(connection, course_id)


class Retune(Value):
    """What to change of a live course; what is left out stays, `null` takes a budget away."""

    concurrency: int | None = Field(None, ge=1, le=100_000)
    budget_usd: float | None = Field(None, ge=0, le=MOST_USD, allow_inf_nan=False)
    budget_tokens: int | None = Field(None, ge=0, le=MOST_COUNT)
    budget_calls: int | None = Field(None, ge=0, le=MOST_COUNT)


async def retune_course(database: Database, course_id: str, wanted: Retune) -> Course:
    """Change the limits of a live course, and of the round that it plays now. Raises as `steer`."""
    changes = wanted.model_dump(exclude_unset=True)
    if not changes or changes.get("concurrency", 1) is None:
        raise InputError(f"nothing to change; give one of {', '.join(Retune.model_fields)}")
    async with database.begin() as connection:
        row = await _row(connection, course_id, lock=True)
        if row.status not in ("running", "paused"):
            raise Conflict(f"course {course_id!r} is {row.status}; only a live one can change")
        await _set(connection, course_id, **changes)
        found = await _find(connection, course_id)
    for playing in (row.round for row in found.steps if row.status == "running" and row.round):
        now = await get_round(database, playing)
        mine = {name: value for name, value in left(found, now).items() if name in changes}
        with contextlib.suppress(Conflict):  # it has ended
            await steering.retune_round(database, playing, steering.Retune.model_validate(mine))
    return found


def left(course: Course, playing: Round | None = None) -> dict[str, float | int | None]:
    """The limits of the course's next round, or of the one that plays: what the budgets have left for it."""

    def rest(cap: float | None, spent: float, own: float) -> float | None:
        return None if cap is None else max(0, cap - spent + own)

    usd, tokens, calls = (
        (playing.spent_usd, playing.spent_tokens, playing.calls) if playing else (0.0, 0, 0)
    )
    return {
        "budget_usd": rest(course.budget_usd, course.spent_usd, usd),
        "budget_tokens": rest(course.budget_tokens, course.spent_tokens, tokens),
        "budget_calls": rest(course.budget_calls, course.calls, calls),
        "concurrency": course.concurrency,
    }


async def hold(database: Database, course_id: str, reason: str, message: str) -> None:
    """Pause a running course for a reason of its own; any other is left as it is."""
    async with database.begin() as connection:
        row = await _row(connection, course_id, lock=True)
        if row.status == "running":
            await _set(connection, course_id, status="paused", reason=reason, message=message)


async def _set(connection: AsyncConnection, course_id: str, **values: Any) -> None:
    if values.get("status") in ("completed", "cancelled"):
        values["finished_at"] = func.now()
    await connection.execute(update(courses).where(courses.c.id == course_id).values(**values))


# Conducting


async def live_courses(database: Database) -> list[str]:
    """Ids of courses that run, or whose round may have to be stopped, oldest first."""
    lately = courses.c.finished_at > func.now() - timedelta(hours=1)
    query = (
        select(courses.c.id)
        .where(
            courses.c.status.in_(("running", "paused"))
            | ((courses.c.status == "cancelled") & lately)
        )
        .order_by(courses.c.created_at)
    )
    async with database.begin() as connection:
        return list((await connection.scalars(query)).all())


async def begin_step(
    database: Database, course_id: str, position: int, round_id: str | None = None
) -> None:
    """Mark a step as under way, by that round where it is one."""
    values: dict[str, Any] = {"status": "running", "started_at": func.now()}
    if round_id is not None:
        values["round_id"] = round_id
    async with database.begin() as connection:
        await connection.execute(
            update(steps)
            .where(*_place(course_id, position), steps.c.status == "waiting")
            .values(values)
        )


async def note_step(
    database: Database, course_id: str, position: int, data: Mapping[str, Any]
) -> None:
    """Say how a step that is under way stands; one that is done keeps what it found."""
    async with database.begin() as connection:
        await connection.execute(
            update(steps)
            .where(*_place(course_id, position), steps.c.status == "running")
            .values(data=dict(data))
        )


async def end_step(
    database: Database,
    course_id: str,
    step: Step,
    data: Mapping[str, Any],
    *,
    taken: Iterable[str] = (),
    learner: tuple[str, str | None] | None = None,
) -> None:
    """Mark a step as done, with what it found; the course too, where it was the last.

    `taken`: ids of seeds that its stage has drawn. `learner`: who is taught from now on, and its parent.
    """
    ids = list(taken)
    async with database.begin() as connection:
        await _row(connection, course_id, lock=True)
        if ids:
            await connection.execute(
                update(course_seeds)
                .where(
                    course_seeds.c.course_id == course_id,
                    course_seeds.c.use == POOL,
                    course_seeds.c.seed["id"].astext.in_(array_of(ids, Text)),
                )
                .values(stage=step.stage)
            )
        if learner is not None:
            await _set(connection, course_id, student=learner[0], parent=learner[1])
        await connection.execute(
            update(steps)
            .where(*_place(course_id, step.position), steps.c.status != "done")
            .values(status="done", data=dict(data), finished_at=func.now())
        )
        hit("course.inside")
        if not await _within_stage(connection, course_id):
            await _turn(connection, course_id)
        await _conclude(connection, course_id)
    hit("course.after")


async def conclude(database: Database, course_id: str) -> None:
    """Complete a running course that has no open step: its last one may have ended while it was paused."""
    async with database.begin() as connection:
        await _row(connection, course_id, lock=True)
        await _conclude(connection, course_id)


async def _conclude(connection: AsyncConnection, course_id: str) -> None:
    is_open = exists().where(steps.c.course_id == course_id, steps.c.status != "done")
    await connection.execute(
        update(courses)
        .where(courses.c.id == course_id, courses.c.status == "running", ~is_open)
        .values(status="completed", finished_at=func.now())
    )


async def teach(
    database: Database,
    course_id: str,
    student: str,
    parent: str | None,
    *,
    key: str | None = None,
) -> Course:
    """Have the course teach that agent from its next stage on, which is now where none is under way.

    What a stage that is under way trains, and whom its gate lets in, is then another child of its parent's.
    `key`, errors: as `steer`.
    """
    async with database.begin() as connection:
        if not await first_time(connection, key, "teach", course_id, student):
            return await _find(connection, course_id)
        row = await _row(connection, course_id, lock=True)
        if row.status not in ("running", "paused"):
            raise Conflict(f"course {course_id!r} is {row.status}; only a live one can change")
        await _set(connection, course_id, next_student=student, next_parent=parent)
        if not await _within_stage(connection, course_id):
            await _turn(connection, course_id)
        return await _find(connection, course_id)


async def _within_stage(connection: AsyncConnection, course_id: str) -> bool:
    """Whether a stage is under way: some of its steps are begun, and others of them are open.

    One that waits for whoever trains has nothing left to do.
    """
    query = select(steps.c.stage, steps.c.kind, steps.c.status)
    query = query.where(steps.c.course_id == course_id).order_by(steps.c.position)
    found = (await connection.execute(query)).all()
    at = next((step for step in found if step.status != "done"), None)
    if at is None or at.kind == "wait":
        return False
    return any(step.stage == at.stage and step.status != "waiting" for step in found)


async def _turn(connection: AsyncConnection, course_id: str) -> None:
    """Teach whom somebody asked for, if anybody did."""
    await connection.execute(
        update(courses)
        .where(courses.c.id == course_id, courses.c.next_student.is_not(None))
        .values(
            student=courses.c.next_student,
            parent=courses.c.next_parent,
            next_student=None,
            next_parent=None,
        )
    )


def _place(course_id: str, position: int) -> tuple[Any, Any]:
    return steps.c.course_id == course_id, steps.c.position == position


async def seeds_of(
    database: Database, course_id: str, use: str, stage: int | None = None
) -> list[tuple[Seed, int | None]]:
    """The course's seeds for that use, each with the stage that took it; of one stage where it is named."""
    query = (
        select(course_seeds.c.seed, course_seeds.c.stage)
        .where(course_seeds.c.course_id == course_id, course_seeds.c.use == use)
        .order_by(course_seeds.c.position)
    )
    if stage is not None:
        query = query.where(course_seeds.c.stage == stage)
    async with database.begin() as connection:
        found = (await connection.execute(query)).all()
    return [(Seed.model_validate(row.seed), row.stage) for row in found]
