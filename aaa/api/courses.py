"""Routes of courses (staged scenarios) and of the generations that they make.

Only a scenario of the operator's catalogue may have stages: they run commands and write files.
"""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import Field

from aaa.api.guard import needs
from aaa.api.paging import CLEAN, Cursor, Limit, Name, Page, RoundId, page, unknown
from aaa.api.problems import errors, started
from aaa.api.rounds import CommandKey, Key
from aaa.api.starting import check_changes, check_plain, request_hash
from aaa.catalogue import Catalogue
from aaa.curriculum.course import Prepared, prepare
from aaa.curriculum.staged_estimate import StagedEstimate, staged_estimate
from aaa.errors import Conflict, InputError, NotFound
from aaa.generations import root_of
from aaa.preflight import check_priced, check_prices
from aaa.scenario import MOST_USD
from aaa.store import courses
from aaa.store.commands import done_before
from aaa.store.courses import Course, Retune, create_course, get_course, list_courses
from aaa.store.database import Database
from aaa.store.generations import Generation, find_generation, list_generations, register
from aaa.store.rounds import get_script
from aaa.store.steering import cancel_round, pause_round, resume_round
from aaa.types import Value

Student = Annotated[
    str | None, Query(max_length=200, pattern=CLEAN, description="Of this line alone")
]
STEERED = {"pause": pause_round, "resume": resume_round, "cancel": cancel_round}


class StartCourse(Value):
    """A course to start."""

    scenario: str = Field(examples=["arena_learning"])
    """Name of a scenario with stages."""
    overrides: dict[str, Any] = Field({}, examples=[{"seeds.limit": 90}])
    """Dotted key -> value; nothing below `stages`."""
    budget_usd: float | None = Field(None, ge=0, le=MOST_USD, allow_inf_nan=False)
    """For all its rounds together; `None`: as the scenario says."""


class Register(Value):
    """A generation that was trained by hand."""

    agent: str
    """Its card, which lies in a folder of the operator's and names its `parent`."""
    course: str | None = Field(None, max_length=200, pattern=CLEAN)
    """The course that teaches it from its next stage on."""


class Teach(Value):
    """Whom a course teaches from its next stage on."""

    agent: str


def routes(database: Database, catalogue: Catalogue) -> APIRouter:
    """`/v1/courses` and `/v1/generations`."""
    router = APIRouter(prefix="/v1", tags=["courses"])
    _starting(router, database, catalogue)
    _reading(router, database)
    _steering(router, database)
    _generations(router, database, catalogue)
    return router


def prepared(catalogue: Catalogue, asked: StartCourse) -> Prepared:
    """The course, checked whole; reads files. Raises `InputError`."""
    check_plain(asked.overrides, "overrides")
    try:
        theirs, folder = catalogue.scenario(asked.scenario)
        scenario, _ = catalogue.scenario(asked.scenario, asked.overrides)
        if scenario.stages != theirs.stages or scenario.seeds.files != theirs.seeds.files:
            raise InputError("overrides: `stages` and `seeds.file` cannot be changed here")
        check_changes(scenario, theirs)
        if not scenario.stages:
            raise InputError(f"scenario {asked.scenario!r} has no stages: start it as a round")
        if asked.budget_usd is not None:
            scenario = scenario.model_copy(update={"budget_usd": asked.budget_usd})
        found = prepare(catalogue, scenario, folder)
        for _, script, _ in found.plays:
            check_prices(script)
    except NotFound as error:
        raise InputError(str(error)) from error
    return found


def _starting(router: APIRouter, database: Database, catalogue: Catalogue) -> None:
    told: dict[str, Any] = {
        "dependencies": [needs("operator")],
        "responses": errors(400, 409, 413),
    }
    makes = told | {"responses": {**started("course"), **told["responses"]}}

    @router.post("/courses", status_code=202, **makes)
    async def start_course(
        asked: StartCourse, response: Response, idempotency_key: Key = None
    ) -> Course:
        """Start a course: its stages one after the other, a round for each of their plays."""
        request = await asyncio.to_thread(request_hash, asked)
        made = await courses.made_before(database, idempotency_key, request)
        if made is None:
            found = await asyncio.to_thread(prepared, catalogue, asked)
            made = await create_course(
                database, found, idempotency_key=idempotency_key, request=request
            )
        response.headers["Location"] = f"/v1/courses/{made.id}"
        return made

    @router.post("/courses/estimate", **told)
    async def course_estimate(asked: StartCourse) -> StagedEstimate:
        """What a course would ask and cost, stage by stage. Starts nothing."""
        found = await asyncio.to_thread(prepared, catalogue, asked)
        return await asyncio.to_thread(staged_estimate, found)


def _reading(router: APIRouter, database: Database) -> None:
    @router.get("/courses", dependencies=[needs("viewer")], responses=errors())
    async def every(limit: Limit = 50, cursor: Cursor = None) -> Page[Course]:
        """Courses, newest first."""
        try:
            found = await list_courses(database, limit=limit + 1, before=cursor)
        except NotFound as error:
            raise unknown(cursor) from error
        return page(found, limit, lambda course: course.id)

    @router.get("/courses/{course_id}", dependencies=[needs("viewer")], responses=errors(404))
    async def one(course_id: RoundId) -> Course:
        """One course with its steps."""
        return await get_course(database, course_id)


