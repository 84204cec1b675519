"""The tasks of the flywheel: reproducible, checkable, and held out by wording and by template."""

import json
import re
import runpy
from typing import Any

import pytest

from aaa.catalogue import shipped
from aaa.checkers import grade
from aaa.types import Check

FOLDER = shipped("scenarios") / "seeds"
FILES = ("tasks-train.jsonl", "tasks-seen.jsonl", "tasks-unseen.jsonl", "tasks-gate.jsonl")


def rows(file: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / file).read_text("utf-8").splitlines()]


def values(file: str, attribute: str) -> set[str]:
    tags = (tag for row in rows(file) for tag in row["tags"])
    return {tag for tag in tags if tag.startswith(f"{attribute}:")}


def test_the_files_are_what_the_program_writes() -> None:
    made = runpy.run_path(str(FOLDER / "tasks.py"))["sets"]()
    assert {name: rows(name) for name in FILES} == made


def test_there_are_enough() -> None:
    assert [len(rows(file)) for file in FILES] == [402, 120, 100, 120]
    assert {len(values(file, "task")) for file in FILES} == {3}


def test_nothing_held_out_is_taught() -> None:
    prompts = [row["prompt"] for file in FILES for row in rows(file)]
    ids = [row["id"] for file in FILES for row in rows(file)]
    assert len(set(prompts)) == len(prompts)
    assert len(set(ids)) == len(ids)
    train, seen, unseen, gate = (values(file, "template") for file in FILES)
    assert seen == gate == train
    assert not unseen & train
    assert (len(train), len(unseen)) == (30, 20)


def test_no_filling_is_in_two_sets_in_other_words() -> None:
    made = runpy.run_path(str(FOLDER / "tasks.py"))
    templates = {template.name: template for template in (*made["TRAIN"], *made["UNSEEN"])}
    sets = [{filling(row, templates) for row in rows(file)} for file in FILES]
    assert sum(map(len, sets)) == len(set().union(*sets))


def filling(row: dict[str, Any], templates: dict[str, Any]) -> tuple[str, ...]:
    """What a task's template was filled with, read off its prompt."""
    name = row["tags"][1].removeprefix("template:")
    for wording in templates[name].wordings:
        blanks = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.*)", re.escape(wording))
        if found := re.fullmatch(blanks, row["prompt"]):
            return name, *(f"{blank}={value}" for blank, value in sorted(found.groupdict().items()))
    raise AssertionError(row)


@pytest.mark.parametrize("file", FILES)
def test_every_reference_passes_and_small_talk_does_not(file: str) -> None:
    talk = "Sure, I can help with that, zebra! First, tell me more. Then we look. Then we begin, or"
    for row in rows(file):
        right = grade(row["checker"], row["reference"])
        assert isinstance(right, Check), row
        assert right.passed, (row, right.why)
        if "without_word" not in row["tags"][1]:  # anything else is allowed there
            wrong = grade(row["checker"], talk)
            assert isinstance(wrong, Check), row
            assert not wrong.passed, row
