"""Intervals of paired differences hold the truth about as often as they state, on planted students."""

import random

import pytest

from aaa.report.answers import Answer, Taught, taught_by
from aaa.report.scores import difference, parts_of, scores_of

TRIALS = 200
TAUGHT = taught_by([{"id": "t", "prompt": "t", "tags": ["template:other"]}])


def students(chance: random.Random, seeds: int, gap: float, each: int) -> list[Answer]:
    """Two students whose pass rates differ by `gap`, on seeds and templates of differing difficulty.

    `each`: seeds of one template, which are as difficult as each other.
    """
    found = []
    for number in range(seeds):
        if number % each == 0:
            ease = chance.uniform(0.05, 0.65)
        for agent, rate in (("before", ease), ("after", ease + gap)):
            found.append(
                Answer(
                    round="r", session=number, seed=f"s{number}", prompt=f"p{number}", agent=agent, text="",
                    tags=(f"template:t{number // each}",), tokens=None, cut=False, why="",
                    passed=chance.random() < rate,
                )
            )  # fmt: skip
    return found


@pytest.mark.parametrize(
    ("seeds", "gap", "each", "taught", "part"),
    [
        (120, 0.15, 1, Taught(), "held out"),
        (120, 0.0, 1, Taught(), "held out"),
        (100, 0.1, 5, TAUGHT, "unseen templates"),
    ],
)
def test_intervals_hold_the_planted_difference(
    seeds: int, gap: float, each: int, taught: Taught, part: str
) -> None:
    held = 0
    for trial in range(TRIALS):
        answers = students(random.Random(trial), seeds, gap, each)
        (own,) = [one for one in parts_of(answers, taught) if one.name == part]
        points = difference(own, "before", "after", scores_of(answers)).points
        assert points.low is not None
        assert points.high is not None
        held += points.low <= gap <= points.high
    assert 0.91 <= held / TRIALS <= 0.99, f"{held} of {TRIALS}"
