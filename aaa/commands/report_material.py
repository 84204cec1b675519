"""What a report is computed from, fetched over the API: rounds, sessions, courses, cards, ratings.

A course stands for its rounds: answers count in those of its examinations, or of its gates where it has none,
and what was taught is known from those of its other plays. A generation of a round named alone leads to the
course that trained it, in the same way. Left out: what follows from all that (`aaa/report/`).
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from aaa.board import Report as Ratings
from aaa.client import Client, Json, Round
from aaa.errors import InputError, NotFound
from aaa.models.weights import adapter_of
from aaa.report import energy
from aaa.report.answers import Answer, Taught, read, taught_by
from aaa.report.costs import seconds
from aaa.report.findings import Gate, Material
from aaa.report.players import Known, line_of
from aaa.report.training import training
from aaa.scenario import Seeds
from aaa.seeds import load_seeds

AT_ONCE = 8
PER_S = 80.0
"""Requests: fewer than the control plane takes from one caller."""


class Asked(NamedTuple):
    """What the command was asked for."""

    ids: tuple[str, ...]
    random_seed: int
    compare: tuple[str, str] | None
    taught: tuple[Path, ...]
    energy: Path


class _Found(NamedTuple):
    """Rounds and courses behind the ids."""

    rounds: list[str]
    courses: list[Json]


async def material(client: Client, asked: Asked) -> Material:
    """Fetch it. Raises `NotFound` for an id that is none, `InputError`."""
    given = await asyncio.to_thread(_taught_files, asked.taught)
    found = await _resolved(client, asked.ids)
    generations = await client.generations()
    scripts = {id: await client.script(id) for id in found.rounds}
    known = _known(scripts.values(), generations)
    answers = await _answers(client, found.rounds)
    there = {one.agent for one in answers}
    courses = await _with_theirs(client, found.courses, generations, there, known)
    teaching = [id for one in courses for id in taught_in(one)]
    rounds = [await client.round(id) for id in found.rounds]
    lessons = [await client.round(id) for id in teaching if id not in found.rounds]
    trainings = [training(*one) for one in _trained(courses, generations, there)]
    spans = _spans((*rounds, *lessons), courses)
    joules, told = await asyncio.to_thread(_energy, asked.energy, spans)
    return Material(
        asked=asked.ids,
        random_seed=asked.random_seed,
        compare=asked.compare,
        rounds=tuple(rounds),
        teaching=tuple(lessons),
        answers=tuple(answers),
        known=known,
        taught=await _taught(client, teaching, given),
        ratings=await _ratings(client, found.rounds),
        gates=tuple(_gates(courses)),
        trainings=tuple(trainings),
        joules=joules,
        energy=told,
        notes=tuple(_edited(scripts)),
    )


async def _resolved(client: Client, ids: Sequence[str]) -> _Found:
    """An id is a round's or a course's."""
    rounds: list[str] = []
    courses: list[Json] = []
    for id in ids:
        try:
            rounds.append((await client.round(id))["id"])
        except NotFound:
            try:
                courses.append(await client.course(id))
            except NotFound as error:
                raise NotFound(
                    f"no round and no course {id!r}; `aaa rounds ls` and `aaa courses ls` list them"
                ) from error
    rounds += [id for one in courses for id in examined_in(one)]
    return _Found(list(dict.fromkeys(rounds)), courses)


def examined_in(course: Json) -> list[str]:
    """The rounds on seeds that were held out for the end; a gate's, which choose, where there are none."""
    drawn = {row["stage"] for row in _steps(course, "draw")}
    plays = [row["round"] for row in _steps(course, "play") if row["stage"] not in drawn]
    found = [id for id in plays if id is not None]
    return found or [row["round"] for row in _steps(course, "gate") if row["round"] is not None]


def taught_in(course: Json) -> list[str]:
    """The rounds of stages that drew seeds to teach with."""
    drawn = {row["stage"] for row in _steps(course, "draw")}
    plays = [row for row in _steps(course, "play") if row["stage"] in drawn]
    return [row["round"] for row in plays if row["round"] is not None]


def _steps(course: Json, kind: str) -> list[Json]:
    return [row for row in course["steps"] if row["kind"] == kind]


def _known(scripts: Iterable[Json], generations: Iterable[Json]) -> dict[str, Known]:
    """Agent -> what cards say, and for trained students what is registered."""
    found = {
        name: Known(generation=card["generation"], parent=card["parent"], model=card["model"])
        for script in scripts
        for name, card in script["cards"].items()
    }
    for one in generations:
        found[one["agent"]] = Known(
            generation=one["generation"], parent=one["parent"], model=one["model"]
        )
    return found


