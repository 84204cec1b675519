"""Courses over a real database, conducted here: functions play the rounds, training is a real command."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pydantic import SecretStr

from aaa.api.app import create_app
from aaa.catalogue import Catalogue, open_catalogue
from aaa.cluster.conductor import Conductor
from aaa.errors import StoreError
from aaa.settings import Settings
from aaa.store.courses import Course, get_course, seeds_of
from aaa.store.database import Database
from aaa.store.generations import Generation, register
from aaa.store.rounds import get_round, list_rounds
from aaa.store.steering import pause_for
from aaa.types import Call
from tests.catalogues import small_catalogue
from tests.playing import play_round, verdict_for

TRAINER = """
import json, os, sys
data, output, model, generation = sys.argv[1:]
rows = [json.loads(line) for line in open(data)]
open(os.path.join(output, "weights"), "w").write(f"{len(rows)} pairs")
print("trained on", len(rows), "pairs from", model)
print(json.dumps({"model": f"openai/pupil-{generation}", "secret": "not taken"}))
"""
"""A trainer: reads its data, writes something, says how the model is reached."""
COUNTING = f"{TRAINER}open('runs', 'a').write('1')"
"""The same, and a mark in its stage's folder for each time it is run."""


def course_scenario(trainer: Path, **more: Any) -> dict[str, Any]:
    arena = {"protocol": {"id": "arena"}, "seats": {"student": ["$student"], "opponent": ["peer"]}}
    train = {
        "command": [sys.executable, str(trainer), "{dpo}", "{output}", "{model}", "{generation}"]
    }
    scenario = {
        "name": "course",
        "description": "Two stages.",
        "seats": {"student": ["pupil"], "teacher": ["teacher"], "judge": ["judge"]},
        "seeds": {"file": "seeds/small.jsonl"},
        "judging": {"play": "pairwise"},
        "budget_usd": 10,
        "stages": [
            {
                "name": "one",
                "slice": {"size": 4},
                "plays": [{"protocol": {"id": "co_teaching"}}, arena],
                "data": {"dpo": {}, "sft": {}},
                "train": train,
                "gate": {"seeds": {"file": "seeds/held_out.jsonl"}},
            },
            {
                "name": "two",
                "slice": {"share": 0.25},
                "follow": "skill_gap",
                "plays": [arena | {"seats": {"student": ["$student"], "opponent": ["$parent"]}}],
                "data": {"dpo": {"accumulate": True}},
                "train": train,
            },
        ],
    }
    plain: dict[str, Any] = json.loads(json.dumps(scenario | more))  # no part twice: no aliases
    return plain


class Classroom:
    """A course's home: control plane, catalogue, and a conductor that does one step at a time."""

    def __init__(
        self, settings: Settings, database: Database, api: httpx.AsyncClient, folder: Path
    ):
        self.settings, self.database, self.api, self.folder = settings, database, api, folder

    def write(self, **more: Any) -> None:
        scenario = course_scenario(self.folder / "trainer.py", **more)
        (self.folder / "scenarios" / "course.yaml").write_text(yaml.safe_dump(scenario))

    async def start(self, **body: Any) -> httpx.Response:
        return await self.api.post("/v1/courses", json={"scenario": "course", **body})

    async def step(self, course_id: str, answer: Callable[[Call], str]) -> None:
        """Conduct one step, and play the round that it makes."""
        await Conductor(self.settings, self.database, course_id).step()
        for found in await list_rounds(self.database):
            if found.status in ("queued", "running"):
                await play_round(self.database, found.id, answer)

    async def go_on(self, course_id: str, answer: Callable[[Call], str]) -> Course:
        """Conduct until it stops or ends."""
        for _ in range(60):
            course = await get_course(self.database, course_id)
            if course.status != "running":
                return course
            await self.step(course_id, answer)
        raise AssertionError(f"still going: {await get_course(self.database, course_id)}")


@pytest.fixture
async def classroom(
    database_url: str, database: Database, tmp_path: Path
) -> AsyncIterator[Classroom]:
    folder = tmp_path / "operator"
    catalogue: Catalogue = small_catalogue(folder, questions=12)
    (folder / "trainer.py").write_text(TRAINER)
    held_out = [{"id": f"h{n}", "prompt": f"Held out {n}?", "tags": ["test"]} for n in range(12)]
    text = "".join(json.dumps(row) + "\n" for row in held_out)
    (folder / "scenarios" / "seeds" / "held_out.jsonl").write_text(text)
    settings = Settings(
        database_url=SecretStr(database_url),
        home=tmp_path / "home",
        agents=catalogue.agent_folders,
        scenarios=catalogue.scenario_folders,
    )
    app = create_app(settings, database, open_catalogue(settings))
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as api:
        made = Classroom(settings, database, api, folder)
        made.write()
        yield made


