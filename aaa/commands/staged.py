"""`aaa run` of a scenario with stages: a course from its first step to its last, told step by step."""

import asyncio
import shlex
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple

from aaa.catalogue import Catalogue, open_catalogue
from aaa.client import Client, Json
from aaa.commands.opening import arguments, check_resumed, command_name, say, show
from aaa.commands.rounds import is_file, tell_going
from aaa.commands.stopping import STOPPED, held, stopping
from aaa.commands.table import print_rows
from aaa.curriculum.course import Prepared, prepare
from aaa.curriculum.hand_off import check_commands
from aaa.curriculum.staged_estimate import StagedEstimate, staged_estimate
from aaa.errors import InputError
from aaa.preflight import check_cluster, check_prices, check_reach
from aaa.report.costs import seconds
from aaa.scenario import AgentCard
from aaa.settings import Settings
from aaa.training.progress import words
from aaa.yaml_files import read_yaml

LOOK_S = 0.5
LAST = "last"
"""As what to resume: the newest of the scenario that is not over; a new one, where all are."""
TOLD_EVERY = 10
"""Steps of a training between two lines about it."""
Everything = Callable[
    [Settings, Catalogue, asyncio.Event, Iterable[AgentCard]], AbstractAsyncContextManager[Client]
]


class Asked(NamedTuple):
    """What `aaa run` was asked for."""

    scenario: str
    overrides: dict[str, Any]
    resume: str | None
    as_json: bool
    budget_usd: float | None = None
    """For a course that goes on; one that begins has it among its overrides."""


def is_staged(settings: Settings, scenario: str) -> bool:
    """Whether that SCENARIO has stages; one that cannot be read is said to have none."""
    try:
        catalogue, name = _catalogue(settings, scenario)
        if is_file(scenario):
            return bool(read_yaml(Path(scenario)).get("stages"))
        return bool(catalogue.scenario(name)[0].stages)
    except InputError:
        return False


def _catalogue(settings: Settings, scenario: str) -> tuple[Catalogue, str]:
    folder = (Path(scenario).resolve().parent,) if is_file(scenario) else ()
    name = Path(scenario).stem if is_file(scenario) else scenario
    return open_catalogue(settings, *folder), name


def prepared(
    settings: Settings, scenario: str, overrides: dict[str, Any]
) -> tuple[Catalogue, Prepared]:
    """The course, checked whole. Raises `InputError`."""
    catalogue, name = _catalogue(settings, scenario)
    found, folder = catalogue.scenario(name, overrides)
    made = prepare(catalogue, found, folder)
    for _, script, _ in made.plays:
        check_prices(script)
    return catalogue, made


def dry_run(settings: Settings, scenario: str, overrides: dict[str, Any], as_json: bool) -> int:
    """Print stages, sessions, calls and cost per stage and seat. Spends nothing."""
    _, made = prepared(settings, scenario, overrides)
    try:
        check_commands(made.script.scenario, made.script.folder)
    except InputError as error:
        say(f"warning: {error}")
    found = staged_estimate(made)
    show(found.model_dump(mode="json")) if as_json else _tell(found)
    return 0


def _tell(found: StagedEstimate) -> None:
    rows: list[dict[str, Any]] = []
    for play in found.plays:
        for line in play.estimate.lines:
            cost = "unknown" if line.cost_usd is None else f"{line.cost_usd:.4f}"
            about = {"stage": play.stage, "part": play.part, "sessions": play.estimate.sessions}
            rows.append(about | line.model_dump() | {"cost_usd": cost})
    print_rows(("stage", "part", "sessions", "seat", "agent", "purpose", "calls", "cost_usd"), rows)
    cost = "unknown" if found.cost_usd is None else f"${found.cost_usd:.4f}"
    say(
        f"{found.stages} stages, {found.sessions} sessions, at most {found.calls} calls, at most {cost}, "
        "training aside; nothing was spent."
    )
    if found.unpriced:
        say(f"No price is known for: {', '.join(found.unpriced)}")


async def run(settings: Settings, asked: Asked, everything: Everything) -> int:
    """Take the course from here to its end; exit code 0 when it completed."""
    catalogue, made = prepared(settings, asked.scenario, asked.overrides)
    check_cluster(settings)
    check_commands(made.script.scenario, made.script.folder)
    if settings.ray_address is None:
        for _, script, _ in made.plays:
            check_reach(script, settings)
    name = made.script.scenario.name
    say(f"Starting {name}: database, Ray and control plane on this machine …")
    cards = [card for _, script, _ in made.plays for card in script.cards.values()]
    stop = asyncio.Event()
    with stopping(stop):
        async with everything(settings, catalogue, stop, cards) as client:
            course = await _begin(client, name, asked)
            await tell_going(client, course["id"])
            done = [row for row in course["steps"] if row["status"] == "done"]
            code = await _follow(client, course["id"], stop, told=len(done))
            if code == STOPPED:
                await held(client.move_course(course["id"], "pause"))
                again = (
                    f"{command_name()} run {shlex.quote(asked.scenario)}"
                    f"{arguments(asked.overrides, resume=course['id'])}"
                )
                say(f"Stopped. Nothing recorded is lost; go on with:\n  {again}")
            if asked.as_json:
                show(await client.course(course["id"]))
    return code