def _edited(scripts: dict[str, Json]) -> list[str]:
    """A note for each agent whose model was another one in another round."""
    models: dict[str, set[str]] = {}
    for script in scripts.values():
        for name, card in script["cards"].items():
            models.setdefault(name, set()).add(str(card["model"]))
    return [
        f"{name} was not the same model in all of these rounds: {', '.join(sorted(several))}. Its "
        "answers are counted together."
        for name, several in models.items()
        if len(several) > 1
    ]


async def _answers(client: Client, rounds: Sequence[str]) -> list[Answer]:
    """Every answer of every session."""
    ids = [row["id"] for id in rounds for row in await client.sessions(id) if row["turns"]]
    found: list[Answer] = []
    waiting = iter(ids)
    while some := list(islice(waiting, AT_ONCE)):
        began = time.monotonic()
        sessions = await asyncio.gather(*(client.session(str(id)) for id in some))
        for one in sessions:
            found += await asyncio.to_thread(list, read(one))
        await asyncio.sleep(max(0.0, began + len(some) / PER_S - time.monotonic()))
    return found


async def _with_theirs(
    client: Client,
    courses: list[Json],
    generations: list[Json],
    agents: set[str],
    known: dict[str, Known],
) -> list[Json]:
    """These courses, and those that trained the agents that answered, or their ancestors."""
    line = {ancestor for agent in agents for ancestor in line_of(agent, known)}
    ids = [
        one["course_id"]
        for one in generations
        if one["course_id"] is not None and one["agent"] in line
    ]
    there = {one["id"] for one in courses}
    more = [await client.course(id) for id in dict.fromkeys(ids) if id not in there]
    return [*courses, *more]


async def _taught(client: Client, rounds: Sequence[str], given: Sequence[Json]) -> Taught:
    """What those rounds taught with, and what files say."""
    seeds = list(given)
    for id in dict.fromkeys(rounds):
        seeds += await client.seeds(id)
    return taught_by(seeds)


def _taught_files(paths: Iterable[Path]) -> list[dict[str, Any]]:
    return [
        seed.model_dump(mode="json")
        for path in paths
        for seed in load_seeds(Seeds(file=path.name), path.parent)
    ]


async def _ratings(client: Client, rounds: Sequence[str]) -> Ratings | None:
    if not rounds:
        return None
    return Ratings.model_validate(await client.ratings(round=list(rounds)))


def _gates(courses: Iterable[Json]) -> list[Gate]:
    wanted = set(Gate.model_fields) - {"stage"}
    return [
        Gate.model_validate(
            {"stage": row["stage"], **{k: v for k, v in row["data"].items() if k in wanted}}
        )
        for one in courses
        for row in _steps(one, "gate")
        if row["status"] == "done" and "student" in row["data"]
    ]


def _trained(
    courses: Iterable[Json], generations: Iterable[Json], agents: set[str]
) -> list[tuple[str, Path | None, float | None]]:
    """(agent, where it was trained, seconds), in the order of the courses; then those trained by hand."""
    found: dict[str, tuple[Path | None, float | None]] = {}
    for one in courses:
        for row in _steps(one, "train"):
            told = row["data"]
            if "agent" in told:
                took_s = seconds(row["started_at"], row["finished_at"])
                found[told["agent"]] = (_folder(str(told["model"])), took_s)
    for one in generations:
        if one["agent"] in agents and one["agent"] not in found:
            found[one["agent"]] = (_folder(str(one["model"])), None)
    return [(agent, folder, seconds) for agent, (folder, seconds) in found.items()]


def _folder(model: str) -> Path | None:
    """Where `aaa train` left a `local/…@ADAPTER`; `None` for models that live elsewhere."""
    _, adapter = adapter_of(model)
    return None if adapter is None else adapter.parent


Span = tuple[str | None, str | None]
"""First and last moment, as the API tells them."""


def _spans(rounds: Iterable[Round], courses: Iterable[Json]) -> dict[str, Span]:
    """When each round was played, and each agent trained."""
    found: dict[str, Span] = {one["id"]: (one["started_at"], one["finished_at"]) for one in rounds}
    for one in courses:
        for row in _steps(one, "train"):
            if "agent" in row["data"]:
                found[row["data"]["agent"]] = (row["started_at"], row["finished_at"])
    return found


def _energy(path: Path, spans: dict[str, Span]) -> tuple[dict[str, float], str]:
    """(round or agent -> joules, what is to be known of it)."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError:
        why = energy.why_not() or "the RAPL counters can be read here, but nobody did meanwhile"
        return {}, f"Energy is not known: {why}."
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: these are no readings of counters: {error}") from error
    found = energy.readings(lines)
    joules = {}
    for what, (start, end) in spans.items():
        first, last = energy.moment(start), energy.moment(end)
        used = None if first is None or last is None else energy.between(found, first, last)
        if used is not None:
            joules[what] = used
    return (
        joules,
        "Joules are the whole machine's packages by RAPL, whatever else it did at the time.",
    )