def spoken(call: Call) -> str:
    words = {"critique": "say more", "revision": "a better try"}
    return f"{words.get(call.purpose, 'a first try')} of {call.agent}"


def trained_is_better(call: Call) -> str:
    """A peer beats the pupil, what was trained beats what it was trained from."""
    if call.purpose != "ballot":
        return spoken(call)
    shown = call.messages[-1].content
    names = ("pupil-g3", "pupil-g2", "pupil-g1", "peer")
    best = (f"of {name}" for name in names if f"of {name}" in shown)
    return verdict_for(call, next(best, "better"))


def trained_is_no_better(call: Call) -> str:
    """A peer beats the pupil, whoever that is; generations are alike."""
    return spoken(call) if call.purpose != "ballot" else verdict_for(call, "of peer")


def nothing_is_better(call: Call) -> str:
    return spoken(call) if call.purpose != "ballot" else verdict_for(call, "no such words")


async def test_a_course_goes_from_stage_to_stage(classroom: Classroom) -> None:
    made = await classroom.start()
    assert made.status_code == 202, made.text
    course = await classroom.go_on(made.json()["id"], trained_is_better)
    assert (course.status, course.message) == ("completed", "")
    assert (course.student, course.parent) == ("pupil-g2", "pupil-g1")
    kinds = [(row.stage, row.kind) for row in course.steps]
    assert kinds == [
        *(("one", kind) for kind in ("draw", "play", "play", "data", "train", "gate", "adopt")),
        *(("two", kind) for kind in ("draw", "play", "data", "train", "adopt")),
    ]
    seeds = await seeds_of(classroom.database, course.id, "pool")
    assert [stage for _, stage in seeds].count(0) == 4
    assert [stage for _, stage in seeds].count(1) == 3
    _, _, arena, data, train, gate, _, second, *_ = course.steps
    assert gate.data["admitted"]
    assert gate.data["wins"] == gate.data["seeds"] == 12
    assert second.data["student"] == "pupil-g1"
    assert [gap["tag"] for gap in second.data["gaps"]] == ["test"]
    assert arena.data["verdicts"]["win"] == 4
    for account in data.data["files"]:
        assert account["kept"] + sum(account["dropped"].values()) == account["verdicts"]
    folder = Path(data.data["folder"])
    rows = [json.loads(line) for line in (folder / "dpo.jsonl").read_text().splitlines()]
    assert all(row["chosen"] != row["rejected"] for row in rows)
    assert json.loads((folder / "manifest.json").read_text())["files"] == data.data["files"]
    assert (folder / "generation-1" / "weights").read_text() == f"{len(rows)} pairs"
    assert "trained on" in Path(train.data["log"]).read_text()


async def test_a_course_is_started_and_steered_once_for_each_key(classroom: Classroom) -> None:
    api, body = classroom.api, {"scenario": "course"}
    start, stop, go = ({"Idempotency-Key": key} for key in ("start", "stop", "go"))
    made = (await api.post("/v1/courses", json=body, headers=start)).json()
    (classroom.folder / "scenarios" / "course.yaml").write_text("name: course\nstages: gone\n")
    again = await api.post("/v1/courses", json=body, headers=start)
    assert (again.status_code, again.json()) == (202, made)
    for _ in range(2):
        await Conductor(classroom.settings, classroom.database, made["id"]).step()
    (round,) = await list_rounds(classroom.database)
    path = f"/v1/courses/{made['id']}"

    async def command(name: str, headers: dict[str, str]) -> tuple[str, str]:
        answer = await api.post(f"{path}/{name}", headers=headers)
        assert answer.status_code == 200, answer.text
        (played,) = await list_rounds(classroom.database)
        return answer.json()["status"], played.status

    for _ in range(2):
        assert await command("pause", stop) == ("paused", "paused")
    for _ in range(2):
        assert await command("resume", go) == ("running", "running")
    assert await command("pause", stop) == ("running", "running")  # late, a second time
    await api.post(f"{path}/pause")
    assert await command("resume", go) == ("paused", "paused")
    refused = await api.post(f"{path}/cancel", headers=go)
    assert refused.status_code == 409
    taught = [
        await api.post(f"{path}/teach", json={"agent": "pupil"}, headers={"Idempotency-Key": "t"})
        for _ in range(2)
    ]
    assert [answer.status_code for answer in taught] == [200, 200]
    assert round.id == (await list_rounds(classroom.database))[0].id


