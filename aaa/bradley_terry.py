"""The Bradley-Terry model fitted by maximum likelihood with a ridge, and resampled by seed. Numpy lives here.

The chance that i beats j is 1 / (1 + exp(-(theta_i - theta_j + beta . x))), with strengths theta in natural
log-odds and style differences x. A tie is half a win (FastChat's `rating_systems.py`). The ridge
`ridge / 2 * (|theta|^2 + |beta|^2)` keeps players finite who never lost, and centres each set of
players who met on 0. Left out: names, scales and what it all means (`ratings.py`).
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]

PRECISE = 1e-10
"""A fit has ended when its last step moved no battle's logit by more than this."""
MOST_STEPS = 200
AT_ONCE = 4_000_000
"""Counts of seeds drawn at a time: bounds memory."""


class Games(NamedTuple):
    """Battles as arrays: one row a battle, each seen from the lower-numbered player."""

    players: int
    seeds: int
    low: Ints
    """pair -> its lower-numbered player"""
    high: Ints
    """pair -> the other"""
    pair: Ints
    """row -> its pair"""
    score: Floats
    """row -> 1 where the lower-numbered player won, 0.5 for a tie, 0"""
    seed: Ints
    """row -> its seed, 0 … seeds - 1"""
    style: Floats
    """(features, rows): differences as seen from the lower-numbered player; no features: (0, rows)"""


class Fit(NamedTuple):
    """A maximum: `x` holds strengths, then style coefficients; `curvature` is the Hessian there."""

    x: Floats
    curvature: Floats


def games(players: int, a: Ints, b: Ints, score: Floats, seed: Ints, style: Floats) -> Games:
    """Battles between players 0 … players - 1 in a canonical orientation, so that sides cannot matter.

    `style`: (rows, features), as seen from `a`. Features are divided by their root mean square, not
    centred: centring would favour one side.
    """
    swapped = a > b
    numbers, pair = np.unique(
        np.where(swapped, b * players + a, a * players + b), return_inverse=True
    )
    seen, seed = np.unique(seed, return_inverse=True)
    signed = np.where(swapped, -1.0, 1.0) * style.T
    size = np.sqrt((signed**2).mean(axis=1, keepdims=True))
    return Games(
        players=players,
        seeds=len(seen),
        low=numbers // players,
        high=numbers % players,
        pair=pair,
        score=np.where(swapped, 1.0 - score, score),
        seed=seed,
        style=np.ascontiguousarray(signed / np.where(size > 0, size, 1.0)),
    )


def fit(
    played: Games, ridge: float, weights: Floats | None = None, start: Floats | None = None
) -> Fit:
    """The penalised maximum; `weights` (per row, default 1) say how often each battle counts."""
    pooled, weight, won = _pooled(played, weights)
    x: Floats = np.zeros(played.players + len(played.style)) if start is None else start

    def loss(at: Floats) -> float:
        logits = _logits(pooled, at)
        return float(weight @ np.logaddexp(0, logits) - won @ logits + ridge / 2 * at @ at)

    for _ in range(MOST_STEPS):
        chance, against = _chances(_logits(pooled, x))
        slope = _gathered(pooled, won * against - (weight - won) * chance) - ridge * x
        curvature = _curvature(pooled, weight * chance * against)
        curvature[np.diag_indices_from(curvature)] += ridge
        step = np.linalg.solve(curvature, slope)
        moved = float(np.abs(_logits(pooled, step)).max())
        share, slant = 1.0, float(slope @ step)
        # a step that moves no logit by more than 1 gains enough; a longer one must show that it does
        while share * moved > 1 and loss(x + share * step) > loss(x) - 0.2 * share * slant:
            share = max(share / 2, 1 / moved)
        x = x + share * step
        if moved < PRECISE:
            return Fit(x, curvature)
    raise ArithmeticError(f"no maximum in {MOST_STEPS} steps with ridge {ridge!r}")


