"""D6: a course goes on where it was, whatever dies; nothing is drawn, played or trained twice.

Arena Learning's stages as shipped, against the stub and its stand-in for a trainer. At the end of each stage
every process dies at once; within a stage whoever conducts dies at each point of `OF_COURSES` in turn.
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import yaml

from aaa.catalogue import shipped
from aaa.failpoints import OF_COURSES
from tests.acceptance.processes import until
from tests.chaos.classroom import Stage, repeated, stage
from tests.chaos.promise import Promise, main, tell

SEATS = {"student": ["pupil"], "opponent": ["tutor"], "judge": ["referee"]}
SEEDS = 54
POINTS = (
    *("course.inside", "course.round", "course.after", "course.trained", "course.registered"),
)
"""`OF_COURSES`, in the order in which a stage comes by."""
SKILLS = "*-g1=2,*-g2=4,*-g3=16,*-g[45]=2,*-g6=16,*-g[78]=2,*-g9=16"
"""Every student that meets a gate is better than its parent."""


class Outcome(NamedTuple):
    """What it came to."""

    stages: int
    kills: int
    of_everything: int
    """Kills of all processes at once, one at the end of each stage."""
    identical: bool
    """Seeds, training data (but for the ids of its rows) and students are those of the undisturbed course."""
    rounds: int
    """Rounds beyond one for each play and gate."""
    trained: int
    """Generations beyond one for each training."""
    repeated: int
    """Requests beyond the first of each."""
    allowed: int
    """Calls in flight at the kills."""

    @property
    def holds(self) -> bool:
        quiet = self.rounds == self.trained == 0
        return self.identical and quiet and self.kills > 0 and self.repeated <= self.allowed


class _Left(NamedTuple):
    """What a course has left behind."""

    found: dict[str, Any]
    rounds: int
    plays: int
    trainings: int
    """Trainings that its steps tell of."""
    generations: list[str]
    repeated: int


def die_in_a_course(stages: int = 9) -> Outcome:
    """The first so many stages, calm and then under kills."""
    with _on_stage(stages) as on:
        course_id = _start(on)
        _finish(on, course_id)
        calm = _left(on, course_id)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        with _on_stage(stages, folder) as on:
            course_id = _start(on)
            kills, everything, allowed = _attack(on, course_id, Path(folder))
            _finish(on, course_id)
            left = _left(on, course_id)
    return Outcome(
        stages=stages,
        kills=kills + everything,
        of_everything=everything,
        identical=(left.found, left.generations) == (calm.found, calm.generations),
        rounds=left.rounds - left.plays,
        trained=len(left.generations) - left.trainings,
        repeated=left.repeated,
        allowed=allowed,
    )


@contextmanager
def _on_stage(stages: int, failpoints: str = "") -> Iterator[Stage]:
    env: dict[str, Any] = {"AAA_FAILPOINTS": failpoints} if failpoints else {}
    with stage("latency=fixed:40ms", sessions=1, concurrency=8, skills=SKILLS, **env) as on:
        folder = shipped("scenarios")
        scenario = yaml.safe_load((folder / "arena_learning.yaml").read_text())
        files = [str(folder / file) for file in scenario["seeds"]["file"]]
        scenario |= {"stages": scenario["stages"][:stages], "name": "course", "seats": SEATS}
        scenario |= {"seeds": {"file": files, "limit": SEEDS}, "judging": {"play": "scores"}}
        for one in scenario["stages"]:
            if "gate" in one:
                one["gate"]["seeds"]["file"] = str(folder / one["gate"]["seeds"]["file"])
        scenario["budget_usd"] = 10
        (on.home.place / "scenarios" / "course.yaml").write_text(json.dumps(scenario))
        yield on


def _start(on: Stage) -> str:
    key = {"Idempotency-Key": "the-course"}
    return str(on.api("POST", "/v1/courses", json={"scenario": "course"}, headers=key)["id"])


def _done(on: Stage, course_id: str) -> list[Mapping[str, Any]]:
    course = on.api("GET", f"/v1/courses/{course_id}")
    assert course["status"] in ("running", "completed"), course["message"]
    return [row for row in course["steps"] if row["status"] == "done"]


def _attack(on: Stage, course_id: str, folder: Path) -> tuple[int, int, int]:
    """(kills of one process, kills of all, calls in flight at any of them), until the course ends."""
    kills = everything = allowed = 0
    assert set(POINTS) == set(OF_COURSES)
    points = cycle(POINTS)
    rows = len(on.api("GET", f"/v1/courses/{course_id}")["steps"])
    while (done := len(_done(on, course_id))) < rows:
        point = next(points)
        (folder / point).touch()
        in_flight = 0

        def fired_or_over(name: str = point) -> bool:
            nonlocal in_flight
            in_flight = max(in_flight, _in_flight(on))
            return not (folder / name).exists() or len(_done(on, course_id)) == rows

        until(fired_or_over, f"{point} to fire or the end", within_s=240)
        if (folder / point).exists():
            (folder / point).unlink(missing_ok=True)
            break
        kills, allowed = kills + 1, allowed + in_flight
        _until_more(on, course_id, done)
        ended = _done(on, course_id)[-1]
        tell(f"D6: {point} fired; then {ended['stage']} {ended['kind']} was done")
        adopted = sum(row["kind"] == "adopt" for row in _done(on, course_id))
        if adopted > everything:
            allowed += _in_flight(on)
            _kill_everything(on)
            everything += 1
            tell(f"D6: everything killed after {adopted} stages")
    return kills, everything, allowed


def _until_more(on: Stage, course_id: str, than: int) -> None:
    until(lambda: len(_done(on, course_id)) > than, "the next step", within_s=240)


def _in_flight(on: Stage) -> int:
    return int(on.stats()["in_flight"])


def _kill_everything(on: Stage) -> None:
    """Every process of the control plane's tree; the database and the provider are others'."""
    for processes in on.processes().values():
        for process in processes:
            with suppress(psutil.Error):
                process.kill()
    on.server.process.wait(timeout=30)


def _finish(on: Stage, course_id: str) -> None:
    def ended() -> bool:
        return bool(on.api("GET", f"/v1/courses/{course_id}")["status"] != "running")

    until(ended, "the course's end", within_s=900)
    found = on.api("GET", f"/v1/courses/{course_id}")
    assert found["status"] == "completed", found["message"]


def _left(on: Stage, course_id: str) -> _Left:
    course = on.api("GET", f"/v1/courses/{course_id}")
    told = {f"{row['stage']} {row['kind']}": _told(row["data"]) for row in course["steps"]}
    plays = sum(row["kind"] in ("play", "gate") for row in course["steps"])
    generations = on.api("GET", "/v1/generations?limit=500")["items"]
    return _Left(
        found=told,
        rounds=len(on.api("GET", "/v1/rounds?limit=100")["items"]),
        plays=plays,
        trainings=sum(row["kind"] == "train" and "agent" in row["data"] for row in course["steps"]),
        generations=[f"{one['agent']} {one['admitted']}" for one in generations],
        repeated=repeated(on.requests())[1],
    )


def _told(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a step found, but for ids, times and places; files by their rows."""
    files = {f["file"]: _rows(Path(data["folder"]) / f["file"]) for f in data.get("files", ())}
    kept = (
        "seeds",
        "student",
        "parent",
        "gaps",
        "shifts",
        "sessions",
        "turns",
        "verdicts",
        "pairs",
    )
    more = ("model", "agent", "admitted", "wins", "losses", "ties", "win_rate", "low")
    return {key: data[key] for key in (*kept, *more) if key in data} | files


def _rows(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    bare = [{k: v for k, v in row.items() if k not in ("id", "round")} for row in rows]
    return sorted(bare, key=json.dumps)


PROMISE = Promise(
    "D6",
    "a course goes on where it was; nothing is played or trained twice",
    die_in_a_course,
    {"stages": 1},
)

if __name__ == "__main__":
    sys.exit(main(PROMISE))
