"""From the alternatives of a token to the choices they mean."""

from math import inf, log, nan

import pytest

from aaa.models.choices import read_choices


def test_tokens_that_mean_the_same_choice_add_up() -> None:
    odds = read_choices(("A", "B"), [("A", log(0.5)), (" a", log(0.25)), ("B", log(0.125))])
    assert odds.logprobs == pytest.approx({"A": log(0.75), "B": log(0.125)})
    assert odds.floor == pytest.approx(log(0.125))


def test_a_choice_that_is_not_listed_is_absent_and_below_the_floor() -> None:
    odds = read_choices(("Yes", "No"), [("Yes", -0.1), ("Maybe", -3.0), ("Nope", -5.0)])
    assert odds.logprobs == {"Yes": -0.1}
    assert odds.floor == -5.0


def test_nothing_listed_says_nothing() -> None:
    assert read_choices(("A", "B"), []) == ({}, None)


def test_rounding_never_makes_a_probability_above_one() -> None:
    assert read_choices(("A",), [("A", 0.0), ("a", -1e-9)]).logprobs == {"A": 0.0}


def test_impossible_and_broken_numbers_are_survived() -> None:
    odds = read_choices(("A", "B"), [("A", -inf), ("B", nan)])
    assert odds.logprobs == {"A": -inf}
