"""The training command before it runs, its stand-in, and what a course is said to cost."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from aaa.catalogue import Catalogue, shipped
from aaa.curriculum.course import prepare
from aaa.curriculum.hand_off import check_blanks, check_commands, filled
from aaa.curriculum.staged_estimate import StagedEstimate, staged_estimate
from aaa.errors import InputError
from aaa.provider.skills import parse_skills, skill_of
from aaa.provider.training import main, named
from aaa.scenario import Scenario
from aaa.yaml_files import read_yaml

COURSES = ("arena_learning", "wizardlm2")


def course(name: str = "arena_learning", **changes: Any) -> Scenario:
    plain = read_yaml(shipped("scenarios") / f"{name}.yaml")
    return Scenario.model_validate(plain | changes)


def with_command(*words: str, **data: Any) -> Scenario:
    stage = {
        "name": "one",
        "slice": {"size": 2},
        "plays": [{"protocol": {"id": "arena"}}],
        "data": data or {"dpo": {}},
        "train": {"command": words},
    }
    return course(stages=[stage])


def test_blanks_are_filled() -> None:
    words = filled(["{python}", "-m", "x", "--out={output}", "{{kept}}"], {"output": "/a b"})
    assert words == [sys.executable, "-m", "x", "--out=/a b", "{kept}"]


@pytest.mark.parametrize("word", ["{nope}", "{", "{sft.x}", "{0}", "{dpo!z}"])
def test_a_blank_that_is_not_known_is_told_before_anything_runs(word: str) -> None:
    with pytest.raises(InputError, match=r"there are: \{sft\}, \{dpo\}"):
        check_blanks(with_command("train", word))


def test_data_that_is_not_written_cannot_be_asked_for() -> None:
    with pytest.raises(InputError, match=r"stage 'one': `train` asks for \{sft\}.*writes dpo, rm"):
        check_blanks(with_command("train", "{sft}", dpo={}, rm={}))
    check_blanks(with_command("train", "{dpo}"))


@pytest.mark.parametrize("program", ["no-such-program-here", "./train.sh", "{here}/train.sh"])
def test_a_program_that_is_not_there_is_told_before_anything_is_paid(
    program: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="there is no program"):
        check_commands(with_command(program), str(tmp_path))
    (tmp_path / "train.sh").touch(mode=0o755)
    check_commands(with_command("{here}/train.sh"), str(tmp_path))


@pytest.mark.parametrize("name", COURSES)
def test_the_shipped_courses_can_be_filled(name: str) -> None:
    check_blanks(course(name))
    check_commands(course(name), ".")


# The stand-in


def stand_in(folder: Path, rows: list[object], kind: str = "dpo", model: str = "openai/m") -> int:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return main(
        [f"--{kind}", str(folder / "rows.jsonl"), "--model", model, "--generation", "2",
         "--output", str(folder / "out")]
    )  # fmt: skip


PAIR = {"prompt": [{"role": "user", "content": "q"}], "chosen": ["a"], "rejected": ["b"]}


def test_the_stand_in_reads_its_rows_and_says_how_the_model_is_reached(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stand_in(tmp_path, [PAIR, PAIR], model="openai/m-g1") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"model": "openai/m-g2"}
    told = json.loads((tmp_path / "out" / "trained.json").read_text())
    assert (told["rows"], told["parent"]) == ({"dpo": 2}, "openai/m-g1")


def test_the_stand_in_refuses_what_no_trainer_could_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stand_in(tmp_path, [PAIR, {"prompt": [], "chosen": ["a"]}]) == 1
    assert "line 2 has no prompt, rejected" in capsys.readouterr().err


def test_local_weights_stay_as_they_are() -> None:
    assert [named(model, 3) for model in ("local/x", "openai/x", "openai/x-g2")] == [
        "local/x", "openai/x-g3", "openai/x-g3",
    ]  # fmt: skip


# Models of the stub that are better than others


def test_the_first_pattern_that_fits_counts() -> None:
    skills = parse_skills("*-g1=4, *-g[23]=16,*=2")
    assert [skill_of(skills, f"m-g{n}") for n in (1, 2, 3, 4)] == [4, 16, 16, 2]
    assert skill_of({}, "m") == 1


@pytest.mark.parametrize("spec", ["m", "m=", "m=0", "m=x", "=3", "m=1001", "m=2.5"])
def test_a_skill_that_is_none(spec: str) -> None:
    with pytest.raises(InputError, match="expected MODEL=N"):
        parse_skills(f"good=2,{spec}")


# What it costs


def estimated(name: str, **changes: Any) -> StagedEstimate:
    catalogue = Catalogue((shipped("agents"),), (shipped("scenarios"),))
    return staged_estimate(prepare(catalogue, course(name, **changes), shipped("scenarios")))


def test_what_is_evolved_on_the_way_is_counted() -> None:
    parts = {(p.stage, p.part): p.estimate.sessions for p in estimated("wizardlm2").plays}
    assert parts["one", "evol_instruct"] == 42
    assert parts["one", "evol_answer"] == 42 + 2 * 42  # two rounds of evolution
    assert parts["two", "co_teaching"] == 42 + 42
    assert parts["two", "self_teaching"] == 42  # on the slice alone


def test_a_course_of_nine_slices() -> None:
    found = estimated("arena_learning")
    assert [p.part for p in found.plays].count("gate") == 3
    assert found.stages == 9
    assert found.calls == sum(line.calls for p in found.plays for line in p.estimate.lines)
