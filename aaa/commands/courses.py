"""`aaa courses …` and `aaa generations …`, over the API."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aaa.catalogue import open_catalogue
from aaa.client import Json
from aaa.commands.opening import open_client, say, show
from aaa.commands.rounds import CHANGEABLE as OF_A_ROUND
from aaa.commands.rounds import changes_of
from aaa.commands.staged import line, under_way
from aaa.commands.table import print_rows
from aaa.generations import child, next_number, root_of, write_card
from aaa.settings import Settings

CHANGEABLE = {key: told for key, told in OF_A_ROUND.items() if key != "seat_budgets"}


async def ls(settings: Settings, as_json: bool, limit: int) -> int:
    """Courses, newest first."""
    async with open_client(settings) as client:
        items = await client.courses(limit)
    if as_json:
        show({"items": items})
        return 0
    rows = [item | {"spent": f"${item['spent_usd']:.4f}", "created": _time(item)} for item in items]
    columns = ("id", "scenario", "status", "stage", "student", "spent", "created")
    print_rows(columns, rows)
    if not rows:
        say("No courses yet; `aaa run SCENARIO` of one with stages starts one.")
    return 0


def _time(item: Json) -> str:
    return str(item["created_at"])[:19].replace("T", " ")


async def show_course(settings: Settings, course_id: str, as_json: bool) -> int:
    """One course with its steps."""
    async with open_client(settings) as client:
        found = await client.course(course_id)
    if as_json:
        show(found)
        return 0
    for key, value in found.items():
        if key not in ("steps", "stages") and value not in (None, ""):
            say(f"{key:14} {value}")
    rows = [
        row | {"found": line(row) if row["status"] == "done" else under_way(row)}
        for row in found["steps"]
    ]
    print_rows(("stage", "kind", "protocol", "status", "found"), rows)
    return 0


async def move(settings: Settings, course_id: str, verb: str) -> int:
    """Pause, resume or cancel; prints the course."""
    async with open_client(settings) as client:
        show(await client.move_course(course_id, verb))
    if verb == "resume" and settings.url is None:
        say(
            f"It is marked to go on. `aaa run SCENARIO --resume {course_id}` or `aaa serve` conducts it."
        )
    return 0


async def retune(settings: Settings, course_id: str, assignments: Sequence[str]) -> int:
    """`key=value …`: change a live course's limits. Raises `InputError` naming what can be changed."""
    changes = changes_of(assignments, CHANGEABLE)
    async with open_client(settings) as client:
        show(await client.retune_course(course_id, changes))
    return 0


async def generations(settings: Settings, student: str | None, as_json: bool) -> int:
    """Trained students by line and number."""
    async with open_client(settings) as client:
        items = await client.generations(student)
    if as_json:
        show({"items": items})
        return 0
    rows = [item | _gate(item) for item in items]
    columns = (
        "agent",
        "generation",
        "parent",
        "model",
        "admitted",
        "win_rate",
        "course_id",
        "stage",
    )
    print_rows(columns, rows)
    if not rows:
        say("No student was trained yet.")
    return 0


def _gate(item: Json) -> dict[str, Any]:
    told = item["admission"]
    if told is None or told["win_rate"] is None:
        return {"win_rate": None}
    low = "" if told["low"] is None else f" (at least {told['low']:.1%})"
    return {"win_rate": f"{told['win_rate']:.1%}{low}"}


async def register(
    settings: Settings, parent: str, told: dict[str, Any], course: str | None
) -> int:
    """Write the card of a student that was trained by hand, and put it on record. Raises `InputError`."""

    def write() -> tuple[str, Path]:
        catalogue = open_catalogue(settings)
        student = root_of(catalogue, parent)
        number = next_number((catalogue.card(name) for name in catalogue.agents()), student)
        card = child(catalogue.card(parent), student, number, told)
        return card.name, write_card(settings.home, card)

    name, path = await asyncio.to_thread(write)
    say(f"{name}: its card is {path}")
    async with open_client(settings) as client:
        show(await client.register_generation({"agent": name, "course": course}))
    return 0


async def rollback(settings: Settings, course_id: str, agent: str) -> int:
    """Have a course go back, or on, to that generation; prints the course."""
    async with open_client(settings) as client:
        show(await client.move_course(course_id, "teach", {"agent": agent}))
    return 0
