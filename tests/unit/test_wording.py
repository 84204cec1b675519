"""What is said of a value that somebody wrote wrongly."""

import shlex
from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from aaa.calibration import calibrating
from aaa.scenario import Scenario
from aaa.types import Judging
from aaa.wording import sentences
from aaa.yaml_files import override, parse_setting, setting

GOOD: dict[str, Any] = {"name": "a", "seats": {"judge": ["b"]}, "seeds": {"file": "c.jsonl"}}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("judging.plya", "scores", "unknown key 'judging.plya'; valid here: play, orders,"),
        ("judging", {"play": 3}, "key 'judging.play': must be a valid string, got 3"),
        ("seeds", {"inline": [{"id": "x"}]}, "key 'seeds.inline.0.prompt' is missing; valid here:"),
        ("budget_usd", -1, "key 'budget_usd': must be greater than or equal to 0, got -1"),
    ],
)
def test_one_sentence_says_key_fault_and_choices(key: str, value: object, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Scenario.model_validate(override(GOOD, {key: value}))
    assert sentences(Scenario, caught.value)[0].startswith(said)


def test_a_misspelt_key_comes_before_the_one_that_it_stood_for() -> None:
    with pytest.raises(ValidationError) as caught:
        Scenario.model_validate({"nmae": "a"} | {k: v for k, v in GOOD.items() if k != "name"})
    assert sentences(Scenario, caught.value, "option")[0].startswith("unknown option 'nmae'")


@pytest.mark.parametrize(
    "value", ["pointwise", "2", "a b", "it's {x}", "", None, True, 1.5, {"a": [1, "b"]}, "- x: #"]
)
def test_a_setting_is_read_back_as_it_was(value: object) -> None:
    (word,) = shlex.split(setting("judging.options.x", value))
    assert parse_setting(word) == ("judging.options.x", value)


def test_nested_options_survive_the_shell() -> None:
    options = {"play": "scores", "options": {"margin": 2}}
    words = shlex.split(calibrating("judge", Judging(play="panel", options=options)))
    given = dict(parse_setting(w) for before, w in pairwise(words) if before == "--set")
    assert given == {f"judging.options.{key}": value for key, value in options.items()}
