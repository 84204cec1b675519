"""Figures of judges, against tables worked out by hand."""

from math import comb

import numpy as np
import pytest

from aaa.calibration import shortfalls
from aaa.measuring import Judged, JudgeFigures, effective_votes, least_squares, measure, panel
from aaa.resampling import LEVEL, Figure, Sample, wilson
from aaa.types import Preference, Required


def one(number: int, label: Preference, ab: Preference | None, ba: Preference | None) -> Judged:
    outcome: str = "error" if ab is None or ba is None else ab if ab == ba else "tie"
    outcome = "flip" if {ab, ba} == {"a", "b"} else outcome
    return Judged.model_validate(
        {"prompt": f"p{number}", "label": label, "outcome": outcome, "ab": ab, "ba": ba}
    )


TABLE: list[tuple[Preference, Preference | None, Preference | None]] = [
    ("a", "a", "a"),
    ("a", "a", "a"),
    ("a", "a", "b"),  # first shown both times
    ("b", "b", "b"),
    ("b", "a", "a"),  # wrong
    ("b", "a", "b"),  # first shown both times
    ("b", "tie", "b"),
    ("b", None, "b"),
    ("tie", "tie", "tie"),
    ("tie", "a", "b"),  # first shown both times
]


@pytest.fixture(scope="module")
def figures() -> JudgeFigures:
    return measure([one(n, *row) for n, row in enumerate(TABLE)])


def value(figure: Figure | None) -> float | None:
    assert figure is not None
    return figure.value


def test_accuracy_and_coverage_in_both_orders(figures: JudgeFigures) -> None:
    assert value(figures.verdict.accuracy) == pytest.approx(3 / 4)
    assert value(figures.verdict.coverage) == pytest.approx(4 / 8)


def test_accuracy_and_coverage_in_one_order(figures: JudgeFigures) -> None:
    assert figures.a_first is not None
    assert figures.b_first is not None
    assert value(figures.a_first.accuracy) == pytest.approx(4 / 6)
    assert value(figures.a_first.coverage) == pytest.approx(6 / 8)
    assert value(figures.b_first.accuracy) == pytest.approx(6 / 8)
    assert value(figures.b_first.coverage) == pytest.approx(1)


def test_position(figures: JudgeFigures) -> None:
    assert figures.flip_rate is not None
    assert figures.flip_rate.value == pytest.approx(3 / 9, abs=1e-6)
    assert figures.flip_rate.of == 9
    assert figures.first_rate is not None
    assert figures.first_rate.of == 16
    # a shown first: 6 of 7 ballots for a side went to a; b shown first: 6 of 9 went to b
    assert figures.first_rate.value == pytest.approx((6 + 6) / 16, abs=1e-6)


def test_ties_and_errors(figures: JudgeFigures) -> None:
    assert value(figures.tie_rate) == pytest.approx(2 / 10)
    assert value(figures.error_rate) == pytest.approx(1 / 10)


def test_kappa(figures: JudgeFigures) -> None:
    agree, chance = 4 / 10, (3 * 3 + 5 * 1 + 2 * 2) / 100
    assert value(figures.kappa) == pytest.approx((agree - chance) / (1 - chance), abs=1e-6)
    agree, chance = 3 / 4, (2 * 3 + 2 * 1) / 16
    assert value(figures.kappa_decided) == pytest.approx((agree - chance) / (1 - chance), abs=1e-6)


def test_every_interval_holds_its_figure(figures: JudgeFigures) -> None:
    for name in ("flip_rate", "first_rate", "tie_rate", "kappa", "length_slope"):
        figure = getattr(figures, name)
        assert figure.low <= figure.value <= figure.high, name


def test_the_same_seed_gives_the_same_figures(figures: JudgeFigures) -> None:
    assert measure([one(n, *row) for n, row in enumerate(TABLE)]) == figures


def test_a_judge_of_single_answers_has_no_order() -> None:
    alone = [
        Judged(prompt=str(n), label="a", outcome="a" if n else "b", ordered=False) for n in range(5)
    ]
    figures = measure(alone)
    assert (figures.flip_rate, figures.first_rate, figures.a_first) == (None, None, None)
    assert value(figures.verdict.accuracy) == pytest.approx(4 / 5)


def test_nothing_judged_is_nothing_known() -> None:
    figures = measure([])
    assert figures.verdict.accuracy.value is None
    assert figures.length_slope.value is None


