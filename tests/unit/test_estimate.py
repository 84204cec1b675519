"""A dry run counts what a round then asks: for every judging play, wherever the newest answer always wins."""

from pathlib import Path
from typing import Any

import pytest

from aaa import plugins
from aaa.catalogue import Catalogue, Script
from aaa.estimate import Estimate, estimate
from aaa.types import Seed
from tests.catalogues import small_catalogue

ROUNDS = 3
PER_CONTEST = {
    "pairwise": 2,
    "scores": 2,
    "five_label": 2,
    "rubric": 2,
    "reference": 3,  # the judge's own answer first: the seeds have no reference
    "logprob": 2,
    "panel": 2,
    "meta": 4,
}
"""Calls to one judge for one comparison."""


def estimated(folder: Path, **scenario: Any) -> Estimate:
    catalogue: Catalogue = small_catalogue(folder, questions=2, **scenario)
    script, seeds = _prepared(catalogue)
    return estimate(script, seeds)


def _prepared(catalogue: Catalogue) -> tuple[Script, tuple[Seed, ...]]:
    return catalogue.prepare(*catalogue.scenario("small"))


def ballots(found: Estimate) -> int:
    return sum(line.calls for line in found.lines if line.seat == "judge")


@pytest.mark.parametrize("play", plugins.names("judges"))
def test_every_judging_play_is_counted_over_all_rounds(play: str, tmp_path: Path) -> None:
    """Two students, each improved in every round, then one comparison of the two."""
    protocol = {"id": "co_teaching", "options": {"rounds": ROUNDS}}
    found = estimated(tmp_path, protocol=protocol, judging={"play": play})
    contests = 2 * (2 * ROUNDS + 1)
    assert ballots(found) == contests * PER_CONTEST[play]


def test_a_pointwise_judge_is_counted_over_all_rounds(tmp_path: Path) -> None:
    judging = {"play": "logprob", "options": {"mode": "pointwise"}}
    protocol = {"id": "co_teaching", "options": {"rounds": ROUNDS}}
    found = estimated(tmp_path, protocol=protocol, judging=judging)
    assert ballots(found) == 2 * (2 * ROUNDS + 1) * 2


@pytest.mark.parametrize("play", plugins.names("judges"))
def test_controls_are_counted_and_end_nothing(play: str, tmp_path: Path) -> None:
    protocol = {"id": "co_teaching", "options": {"rounds": ROUNDS}}
    judging = {"play": play, "control": True}
    found = estimated(tmp_path, protocol=protocol, judging=judging)
    assert ballots(found) == 2 * (2 * ROUNDS + 1) * PER_CONTEST[play] * 2


def test_options_that_ask_more_are_counted(tmp_path: Path) -> None:
    first = {"play": "five_label", "options": {"answer_first": True}}
    found = estimated(tmp_path, judging=first)
    own = {line.purpose: line.calls for line in found.lines if line.seat == "judge"}
    assert own == {"own answer": 6, "ballot": 12}


def test_a_ranking_is_counted(tmp_path: Path) -> None:
    """Three students are ranked by two or three comparisons, of two ballots each."""
    found = estimated(
        tmp_path,
        protocol={"id": "tests.plays_for_tests.best_of"},
        judging={"play": "pairwise"},
        seats={"student": ["pupil", "peer", "teacher"], "judge": ["judge"]},
    )
    assert 2 * 2 * 2 <= ballots(found) <= 2 * 2 * 3
