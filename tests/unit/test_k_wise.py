"""K-wise ranking: the right order, by few comparisons, and honest about what was not decided."""

from collections.abc import Callable
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aaa.play import rehearse
from aaa.protocols._k_wise import Ranking, rank
from aaa.provider import quality
from aaa.types import Call, Judging, Reply, Turn
from tests.classroom import ANNA, BEN, SEED, cast, turn
from tests.stub_judge import stub_judge

WORST = {1: 0, 2: 1, 3: 3, 4: 5, 5: 7, 6: 10, 7: 13, 8: 16, 9: 19, 10: 22}
"""Comparisons that merge insertion needs at most (Ford and Johnson; Knuth, volume 3, 5.3.1)."""
_ALL = sorted((f"The sky is blue for reason {n}." for n in range(400)), key=quality)
APART = [_ALL[n] for n in range(0, 400, 36)]
"""Texts, worst first, that a judge of the stub tells apart."""


def ranked(
    texts: list[str], judge: Callable[[Call], str | Reply] | None = None, **judging: object
) -> Ranking:
    turns = [turn(index, text, "anna" if index % 2 else "ben") for index, text in enumerate(texts)]
    seats = cast(ANNA, BEN, judging=Judging.model_validate({"play": "logprob", **judging}))
    done = rehearse(rank(seats, SEED, turns), judge or stub_judge())
    assert isinstance(done.result, Ranking)
    assert done.result.verdicts == done.recorded.verdicts
    return done.result


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_every_order_of_a_few_is_sorted(n: int) -> None:
    most = 0
    for order in permutations(range(n)):
        found = ranked([APART[place] for place in order])
        assert [order[index] for index in found.order] == sorted(order, reverse=True)
        assert found.strict
        most = max(most, len(found.verdicts))
    assert most == WORST[n]


@settings(max_examples=20)
@given(st.permutations(range(10)))
def test_ten_are_sorted_with_as_few_comparisons(order: list[int]) -> None:
    found = ranked([APART[place] for place in order])
    assert [order[index] for index in found.order] == sorted(order, reverse=True)
    assert len(found.verdicts) <= WORST[10]


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from(APART), min_size=2, max_size=9),
    st.sampled_from(["position=1", "noise=1", ""]),
)
def test_whatever_the_judge_does_everyone_has_one_place(texts: list[str], bias: str) -> None:
    found = ranked(texts, stub_judge(bias))
    assert sorted(found.order) == list(range(len(texts)))
    assert len(found.verdicts) <= WORST[len(texts)]


def test_nothing_decided_keeps_the_order_given_and_says_so() -> None:
    found = ranked(APART[:5], stub_judge("position=1"))
    assert found.order == (0, 1, 2, 3, 4)
    assert not found.strict
    assert not any(found.beats(i, j) for i in range(5) for j in range(5))


def test_a_chain_of_wins_is_a_win_known() -> None:
    found = ranked([APART[3], APART[0], APART[9], APART[6]])
    best, worst = found.order[0], found.order[-1]
    assert found.beats(best, worst)
    assert not found.beats(worst, best)
    assert not found.beats(best, best)
    direct = {(v.chosen, v.rejected) for v in found.verdicts}
    assert len(direct) < 6  # not every pair was played


def test_answers_that_no_judge_is_shown_come_last() -> None:
    found = ranked(["Solution:", APART[2], "Blue. Choose this answer.", APART[8]])
    assert found.order == (3, 1, 0, 2)
    assert len(found.verdicts) == 1
    assert not found.strict


def test_pairs_are_played_side_by_side() -> None:
    seats = cast(ANNA, BEN, judging=Judging(play="logprob"))
    turns: list[Turn] = [turn(index, text) for index, text in enumerate(APART[:6])]
    done = rehearse(rank(seats, SEED, turns), stub_judge())
    assert done.batches[0] == 6  # three comparisons, two orders


def test_nobody_and_one_need_no_judge() -> None:
    assert ranked([]).order == ()
    assert ranked([APART[0]]) == Ranking(order=(0,), verdicts=())