def test_pairs_of_one_prompt_count_as_one_for_the_interval() -> None:
    each = [float(n % 2) for n in range(200)]
    apart = Sample([str(n) for n in range(200)]).share(each, [1.0] * 200)
    same = Sample([str(n % 2) for n in range(200)]).share(each, [1.0] * 200)
    assert apart.low is not None
    assert same.low is not None
    assert apart.value == same.value == 0.5
    assert same.low < 0.1 < 0.3 < apart.low


@pytest.mark.parametrize("of", [5, 20, 64])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.75, 0.98])
def test_the_binomial_interval_covers(of: int, share: float) -> None:
    held = [k for k in range(of + 1) if wilson(k / of, of)[0] <= share <= wilson(k / of, of)[1]]
    covered = sum(comb(of, k) * share**k * (1 - share) ** (of - k) for k in held)
    assert covered >= LEVEL - 0.01


def test_the_regression_is_least_squares() -> None:
    random = np.random.default_rng(1)
    inputs = random.normal(size=(500, 2))
    response = inputs @ np.array([1.5, -0.7]) + random.normal(size=500)
    expected = np.linalg.lstsq(inputs, response, rcond=None)[0]
    found = least_squares(inputs, response, np.ones((1, 500)))[0]
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("likes", "slope"), [("longer", 1), ("shorter", -1), ("label", 0)])
def test_a_liking_for_length_is_a_slope(likes: str, slope: int) -> None:
    seen = []
    for n in range(40):
        label: Preference = "a" if n % 2 else "b"
        longer: Preference = "a" if n % 4 < 2 else "b"
        shorter: Preference = "b" if longer == "a" else "a"
        said = {"longer": longer, "shorter": shorter, "label": label}[likes]
        length = 0.5 if longer == "a" else -0.5
        seen.append(one(n, label, said, said).model_copy(update={"length": length}))
    figure = measure(seen).length_slope
    assert figure.value == pytest.approx(slope, abs=1e-6)
    assert figure.low is not None
    assert figure.high is not None
    assert (figure.low <= 0 <= figure.high) == (likes == "label")


# Panels


def judge(wrong: set[int], of: int = 12) -> dict[str, Judged]:
    return {f"s{n}": one(n, "a", *(("b", "b") if n in wrong else ("a", "a"))) for n in range(of)}


def test_judges_who_err_together_are_one_vote() -> None:
    found = panel({"x": judge({0, 1, 2}), "y": judge({0, 1, 2})})
    assert found is not None
    assert value(found.mean_correlation) == pytest.approx(1)
    assert value(found.effective_votes) == pytest.approx(1)


def test_judges_who_err_apart_are_as_many_as_they_are() -> None:
    found = panel({"x": judge({0, 1, 2, 3, 4, 5}), "y": judge({0, 1, 2, 6, 7, 8})})
    assert found is not None
    assert value(found.correlations[0].errors) == pytest.approx(0)
    assert value(found.effective_votes) == pytest.approx(2)


def test_a_judge_without_errors_says_nothing_of_independence() -> None:
    found = panel({"x": judge(set()), "y": judge({1, 2})})
    assert found is not None
    assert value(found.effective_votes) is None


def test_one_judge_is_no_panel() -> None:
    assert panel({"x": judge({1})}) is None


def test_six_judges_at_a_correlation_of_037_are_two_votes() -> None:
    assert effective_votes(6, np.array([0.37]))[0] == pytest.approx(2.105, abs=1e-3)


# What a scenario may require


def required(accuracy: float | None, flip_rate: float | None) -> Required:
    return Required(accuracy=accuracy, flip_rate=flip_rate)


def test_shortfalls_name_the_figure(figures: JudgeFigures) -> None:
    assert shortfalls(required(0.75, 0.34), figures) == []
    (said,) = shortfalls(required(0.76, None), figures)
    assert said.startswith("accuracy 0.75 (")
    assert said.endswith("below 0.76")
    (said,) = shortfalls(required(None, 0.33), figures)
    assert said.startswith("flip rate 0.33 (")


def test_a_judge_that_decides_nothing_is_short_of_any_accuracy() -> None:
    ties = measure([one(n, "a", "tie", "tie") for n in range(5)])
    assert len(shortfalls(required(0.01, None), ties)) == 1


def test_where_there_is_no_order_nothing_flips() -> None:
    alone = measure([Judged(prompt="p", label="a", outcome="a", ordered=False)])
    assert shortfalls(required(None, 0.0), alone) == []
