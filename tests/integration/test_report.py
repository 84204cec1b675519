"""`aaa report` over real records: a course with a trainer, a round alone, a control plane elsewhere."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from pydantic import SecretStr

from aaa.api.app import create_app
from aaa.catalogue import Catalogue, open_catalogue
from aaa.commands.report import report
from aaa.commands.report_material import Asked
from aaa.errors import InputError, NotFound
from aaa.report.findings import Findings
from aaa.settings import Settings
from aaa.store.database import Database
from aaa.store.rounds import create_round
from aaa.types import Call
from tests.catalogues import small_catalogue
from tests.integration.test_courses import TRAINER, Classroom, course_scenario
from tests.playing import play_round, verdict_for

HELD_OUT = 12
METRICS = """
import pathlib
lines = [{"step": n, "loss": 1 / (n + 1), "rewards/margins": n / 10} for n in range(4)]
(pathlib.Path(output) / "metrics.jsonl").write_text("\\n".join(map(json.dumps, lines)))
adapter = pathlib.Path(output) / "adapter.gguf"
print(json.dumps({"model": f"openai/pupil@{adapter}"}))
"""
"""A trainer that leaves what `aaa train` leaves, as far as a report reads it."""


def task(number: int, name: str, template: str) -> dict[str, Any]:
    return {
        "id": f"{name}{number}",
        "prompt": f"{name} {number}: say yes.",
        "checker": {"kind": "exact", "value": ["yes"], "normalise": True},
        "tags": ["task:fact", f"template:{template}"],
    }


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
async def classroom(
    database_url: str, database: Database, tmp_path: Path
) -> AsyncIterator[Classroom]:
    folder = tmp_path / "operator"
    made: Catalogue = small_catalogue(folder)
    (folder / "trainer.py").write_text(TRAINER + METRICS)
    seeds = folder / "scenarios" / "seeds"
    (seeds / "small.jsonl").write_text(lines([task(n, "train", "yes") for n in range(12)]))
    held = [task(n, "held", "yes" if n < 8 else "other") for n in range(HELD_OUT)]
    (seeds / "held_out.jsonl").write_text(lines(held))
    settings = Settings(
        database_url=SecretStr(database_url),
        home=tmp_path / "home",
        agents=made.agent_folders,
        scenarios=made.scenario_folders,
    )
    app = create_app(settings, database, open_catalogue(settings))
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as api:
        found = Classroom(settings, database, api, folder)
        stage = course_scenario(folder / "trainer.py")["stages"][0]
        stage["plays"] = stage["plays"][1:]
        found.write(stages=[stage], judging={"play": "pairwise", "checker": "decides"})
        yield found


def learning(call: Call) -> str:
    """The pupil says yes to held 0, 1 and 2; its next generation to all but held 0."""
    if call.purpose == "ballot":
        return verdict_for(call, "no such words")
    number = int(re.findall(r"\d+", call.messages[0].content)[0])
    right = number < 3 if call.agent == "pupil" else call.agent == "peer" or number > 0
    return "yes" if right else f"<script>no</script> says {call.agent}"


def asked(*ids: str, folder: Path, **more: Any) -> Asked:
    told = Asked(ids, 0, None, (), folder / "energy.jsonl")
    return told._replace(**more)


async def test_a_course_from_its_gates_and_what_it_taught(
    classroom: Classroom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = await classroom.start()
    course = await classroom.go_on(made.json()["id"], learning)
    assert (course.status, course.student) == ("completed", "pupil-g1"), course.message
    output = tmp_path / "out"
    asking = asked(course.id, folder=tmp_path)
    assert await report(classroom.settings, asking, output, as_json=False) == 0
    found = Findings.model_validate_json((output / "report.json").read_text("utf-8"))
    check_figures(found)
    assert {one.use for one in found.rounds} == {"answers", "taught"}
    (trained,) = found.trainings
    assert [p.value for p in trained.curves["reward margin"]] == [0, 0.1, 0.2, 0.3]
    assert trained.seconds is not None
    page = (output / "index.html").read_text("utf-8")
    assert "&lt;script&gt;no&lt;/script&gt;" in page
    assert "<script" not in page
    assert {path.name for path in output.iterdir()} == {
        *("index.html", "report.md", "report.json", "pass_rates.svg", "differences.svg"),
        *("ratings.svg", "training.svg", "lengths.svg"),
    }
    gate = next(row.round for row in course.steps if row.kind == "gate")
    assert gate is not None
    capsys.readouterr()
    await report(classroom.settings, asked(gate, folder=tmp_path), None, as_json=True)
    alone = Findings.model_validate_json(capsys.readouterr().out)
    check_figures(alone)
    assert alone.rates == found.rates, "its generations lead to the course that trained them"


async def test_another_course_of_the_student_is_another_report(
    classroom: Classroom, tmp_path: Path
) -> None:
    for trained in ("pupil-g1", "pupil-g2"):
        made = await classroom.start()
        course = await classroom.go_on(made.json()["id"], learning)
        assert course.student == trained, course.message
        output = tmp_path / trained
        await report(classroom.settings, asked(course.id, folder=tmp_path), output, as_json=False)
        found = Findings.model_validate_json((output / "report.json").read_text("utf-8"))
        assert [gate.student for gate in found.gates] == [trained]
        assert len(found.trainings) == 1


def check_figures(found: Findings) -> None:
    assert (found.before, found.after) == ("pupil", "pupil-g1")
    rates = {
        (one.part, one.agent): (round(one.share.value or 0, 3), one.share.of) for one in found.rates
    }
    assert rates["held out", "pupil"] == (0.25, HELD_OUT)
    assert rates["held out", "pupil-g1"] == (0.917, HELD_OUT)
    assert rates["seen templates", "pupil"] == (0.375, 8)
    assert rates["unseen templates", "pupil-g1"] == (1.0, 4)
    gaps = {one.part: one for one in found.differences}
    assert (gaps["held out"].gained, gaps["held out"].lost, gaps["held out"].same) == (9, 1, 2)
    assert [one.seed for one in found.lost] == ["held0"]
    (gate,) = found.gates
    assert (gate.student, gate.wins, gate.losses, gate.admitted) == ("pupil-g1", 9, 1, True)
    assert found.ratings is not None
    assert found.ratings.boards[0].ratings[0].player == "pupil-g1"


async def test_what_was_taught_can_be_told_by_a_file(
    classroom: Classroom, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue = open_catalogue(classroom.settings)
    scenario = {
        "name": "alone",
        "description": "Two agents.",
        "protocol": {"id": "arena"},
        "seats": {"student": ["pupil"], "opponent": ["peer"], "judge": ["judge"]},
        "seeds": {"file": "seeds/held_out.jsonl"},
        "judging": {"play": "pairwise", "checker": "decides"},
        "budget_usd": 1,
    }
    (classroom.folder / "scenarios" / "alone.yaml").write_text(yaml.safe_dump(scenario))
    script, seeds = catalogue.prepare(*catalogue.scenario("alone"))
    made = await create_round(classroom.database, script, seeds)
    await play_round(classroom.database, made.id, learning)
    readings = [
        {"at": at, "joules": {"p": at}, "wraps": {"p": 1000}}
        for at in range(0, 2_000_000_000, 10**9)
    ]
    (tmp_path / "energy.jsonl").write_text(lines(readings))
    taught = classroom.folder / "scenarios" / "seeds" / "small.jsonl"
    asking = asked(made.id, folder=tmp_path)
    for files in ((), (taught,)):
        await report(classroom.settings, asking._replace(taught=files), None, as_json=True)
        found = Findings.model_validate_json(capsys.readouterr().out)
        parts = {one.part for one in found.rates}
        assert ("seen templates" in parts) is bool(files)
        assert any("not known" in note for note in found.notes) is not bool(files)
        assert found.before is None
        assert any("only generation" in note for note in found.notes)
        assert all(cost.joules is None for cost in found.costs), "nobody read meanwhile"
    both = asking._replace(compare=("pupil", "peer"))
    await report(classroom.settings, both, None, as_json=True)
    assert Findings.model_validate_json(capsys.readouterr().out).after == "peer"


async def test_what_is_not_there(classroom: Classroom, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no round and no course 'nothing-1'"):
        await report(
            classroom.settings, asked("nothing-1", folder=tmp_path), tmp_path, as_json=False
        )
    with pytest.raises(InputError, match="-o FOLDER"):
        await report(classroom.settings, asked("nothing-1", folder=tmp_path), None, as_json=False)
