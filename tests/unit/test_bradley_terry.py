"""The fit: equal to an independent implementation, the same from both sides, at a true maximum."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from aaa.bradley_terry import Floats, Games, Ints, fit, games, reach, resample, seeds_of, wins


def battles(
    random_seed: int, players: int = 12, rows: int = 1500, features: int = 4
) -> tuple[Games, Floats, Floats]:
    """Games, with the same as a design matrix (rows, players + features) and scores."""
    chance = np.random.default_rng(random_seed)
    a = chance.integers(0, players, rows)
    b = (a + chance.integers(1, players, rows)) % players
    style = chance.uniform(-1, 1, (rows, features))
    score = chance.choice([0, 0.5, 1], rows, p=[0.3, 0.2, 0.5])
    design = np.zeros((rows, players + features))
    design[np.arange(rows), a], design[np.arange(rows), b] = 1, -1
    design[:, players:] = style / np.sqrt((style**2).mean(axis=0))
    return games(players, a, b, score, chance.integers(0, 40, rows), style), design, score


def logistic_regression(design: Floats, score: Floats, ridge: float, weight: Floats) -> Floats:
    """Scikit-learn's penalised logistic regression; a score in between is half of each outcome."""
    model = LogisticRegression(
        C=1 / ridge, fit_intercept=False, solver="newton-cholesky", tol=1e-12, max_iter=1000
    )
    outcome = np.repeat([1, 0], len(score))
    share = np.concatenate([weight * score, weight * (1 - score)])
    model.fit(np.vstack([design, design]), outcome, sample_weight=share)
    found: Floats = model.coef_[0]
    return found


@pytest.mark.parametrize("features", [0, 4])
@pytest.mark.parametrize("ridge", [0.01, 0.1, 3.0])
def test_equals_an_independent_implementation(features: int, ridge: float) -> None:
    played, design, score = battles(1, features=features)
    theirs = logistic_regression(design, score, ridge, np.ones(len(score)))
    assert np.abs(fit(played, ridge).x - theirs).max() < 1e-6


def test_weights_count_battles_as_copies_would() -> None:
    played, design, score = battles(2)
    weight = np.random.default_rng(0).integers(0, 4, len(score)).astype(float)
    theirs = logistic_regression(design, score, 0.1, weight)
    assert np.abs(fit(played, 0.1, weight).x - theirs).max() < 1e-6


def test_features_are_scaled_not_centred() -> None:
    style = np.array([[0.2], [0.4], [0.4]])
    played = games(2, np.zeros(3, int), np.ones(3, int), np.ones(3), np.arange(3), style)
    assert played.style.ravel() == pytest.approx(np.array([0.2, 0.4, 0.4]) / np.sqrt(0.12))


def test_a_feature_that_nobody_has_changes_nothing() -> None:
    a, b, score, seed = np.array([0, 1, 2]), np.array([1, 2, 0]), np.ones(3), np.arange(3)
    without = fit(games(3, a, b, score, seed, np.zeros((3, 0))), 0.1).x
    having = fit(games(3, a, b, score, seed, np.zeros((3, 2))), 0.1).x
    assert having == pytest.approx([*without, 0, 0])


rows = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.integers(1, 5),
        st.sampled_from([0.0, 0.5, 1.0]),
        st.integers(0, 3),
        st.floats(-1, 1),
    ),
    min_size=1,
    max_size=40,
)


def table(
    found: list[tuple[int, int, float, int, float]],
) -> tuple[Ints, Ints, Ints, Floats, Floats]:
    """(a, b, seed, score, style)"""
    whole = np.array([(a, (a + step) % 6, seed) for a, step, _, seed, _ in found])
    score, style = np.array([row[2] for row in found]), np.array([row[4:] for row in found])
    return whole[:, 0], whole[:, 1], whole[:, 2], score, style