async def test_the_next_generation_has_a_card_and_a_row(classroom: Classroom) -> None:
    made = await classroom.start()
    await classroom.go_on(made.json()["id"], trained_is_better)
    card = open_catalogue(classroom.settings).card("pupil-g2")
    assert (card.model, card.parent, card.generation) == ("openai/pupil-2", "pupil-g1", 2)
    assert card.family == "a"
    told = (await classroom.api.get("/v1/generations", params={"student": "pupil"})).json()["items"]
    page = (await classroom.api.get("/v1/generations?limit=1")).json()
    assert (page["items"], page["next"]) == (told[:1], "pupil-g1")
    page = (await classroom.api.get("/v1/generations?limit=1&cursor=pupil-g1")).json()
    assert page == {"items": told[1:], "next": None}
    wrong = await classroom.api.get("/v1/generations?cursor=nobody")
    assert (wrong.status_code, "is no `next`" in wrong.text) == (422, True)
    assert [(g["agent"], g["parent"], g["admitted"]) for g in told] == [
        ("pupil-g1", "pupil", True),
        ("pupil-g2", "pupil-g1", True),
    ]
    assert told[0]["admission"]["win_rate"] == 1


async def test_accumulated_data_holds_what_earlier_stages_gave(classroom: Classroom) -> None:
    made = await classroom.start()
    course = await classroom.go_on(made.json()["id"], trained_is_better)
    first, second = (row.data for row in course.steps if row.kind == "data")
    kept = {account["kind"]: account["kept"] for account in first["files"]}
    assert second["files"][0]["kept"] == kept["dpo"] + 3
    assert second["rounds"]["dpo"][: len(first["rounds"]["dpo"])] == first["rounds"]["dpo"]


async def test_a_course_that_was_stopped_by_its_last_gate_ends_when_it_is_resumed(
    classroom: Classroom,
) -> None:
    stages = course_scenario(classroom.folder / "trainer.py")["stages"]
    classroom.write(stages=stages[:1])
    course_id = (await classroom.start()).json()["id"]
    course = await classroom.go_on(course_id, trained_is_no_better)
    assert (course.status, course.reason) == ("paused", "not_admitted")
    assert course.stage == course.steps[-1].stage  # where it waits, though no step of it is open
    assert all(row.status == "done" for row in course.steps)
    await classroom.api.post(f"/v1/courses/{course_id}/resume")
    course = await classroom.go_on(course_id, trained_is_no_better)
    assert (course.status, course.student) == ("completed", "pupil")


async def test_a_student_that_is_no_better_stops_the_course_with_the_report(
    classroom: Classroom,
) -> None:
    made = await classroom.start()
    course = await classroom.go_on(made.json()["id"], trained_is_no_better)
    assert (course.status, course.reason) == ("paused", "not_admitted")
    assert "win rate 50.0%" in course.message
    assert course.student == "pupil"
    (trained,) = (await classroom.api.get("/v1/generations")).json()["items"]
    assert trained["admitted"] is False
    resumed = await classroom.api.post(f"/v1/courses/{course.id}/resume")
    assert resumed.json()["status"] == "running"
    again = await classroom.go_on(course.id, trained_is_no_better)
    skipped = [row.data["skipped"] for row in again.steps if "skipped" in row.data]
    assert skipped == ["'pupil' has no parent yet, for seat 'opponent'"]
    assert (again.status, again.student) == ("completed", "pupil-g2")  # a stage without a gate


async def test_data_without_a_row_trains_nobody(classroom: Classroom) -> None:
    stages = course_scenario(classroom.folder / "trainer.py")["stages"]
    classroom.write(stages=stages[:1])
    course_id = (await classroom.start()).json()["id"]
    course = await classroom.go_on(course_id, nothing_is_better)
    assert (course.status, course.student) == ("completed", "pupil")
    told = {row.kind: row.data for row in course.steps}
    why = "no rows in dpo.jsonl; pupil stays"
    assert [told[kind] for kind in ("train", "gate", "adopt")] == [{"skipped": why}] * 3
    assert (await classroom.api.get("/v1/generations")).json() == {"items": [], "next": None}


async def test_a_failing_trainer_stops_the_course_and_is_run_again(classroom: Classroom) -> None:
    trainer = classroom.folder / "trainer.py"
    trainer.write_text("print('no memory left'); raise SystemExit(3)")
    made = await classroom.start()
    course = await classroom.go_on(made.json()["id"], trained_is_better)
    assert (course.status, course.reason) == ("paused", "failed_step")
    assert "ended with exit code 3" in course.message
    assert "no memory left" in course.message
    trainer.write_text(TRAINER)
    await classroom.api.post(f"/v1/courses/{course.id}/resume")
    course = await classroom.go_on(course.id, trained_is_better)
    assert course.status == "completed"
    assert course.student == "pupil-g2"