def _steering(router: APIRouter, database: Database) -> None:
    told: dict[str, Any] = {"dependencies": [needs("operator")], "responses": errors(404, 409)}

    @router.post("/courses/{course_id}/pause", **told)
    async def pause(course_id: RoundId, key: CommandKey = None) -> Course:
        """Begin nothing more; calls in flight come home, a training that runs goes on to its end."""
        return await _stop(database, course_id, "pause", key)

    @router.post("/courses/{course_id}/resume", **told)
    async def resume(course_id: RoundId, key: CommandKey = None) -> Course:
        """Go on where it stopped: its round, its training, or the next step."""
        again = await done_before(database, key, "resume", course_id)
        before = await get_course(database, course_id)
        # the round first, else the conductor would stop for it again
        if not again and before.status == "paused":
            await _steer_round(database, before, "resume")
        return await courses.steer(database, course_id, "resume", key=key)

    @router.post("/courses/{course_id}/cancel", **told)
    async def cancel(course_id: RoundId, key: CommandKey = None) -> Course:
        """End it for good; a training that runs is stopped, and what is recorded stays."""
        return await _stop(database, course_id, "cancel", key)

    @router.patch(
        "/courses/{course_id}",
        dependencies=[needs("operator")],
        responses=errors(400, 404, 409, 413),
    )
    async def retune(course_id: RoundId, changes: Retune) -> Course:
        """Change the limits of a live course, of the round that it plays and of later ones."""
        if changes.budget_usd is not None:
            await _check_prices(database, course_id)
        return await courses.retune_course(database, course_id, changes)

    @router.post("/courses/{course_id}/teach", **told)
    async def teach(course_id: RoundId, asked: Teach, key: CommandKey = None) -> Course:
        """Go back, or on, to another generation of the student, from the next stage on."""
        line = await _line(database, course_id)
        if asked.agent not in line:
            names = ", ".join(line)
            raise InputError(f"{asked.agent!r} is none of the line of this student: {names}")
        return await courses.teach(database, course_id, asked.agent, line[asked.agent], key=key)


async def _check_prices(database: Database, course_id: str) -> None:
    """As at the start, a budget in dollars over unknown prices is refused: of all that its plays seat."""
    script = await courses.script_of(database, course_id)
    found = await get_course(database, course_id)
    playing = [row.round for row in found.steps if row.status == "running" and row.round]
    rounds = [await get_script(database, round_id) for round_id in playing]
    plays = [play for stage in script.scenario.stages for play in stage.plays]
    seats = [script.scenario.seats, *(play.seats for play in plays)]
    seats += [round.scenario.seats for round in rounds]
    seated = {name for held in seats for names in held.values() for name in names}
    cards = [*script.cards.values(), *(card for round in rounds for card in round.cards.values())]
    known = {card.name: card for card in cards if card.name in seated}
    await asyncio.to_thread(check_priced, found.scenario, known.values())


async def _stop(database: Database, course_id: str, command: str, key: str | None) -> Course:
    """Pause or cancel a course and the round that it plays; one that was done before is not done again."""
    again = await done_before(database, key, command, course_id)
    found = await courses.steer(database, course_id, command, key=key)
    if not again:
        await _steer_round(database, found, command)
    return found


async def _line(database: Database, course_id: str) -> dict[str, str | None]:
    """The course's student under every name that is on record -> its parent, the first one first."""
    student = (await get_course(database, course_id)).student
    every = await list_generations(database)
    first = next((one.student for one in every if one.agent == student), student)
    return {first: None} | {one.agent: one.parent for one in every if one.student == first}


async def _steer_round(database: Database, course: Course, command: str) -> None:
    """The same for the round that the course plays now; one in another state is left as it is."""
    row = next((row for row in course.steps if row.status != "done"), None)
    if row is not None and row.round is not None:
        try:
            await STEERED[command](database, row.round)
        except Conflict:
            return


def _generations(router: APIRouter, database: Database, catalogue: Catalogue) -> None:
    @router.get("/generations", dependencies=[needs("viewer")], responses=errors())
    async def generations(
        student: Student = None, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[Generation]:
        """Trained students, by line and number, with what their gates found."""
        try:
            found = await list_generations(database, student, limit=limit + 1, after=cursor)
        except NotFound as error:
            raise unknown(cursor) from error
        return page(found, limit, lambda one: one.agent)

    @router.get("/generations/{agent}", dependencies=[needs("viewer")], responses=errors(404))
    async def generation(agent: Name) -> Generation:
        """One of them."""
        return await find_generation(database, agent)

    @router.post(
        "/generations",
        status_code=201,
        dependencies=[needs("operator")],
        responses=errors(400, 404, 409, 413),
    )
    async def registered(asked: Register) -> Generation:
        """Put a student that was trained by hand on record. Its card is the operator's."""
        card = await asyncio.to_thread(catalogue.card, asked.agent)
        if card.parent is None or card.generation < 1:
            raise InputError(
                f"card {asked.agent!r} names no `parent` and `generation`: it is no trained student"
            )
        student = await asyncio.to_thread(root_of, catalogue, card.name)
        found = Generation(
            agent=card.name,
            student=student,
            generation=card.generation,
            parent=card.parent,
            model=card.model,
            course_id=asked.course,
            admitted=True,
        )
        if asked.course is not None:
            line = await _line(database, asked.course)
            if student not in line and card.name not in line:
                taught = ", ".join(line)
                raise InputError(
                    f"course {asked.course!r} teaches {taught}; {card.name!r} is of the line of {student!r}"
                )
            await courses.teach(database, asked.course, card.name, card.parent)
        return await register(database, found)