CLEAR = [(0, 1, 0.0, 0, -0.4883741348790366), (0, 2, 1.0, 0, 0.5), (0, 3, 1.0, 0, 0.515625)]
CLEAR += [
    (0, 3, 1.0, 0, 0.515625),
    (0, 3, 1.0, 0, 0.125),
    (0, 4, 1.0, 0, 0.0),
    (0, 4, 1.0, 0, 0.625),
]
"""A fit that does not end where 1 - p is taken as a difference."""


@example(CLEAR, 1e-6)
@given(rows, st.sampled_from([1e-6, 1e-3, 0.1, 10.0]))
def test_there_is_always_a_maximum_and_sides_do_not_matter(
    found: list[tuple[int, int, float, int, float]], ridge: float
) -> None:
    """Whoever never lost, whoever never met, whatever the style: the slope there is zero."""
    a, b, seed, score, style = table(found)
    one = fit(games(6, a, b, score, seed, style), ridge).x
    other = fit(games(6, b, a, 1 - score, seed, -style), ridge).x
    gaps = one[a] - one[b]
    assert gaps == pytest.approx(other[a] - other[b], abs=1e-6)
    size = np.sqrt((style**2).mean()) or 1.0
    logits = gaps + style[:, 0] / size * one[6]
    lacking = score - (0.5 + 0.5 * np.tanh(logits / 2))
    slope = np.bincount(a, lacking, 6) - np.bincount(b, lacking, 6) - ridge * one[:6]
    assert np.abs(slope).max() < 1e-6


@pytest.mark.parametrize("strength", [3.0, 30.0, 3000.0])
def test_a_start_far_off_leads_there(strength: float) -> None:
    """Newton's method alone jumps back and forth for ever."""
    a, b, score = np.zeros(2, int), np.ones(2, int), np.array([1.0, 0.0])
    played = games(2, a, b, score, np.arange(2), np.zeros((2, 0)))
    for ridge in (1e-6, 0.1):
        found = fit(played, ridge, start=np.array([strength, -strength])).x
        assert found == pytest.approx([0, 0], abs=1e-8)


def test_resampling_draws_whole_seeds() -> None:
    """Two seeds, one won by each: of every draw both come from one seed, or one from each."""
    a, b = np.zeros(20, int), np.ones(20, int)
    score, seed = np.repeat([1.0, 0.0], 10), np.repeat([0, 1], 10)
    played = games(2, a, b, score, seed, np.zeros((20, 0)))
    drawn = resample(played, 0.1, 60, 0, fit(played, 0.1).x)
    gaps = np.unique(np.round(drawn[:, 0] - drawn[:, 1], 6))
    assert len(gaps) == 3
    assert gaps[1] == pytest.approx(0)


def test_the_same_seed_draws_the_same() -> None:
    played, _, _ = battles(3, players=4, rows=50)
    start = fit(played, 0.1).x
    first, again, other = (resample(played, 0.1, 5, n, start) for n in (7, 7, 8))
    assert (first == again).all()
    assert not (first == other).all()


def test_wins_ties_and_seeds_are_counted() -> None:
    a, b = np.array([0, 1, 2, 0, 2]), np.array([1, 0, 0, 1, 1])
    score, seed = np.array([1, 1, 0, 0.5, 0.5]), np.array([0, 0, 5, 9, 9])
    played = games(3, a, b, score, seed, np.zeros((5, 0)))
    won, tied = wins(played)
    assert won.tolist() == [[0, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert tied.tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert seeds_of(played).tolist() == [3, 2, 2]


def test_reach_follows_chains() -> None:
    edges = np.zeros((5, 5), dtype=bool)
    edges[0, 1] = edges[1, 2] = edges[2, 3] = True
    assert reach(edges).tolist() == [
        [True, True, True, True, False],
        [False, True, True, True, False],
        [False, False, True, True, False],
        [False, False, False, True, False],
        [False, False, False, False, True],
    ]