def resample(
    played: Games, ridge: float, replicates: int, random_seed: int, start: Floats
) -> Floats:
    """(replicates, players + features): fits to the seeds drawn again with replacement.

    Whole seeds are drawn, because battles on one prompt are not independent.
    """
    chance = np.random.default_rng(random_seed)
    even = np.full(played.seeds, 1 / played.seeds)
    found = np.empty((replicates, len(start)))
    at_once = max(1, AT_ONCE // played.seeds)
    for first in range(0, replicates, at_once):
        size = min(at_once, replicates - first)
        for n, drawn in enumerate(chance.multinomial(played.seeds, even, size=size), first):
            weights = drawn[played.seed].astype(np.float64)
            found[n] = fit(played, ridge, weights, start).x
    return found


def wins(played: Games) -> tuple[Ints, Ints]:
    """(won, tied): [i, j] is how often i beat j, and how often they tied (symmetric)."""
    size, low, high = played.players, played.low[played.pair], played.high[played.pair]
    first, second = played.score == 1, played.score == 0
    even = ~(first | second)
    won = np.bincount(low[first] * size + high[first], minlength=size**2)
    won += np.bincount(high[second] * size + low[second], minlength=size**2)
    tied = np.bincount(low[even] * size + high[even], minlength=size**2).reshape(size, size)
    return won.reshape(size, size), tied + tied.T


def seeds_of(played: Games) -> Ints:
    """player -> on how many different seeds it battled."""
    sides = np.concatenate([played.low[played.pair], played.high[played.pair]])
    both = np.unique(sides * played.seeds + np.tile(played.seed, 2))
    return np.bincount(both // played.seeds, minlength=played.players)


def reach(edges: Flags) -> Flags:
    """[i, j]: whether a chain of edges leads from i to j; everyone reaches itself."""
    known = edges | np.eye(len(edges), dtype=bool)
    while True:
        further = (known.astype(np.float32) @ known.astype(np.float32)) > 0
        if (further == known).all():
            return known
        known = further


def _pooled(played: Games, weights: Floats | None) -> tuple[Games, Floats, Floats]:
    """(games, weights, weighted scores), of whole pairs where no style tells their battles apart."""
    each: Floats = np.ones_like(played.score) if weights is None else weights
    won = each * played.score
    if len(played.style):
        return played, each, won
    pairs = len(played.low)
    alone = played._replace(pair=np.arange(pairs), style=np.zeros((0, pairs)))
    return alone, _sums(played.pair, each, pairs), _sums(played.pair, won, pairs)


def _logits(played: Games, x: Floats) -> Floats:
    strength, effect = x[: played.players], x[played.players :]
    gap = strength[played.low] - strength[played.high]
    return gap[played.pair] + effect @ played.style


def _chances(logits: Floats) -> tuple[Floats, Floats]:
    """(p, 1 - p), both to full precision, which a difference from 1 would not have."""
    within = np.clip(logits, -700, 700)
    return 1 / (1 + np.exp(-within)), 1 / (1 + np.exp(within))


def _gathered(played: Games, amounts: Floats) -> Floats:
    """Rows' amounts carried to the parameters: the transpose of `_logits`."""
    by_pair = _sums(played.pair, amounts, len(played.low))
    return np.concatenate([_by_player(played, by_pair), played.style @ amounts])


def _by_player(played: Games, by_pair: Floats) -> Floats:
    size = played.players
    return _sums(played.low, by_pair, size) - _sums(played.high, by_pair, size)


def _curvature(played: Games, amounts: Floats) -> Floats:
    """The Hessian of the likelihood: rows' amounts, carried to each two parameters."""
    size, features = played.players, len(played.style)
    by_pair = _sums(played.pair, amounts, len(played.low))
    met = _sums(played.low * size + played.high, by_pair, size**2).reshape(size, size)
    met += met.T
    whole = np.zeros((size + features, size + features))
    whole[:size, :size] = np.diag(met.sum(axis=1)) - met
    weighed = played.style * amounts
    whole[size:, size:] = weighed @ played.style.T
    for k, row in enumerate(weighed, size):
        crossed = _by_player(played, _sums(played.pair, row, len(played.low)))
        whole[k, :size] = whole[:size, k] = crossed
    return whole


def _sums(place: Ints, amounts: Floats, size: int) -> Floats:
    return np.asarray(np.bincount(place, amounts, size), dtype=np.float64)