async def test_a_training_that_ended_well_is_not_run_again(
    classroom: Classroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither where the database is away just then, nor where whoever conducts is killed."""
    (classroom.folder / "trainer.py").write_text(COUNTING)
    course_id = (await classroom.start()).json()["id"]
    going_wrong: list[BaseException] = [asyncio.CancelledError(), StoreError("away")]

    async def away(*given: Any) -> Generation:
        if going_wrong:
            raise going_wrong.pop()
        return await register(*given)

    monkeypatch.setattr("aaa.cluster.conductor.register", away)
    with pytest.raises(asyncio.CancelledError):
        await classroom.go_on(course_id, trained_is_better)
    course = await classroom.go_on(course_id, trained_is_better)
    assert (course.status, course.student, going_wrong) == ("completed", "pupil-g2", [])
    for stage in ("one", "two"):
        folder = classroom.settings.home / "courses" / course_id / stage
        assert (folder / "runs").read_text() == "1"
        assert "trained on" in (folder / "train.log").read_text()


async def test_what_a_trainer_said_that_makes_no_card_is_not_kept(classroom: Classroom) -> None:
    trainer = classroom.folder / "trainer.py"
    trainer.write_text("""print('{"model": "openai/pupil-1", "price": "free"}')""")
    course = await classroom.go_on((await classroom.start()).json()["id"], trained_is_better)
    assert (course.reason, "price" in course.message) == ("failed_step", True)
    trainer.write_text(TRAINER)
    await classroom.api.post(f"/v1/courses/{course.id}/resume")
    course = await classroom.go_on(course.id, trained_is_better)
    assert (course.status, course.student) == ("completed", "pupil-g2")


async def test_waiting_for_somebody_who_trains_by_hand(classroom: Classroom) -> None:
    stages = course_scenario(classroom.folder / "trainer.py")["stages"]
    first = {k: v for k, v in stages[0].items() if k not in ("train", "gate")} | {"wait": True}
    classroom.write(stages=[first, stages[1]])
    made = await classroom.start()
    course = await classroom.go_on(made.json()["id"], trained_is_better)
    assert (course.status, course.reason) == ("paused", "waiting")
    assert "aaa generations register pupil" in course.message
    card = yaml.safe_load((classroom.folder / "agents" / "pupil.yaml").read_text())
    mine = card | {"name": "pupil-g1", "parent": "pupil", "generation": 1}
    (classroom.folder / "agents" / "pupil-g1.yaml").write_text(yaml.safe_dump(mine))
    body = {"agent": "pupil-g1", "course": course.id}
    assert (await classroom.api.post("/v1/generations", json=body)).status_code == 201
    await classroom.api.post(f"/v1/courses/{course.id}/resume")
    course = await classroom.go_on(course.id, trained_is_better)
    assert (course.status, course.student, course.parent) == ("completed", "pupil-g2", "pupil-g1")


async def test_steering(classroom: Classroom) -> None:
    course_id = (await classroom.start()).json()["id"]
    api, path = classroom.api, f"/v1/courses/{course_id}"
    step = Conductor(classroom.settings, classroom.database, course_id).step
    await step()
    await step()  # drawn, and the first round made
    round_id = (await api.get(path)).json()["steps"][1]["round"]
    assert (await api.post(f"{path}/pause")).json()["status"] == "paused"
    assert (await api.get(f"/v1/rounds/{round_id}")).json()["status"] == "paused"
    await step()
    assert (await api.post(f"{path}/resume")).json()["status"] == "running"
    assert (await api.get(f"/v1/rounds/{round_id}")).json()["status"] == "running"
    wrong = await api.post(f"{path}/resume")
    assert (wrong.status_code, "possible: pause, cancel" in wrong.text) == (409, True)
    changes = {"budget_usd": 3, "concurrency": 5, "budget_calls": None}
    assert (await api.patch(path, json=changes)).json()["budget_usd"] == 3
    playing = (await api.get(f"/v1/rounds/{round_id}")).json()  # the round that plays has them, too
    assert {name: playing[name] for name in changes} == changes
    assert (await api.post(f"{path}/cancel")).json()["status"] == "cancelled"
    assert (await api.get(f"/v1/rounds/{round_id}")).json()["status"] == "cancelled"
    assert [c["id"] for c in (await api.get("/v1/courses")).json()["items"]] == [course_id]
    assert (await api.get("/v1/courses/none")).status_code == 404


@pytest.mark.parametrize("seat", ["now", "later"])
async def test_a_course_takes_no_budget_in_dollars_over_an_unknown_price(
    classroom: Classroom, seat: str
) -> None:
    unpriced = yaml.safe_load((classroom.folder / "agents" / "peer.yaml").read_text())
    unpriced |= {"name": "dear", "price": None}
    (classroom.folder / "agents" / "dear.yaml").write_text(yaml.safe_dump(unpriced))
    scenario = course_scenario(classroom.folder / "trainer.py")
    play = scenario["stages"][seat == "later"]["plays"][-1]
    play["seats"]["opponent"] = ["dear"]
    classroom.write(stages=scenario["stages"], budget_usd=None)
    course_id = (await classroom.start()).json()["id"]
    await classroom.step(course_id, trained_is_better)
    path = f"/v1/courses/{course_id}"
    refused = await classroom.api.patch(path, json={"budget_usd": 3})
    assert (refused.status_code, "price of 'dear' is unknown" in refused.text) == (422, True)
    assert (await classroom.api.get(path)).json()["budget_usd"] is None
    allowed = await classroom.api.patch(path, json={"budget_usd": None, "concurrency": 5})
    assert (allowed.status_code, allowed.json()["concurrency"]) == (200, 5)


async def test_the_round_that_plays_has_no_budget_in_dollars_over_an_unknown_price(
    classroom: Classroom,
) -> None:
    classroom.write(budget_usd=None)
    course_id = (await classroom.start()).json()["id"]
    unpriced = yaml.safe_load((classroom.folder / "agents" / "pupil.yaml").read_text())
    unpriced |= {"name": "pupil-g1", "price": None, "parent": "pupil", "generation": 1}
    (classroom.folder / "agents" / "pupil-g1.yaml").write_text(yaml.safe_dump(unpriced))
    path = f"/v1/courses/{course_id}"
    body = {"agent": "pupil-g1", "course": course_id}
    assert (await classroom.api.post("/v1/generations", json=body)).status_code == 201
    step = Conductor(classroom.settings, classroom.database, course_id).step
    await step()
    await step()  # drawn, and the first round made
    refused = await classroom.api.patch(path, json={"budget_usd": 3})
    assert (refused.status_code, "price of 'pupil-g1' is unknown" in refused.text) == (422, True)


async def test_a_round_that_stops_for_its_budget_stops_the_course(classroom: Classroom) -> None:
    course_id = (await classroom.start(budget_usd=0.0021)).json()["id"]
    step = Conductor(classroom.settings, classroom.database, course_id).step
    await step()
    await step()
    row = (await get_course(classroom.database, course_id)).steps[1]
    (found,) = await list_rounds(classroom.database)
    assert (row.round, found.budget_usd) == (found.id, 0.0021)
    await classroom.api.post(f"/v1/rounds/{found.id}/pause")
    await step()
    course = await get_course(classroom.database, course_id)
    assert (course.status, course.reason) == ("paused", "asked")
    assert found.id in course.message


async def test_going_back_to_an_earlier_generation(classroom: Classroom) -> None:
    course_id = (await classroom.start()).json()["id"]
    api, path = classroom.api, f"/v1/courses/{course_id}/teach"
    for _ in range(40):
        course = await get_course(classroom.database, course_id)
        if course.student == "pupil-g1":
            break
        await classroom.step(course_id, trained_is_better)
    back = await api.post(path, json={"agent": "pupil"})
    assert (back.json()["student"], back.json()["parent"]) == ("pupil", None)
    forth = await api.post(path, json={"agent": "pupil-g1"})
    assert (forth.json()["student"], forth.json()["parent"]) == ("pupil-g1", "pupil")
    unknown = await api.post(path, json={"agent": "judge"})
    assert (unknown.status_code, "of this student: pupil, pupil-g1" in unknown.text) == (422, True)
    assert forth.json()["next_student"] is None
    stranger = Generation(agent="x-g1", student="x", generation=1, parent="x", model="local/x")
    await register(classroom.database, stranger)
    assert (await api.post(path, json={"agent": "x-g1"})).status_code == 422


async def test_another_generation_is_taught_from_the_next_stage_on(classroom: Classroom) -> None:
    """What a stage that is under way asked, wrote and examines is about the one that it began with."""
    stages = course_scenario(classroom.folder / "trainer.py")["stages"]
    classroom.write(
        stages=[stages[0], *({**stages[0], "name": name} for name in ("again", "last"))]
    )
    course_id = (await classroom.start()).json()["id"]
    path = f"/v1/courses/{course_id}/teach"
    asked: Course | None = None
    students = set()
    for _ in range(60):
        course = await get_course(classroom.database, course_id)
        if course.status != "running":
            break
        at = next(row for row in course.steps if row.status != "done")
        if (at.stage, at.kind) == ("again", "gate") and asked is None:
            back = await classroom.api.post(path, json={"agent": "pupil"})
            asked = Course.model_validate(back.json())
        if at.stage == "again":
            students.add(course.student)
        await classroom.step(course_id, trained_is_better)
    assert asked is not None
    assert (asked.student, asked.next_student) == ("pupil-g1", "pupil")
    assert students == {"pupil-g1"}
    assert (course.status, course.student, course.parent) == ("completed", "pupil-g3", "pupil")
    assert course.next_student is None
    every = (await classroom.api.get("/v1/generations")).json()["items"]
    told = {g["agent"]: g["admitted"] for g in every}
    assert told == {"pupil-g1": True, "pupil-g2": True, "pupil-g3": True}


async def test_a_raised_budget_is_also_that_of_the_round_that_waits_for_it(
    classroom: Classroom,
) -> None:
    classroom.write(budget_calls=22)
    course_id = (await classroom.start()).json()["id"]
    path = f"/v1/courses/{course_id}"
    await classroom.step(course_id, trained_is_better)
    await classroom.step(course_id, trained_is_better)  # drawn, and the first round played
    conductor = Conductor(classroom.settings, classroom.database, course_id)
    await conductor.step()
    await conductor.step()
    course = await get_course(classroom.database, course_id)
    waiting = course.steps[2].round
    assert waiting is not None
    found = await get_round(classroom.database, waiting)
    assert found.budget_calls == 22 - course.calls
    await pause_for(classroom.database, waiting, "budget_reached", "no call is left")
    await classroom.step(course_id, trained_is_better)
    course = await get_course(classroom.database, course_id)
    assert (course.status, course.reason) == ("paused", "budget_reached")
    assert f"aaa courses set {course_id} budget_usd=" in course.message
    await classroom.api.patch(path, json={"budget_calls": 1000})
    assert (await get_round(classroom.database, waiting)).budget_calls == 1000 - course.calls
    await classroom.api.post(f"{path}/resume")
    course = await classroom.go_on(course_id, trained_is_better)
    assert (course.status, course.calls > 22) == ("completed", True)


async def test_a_round_that_was_made_for_a_step_without_its_knowing_is_stopped_with_it(
    classroom: Classroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    course_id = (await classroom.start()).json()["id"]
    conductor = Conductor(classroom.settings, classroom.database, course_id)
    await conductor.step()

    async def killed(*_: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr("aaa.store.courses.begin_step", killed)
    with pytest.raises(asyncio.CancelledError):
        await conductor.step()
    monkeypatch.undo()
    (found,) = await list_rounds(classroom.database)
    assert found.status == "queued"
    await classroom.api.post(f"/v1/courses/{course_id}/cancel")
    await conductor.step()
    (found,) = await list_rounds(classroom.database)
    assert found.status == "cancelled"


async def test_a_training_stays_in_its_folder_though_another_took_its_number(
    classroom: Classroom,
) -> None:
    trainer = classroom.folder / "trainer.py"
    trainer.write_text("raise SystemExit(3)")
    course = await classroom.go_on((await classroom.start()).json()["id"], trained_is_better)
    assert course.reason == "failed_step"
    taken = Generation(agent="pupil-g1", student="pupil", generation=1, parent="pupil", model="x/y")
    await register(classroom.database, taken)
    trainer.write_text(TRAINER)
    await classroom.api.post(f"/v1/courses/{course.id}/resume")
    course = await classroom.go_on(course.id, trained_is_better)
    assert course.status == "completed"
    folder = classroom.settings.home / "courses" / course.id / "one"
    assert [path.name for path in folder.glob("generation-*")] == ["generation-1"]
    assert (folder / "generation-1" / "weights").exists()
    assert {"pupil-g2", "pupil-g3"} <= set(open_catalogue(classroom.settings).agents())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"stages.0.slice": {"size": 40}},
            "stage 'one': 40 seeds are wanted, but only 12 are left",
        ),
        ({"stages.1.slice": {"share": 0.01}}, "stage 'two': its slice is empty: 0.01 of 12 seeds"),
        ({"stages.0.slice": {"range": [0, 40]}}, "`range` ends at 40, but there are 12 seeds"),
        ({"stages.0.slice": {"range": [4, 4]}}, r"`range` [4, 4] is empty"),
        ({"stages.0.slice": {}}, "give exactly one of `size`, `share` and `range`"),
        ({"stages.1.name": "one"}, "two stages are called 'one'"),
        ({"stages.0.weights": {"nope": 2}}, "weight of 'nope': no seed has that tag"),
        ({"stages.0.plays": []}, "stages.0.plays"),
        ({"stages.0.plays.0.protocol.options": {"rounds": 99}}, "option 'rounds'"),
        ({"seats": {"student": ["pupil"], "judge": ["judge"]}}, "nobody holds seat 'teacher'"),
        (
            {"stages.0.gate.seeds": {"file": "seeds/small.jsonl"}},
            "held-out seeds must not be taught",
        ),
        ({"seats.student": ["pupil", "peer"]}, "exactly one agent in seat 'student'"),
        ({"seat_budgets": {"judge": {"usd": 1}}}, "not taken with `stages`"),
        ({"stages.0.data": {"ppo": {}}}, "stages.0.data"),
    ],
)
async def test_what_cannot_be_started(
    classroom: Classroom, change: dict[str, Any], said: str
) -> None:
    scenario = course_scenario(classroom.folder / "trainer.py")
    for key, value in change.items():
        place: Any = scenario
        *path, last = key.split(".")
        for part in path:
            place = place[int(part)] if part.isdigit() else place[part]
        place[int(last) if last.isdigit() else last] = value
    (classroom.folder / "scenarios" / "course.yaml").write_text(yaml.safe_dump(scenario))
    refused = await classroom.start()
    assert refused.status_code == 422, refused.text
    assert said in refused.json()["detail"]
    assert (await classroom.api.get("/v1/courses")).json()["items"] == []


async def test_overlapping_ranges_are_refused(classroom: Classroom) -> None:
    stages = course_scenario(classroom.folder / "trainer.py")["stages"]
    stages[0]["slice"], stages[1]["slice"] = {"range": [0, 6]}, {"range": [5, 9]}
    classroom.write(stages=stages)
    refused = await classroom.start()
    assert "stages 'one' and 'two' overlap" in refused.json()["detail"]


async def test_what_a_caller_may_not_change(classroom: Classroom) -> None:
    command = {"stages": [{"name": "x", "slice": {"size": 1}, "plays": [{"protocol": {}}]}]}
    for overrides in (command, {"seeds.file": "/etc/passwd"}):
        refused = await classroom.start(overrides=overrides)
        assert refused.status_code == 422
        assert "cannot be changed here" in refused.json()["detail"]
    inline = course_scenario(classroom.folder / "trainer.py")
    refused = await classroom.api.post("/v1/rounds", json={"scenario": inline})
    assert "has stages: start it as a course" in refused.json()["detail"]
    plain = await classroom.api.post("/v1/courses", json={"scenario": "small"})
    assert "has no stages: start it as a round" in plain.json()["detail"]


async def test_an_estimate_tells_stages_and_parts(classroom: Classroom) -> None:
    told = (await classroom.api.post("/v1/courses/estimate", json={"scenario": "course"})).json()
    parts = [(p["stage"], p["part"], p["estimate"]["sessions"]) for p in told["plays"]]
    assert parts == [
        ("one", "co_teaching", 4),
        ("one", "arena", 4),
        ("one", "gate", 12),
        ("two", "arena", 3),
    ]
    assert told["calls"] == sum(p["estimate"]["calls"] for p in told["plays"])
    assert told["cost_usd"] > 0


async def test_a_cancelled_course_stops_its_trainer(classroom: Classroom) -> None:
    trainer = classroom.folder / "trainer.py"
    trainer.write_text("import time; print('begun', flush=True); time.sleep(600)")
    course_id = (await classroom.start()).json()["id"]
    conductor = Conductor(classroom.settings, classroom.database, course_id)
    log = classroom.settings.home / "courses" / course_id / "one" / "train.log"
    for _ in range(20):
        course = await get_course(classroom.database, course_id)
        if next(row for row in course.steps if row.status != "done").kind == "train":
            break
        await conductor.step()
        for found in await list_rounds(classroom.database):
            if found.status in ("queued", "running"):
                await play_round(classroom.database, found.id, trained_is_better)
    training = asyncio.create_task(conductor.step())
    while not (log.exists() and "begun" in log.read_text()):
        await asyncio.sleep(0.05)
    await classroom.api.post(f"/v1/courses/{course_id}/cancel")
    await training
    assert (await get_course(classroom.database, course_id)).status == "cancelled"
    assert (await classroom.api.get("/v1/generations")).json() == {"items": [], "next": None}


def examined(classroom: Classroom) -> list[dict[str, Any]]:
    """The two stages, and an examination of all generations on seeds that a program can check."""
    checked = [
        {
            "id": f"x{n}",
            "prompt": f"Try {n}?",
            "checker": {"kind": "regex", "pattern": "of pupil-g"},
        }
        for n in range(3)
    ]
    text = "".join(json.dumps(row) + "\n" for row in checked)
    (classroom.folder / "scenarios" / "seeds" / "exam.jsonl").write_text(text)
    arena = {"id": "arena", "options": {"mode": "all_pairs", "temperature": 0}}
    play = {
        "protocol": arena,
        "seats": {"student": ["$generations"]},
        "seeds": {"file": "seeds/exam.jsonl"},
        "judging": {"play": "pairwise", "checker": "decides"},
    }
    stages = course_scenario(classroom.folder / "trainer.py")["stages"]
    return [*stages, {"name": "exam", "plays": [play]}]


async def test_an_examination_of_every_generation_on_seeds_of_its_own(classroom: Classroom) -> None:
    classroom.write(stages=examined(classroom))
    course = await classroom.go_on((await classroom.start()).json()["id"], trained_is_better)
    assert (course.status, course.message) == ("completed", "")
    last = course.steps[-1]
    assert (last.stage, last.kind) == ("exam", "play")
    (found,) = [r for r in await list_rounds(classroom.database) if r.id == last.round]
    assert found.seats["student"] == ["pupil", "pupil-g1", "pupil-g2"]
    assert last.data["passed"] == [
        {"agent": "pupil", "checked": 3, "passed": 0},
        {"agent": "pupil-g1", "checked": 3, "passed": 3},
        {"agent": "pupil-g2", "checked": 3, "passed": 3},
    ]
    seeds = await seeds_of(classroom.database, course.id, "pool")
    assert [stage for _, stage in seeds].count(2) == 0


async def test_where_checkers_are_off_none_is_run(classroom: Classroom) -> None:
    """Some of them run code that a model wrote."""
    *taught, exam = examined(classroom)
    exam["plays"][0]["judging"]["checker"] = "off"
    classroom.write(stages=[*taught, exam])
    course = await classroom.go_on((await classroom.start()).json()["id"], trained_is_better)
    assert (course.status, course.steps[-1].data["passed"]) == ("completed", [])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"slice": {"size": 1}},
            "plays with held-out `seeds` of their own are a stage without one",
        ),
        ({"data": {"dpo": {}}}, "from it nothing is learnt"),
        (
            {"plays": [{"protocol": {"id": "co_teaching"}}]},
            "give `slice`, the seeds that the stage",
        ),
        ({"file": "seeds/small.jsonl"}, "of its play 1 is among the scenario's seeds"),
    ],
)
async def test_an_examination_that_cannot_be_started(
    classroom: Classroom, change: dict[str, Any], said: str
) -> None:
    *taught, exam = examined(classroom)
    if "file" in change:
        exam["plays"][0]["seeds"] = change
    else:
        exam |= change
    classroom.write(stages=[*taught, exam])
    refused = await classroom.start()
    assert refused.status_code == 422, refused.text
    assert said in refused.json()["detail"]


async def test_how_a_training_stands_is_told_while_it_goes(classroom: Classroom) -> None:
    """The trainer waits until what it wrote of its first step has been put on record."""
    told = classroom.folder / "told"
    (classroom.folder / "trainer.py").write_text(
        "import os, sys, time, json\n"
        "out = open(os.path.join(sys.argv[2], 'metrics.jsonl'), 'w')\n"
        "print(json.dumps({'step': 7, 'loss': 0.5, 'rewards/margins': 1.25}), file=out, flush=True)\n"
        f"while not os.path.exists({str(told)!r}): time.sleep(0.05)\n"
        "print(json.dumps({'step': 9, 'loss': 0.25}), file=out, flush=True)\n"
        "print(json.dumps({'model': 'openai/pupil-1'}))\n"
    )
    stages = course_scenario(classroom.folder / "trainer.py")["stages"]
    classroom.write(stages=[{k: v for k, v in stages[0].items() if k != "gate"}])
    course_id = (await classroom.start()).json()["id"]

    async def watched() -> dict[str, Any]:
        while True:
            course = (await classroom.api.get(f"/v1/courses/{course_id}")).json()
            (step,) = [row for row in course["steps"] if row["kind"] == "train"]
            if step["data"]:
                return dict(step["data"])
            await asyncio.sleep(0.05)

    watching = asyncio.create_task(asyncio.wait_for(watched(), 60))
    watching.add_done_callback(lambda _: told.touch())
    course = await classroom.go_on(course_id, trained_is_better)
    assert (await watching)["progress"] == {"step": 7, "loss": 0.5, "margin": 1.25}
    (step,) = [row for row in course.steps if row.kind == "train"]
    assert step.data["progress"] == {"step": 9, "loss": 0.25, "margin": 1.25}