def _tell_training(course: Json, heard: int) -> int:
    """Say how a training stands, every `TOLD_EVERY` steps; the step that was said last."""
    for row in course["steps"]:
        told = row["data"].get("progress") if row["status"] == "running" else None
        if told and (told["step"] >= heard + TOLD_EVERY or told["step"] < heard):
            say(f"  {row['stage']}: training, {words(told)}")
            return int(told["step"])
    return heard


async def _begin(client: Client, name: str, asked: Asked) -> Json:
    open_ = await _unfinished(client, name)
    resume = asked.resume
    if resume == LAST:
        resume = None if open_ is None else str(open_["id"])
    if resume is None:
        if open_ is not None:
            _tell_open(open_)
        made = await client.start_course({"scenario": name, "overrides": asked.overrides})
        say(f"Course {made['id']}: {len(made['stages'])} stages. Ctrl-C stops it safely.")
        return made
    found = await client.course(resume)
    check_resumed(found, name)
    if asked.budget_usd is not None and found["status"] in ("running", "paused"):
        await client.retune_course(resume, {"budget_usd": asked.budget_usd})
    if found["status"] == "paused":
        found = await client.move_course(resume, "resume")
    done = sum(row["status"] == "done" for row in found["steps"])
    stage = f" with stage {found['stage']}" if found["stage"] else ""
    say(f"Course {resume} goes on{stage}: {done} of {len(found['steps'])} steps are done")
    return found


def _tell_open(course: Json) -> None:
    """An earlier course is not over."""
    say(
        f"(Course {course['id']} of this scenario is not over: --resume {course['id']} goes on with it "
        f"alone, `aaa courses cancel {course['id']}` ends it.)"
    )


async def _unfinished(client: Client, name: str) -> Json | None:
    """The newest course of that scenario that is not over."""
    open_ = ("running", "paused")
    found = [one for one in await client.courses(50) if one["status"] in open_]
    return next((one for one in found if one["scenario"] == name), None)


async def _follow(client: Client, course_id: str, stop: asyncio.Event, told: int) -> int:
    """Tell each step after the first `told` as it ends, and each training as it goes, until the course
    ends or pauses."""
    heard = 0
    while not stop.is_set():
        found = await client.course(course_id)
        heard = _tell_training(found, heard)
        done = [row for row in found["steps"] if row["status"] == "done"]
        for row in done[told:]:
            say(f"  {row['stage']}: {line(row)}")
        told = len(done)
        if found["status"] == "completed":
            say(f"Course {course_id}: completed; the student is {found['student']}")
            return 0
        if found["status"] == "cancelled":
            return 1
        if found["status"] == "paused":
            say(f"Course {course_id} is paused ({found['reason']}): {found['message']}")
            return STOPPED
        await asyncio.sleep(LOOK_S)
    return STOPPED


def _comma(text: str) -> str:
    return text and f", {text}"


def _passed(data: Json) -> str:
    """`; passed: pupil 12 of 60 (20.0%), …`, where checkers looked at the answers."""
    told = (
        f"{one['agent']} {one['passed']} of {one['checked']} ({one['passed'] / one['checked']:.1%})"
        for one in data.get("passed", ())
    )
    found = ", ".join(told)
    return found and f"; passed: {found}"


def under_way(row: Json) -> str:
    """How a step that is not done stands."""
    told = words(row["data"].get("progress", {}))
    return told or str(row["round"] or "")


def line(row: Json) -> str:
    """What a step found, in words."""
    data = row["data"]
    if "skipped" in data:
        return f"{row['kind']} {row['protocol'] or ''} skipped: {data['skipped']}"
    match row["kind"]:
        case "draw":
            behind = ", ".join(f"{g['tag']} x{g['weight']:.2f}" for g in data["gaps"][:5])
            return f"{data['seeds']} seeds for {data['student']}" + (behind and f"; {behind}")
        case "play":
            return (
                f"{row['protocol']}: {data['sessions']['completed']} of {data['sessions']['total']} "
                f"sessions, {data['pairs']} pairs, ${data['spent_usd']:.4f} ({row['round']})"
                f"{_passed(data)}"
            )
        case "data":
            files = (
                f"{f['kept']} of {f['verdicts']} verdicts in {f['file']}" for f in data["files"]
            )
            return f"data: {', '.join(files)} ({data['folder']})"
        case "train":
            took_s = seconds(row["started_at"], row["finished_at"]) or 0.0
            return (
                f"trained {data['agent']} ({data['model']}) in {took_s:.0f} s"
                f"{_comma(words(data.get('progress', {})))}; {data['log']}"
            )
        case "gate":
            return f"gate: {data['student']} against {data['parent']}: {data['why']}{_passed(data)}"
        case "adopt":
            verb = "goes on" if data["admitted"] else "does not go on"
            return f"{data['agent']} {verb}"
    return str(row["kind"])
