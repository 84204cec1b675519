"""Intervals of figures by bootstrap over groups of observations (prompts), with numpy.

A figure is a function of weights: how often each observation was drawn. All resamples are computed
side by side. Where a figure is a share, the interval also covers what the binomial alone would give,
because a bootstrap of a share that is 0 or 1 in the sample has no width at all.

Bootstrap: Efron, "Bootstrap Methods: Another Look at the Jackknife" (1979), percentile intervals;
whole groups are drawn, since games on one prompt are not independent. Binomial: Wilson's interval with
continuity correction (Newcombe 1998, "Two-sided confidence intervals for the single proportion", method 4).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from aaa.types import Value

Floats = NDArray[np.float64]
Figures = Callable[[Floats], Floats]
"""weights of shape (resamples, observations) -> the figure in each resample, nan where it has none."""

LEVEL = 0.99
"""About a dozen figures of a judge are read at once: at 95 % each, every other calibration would hold
one whose interval misses the truth."""
RESAMPLES = 1000
Z = 2.5758293035489004
"""The normal quantile that belongs to `LEVEL`."""
CELLS = 4_000_000
"""Weights held at a time: bounds memory."""


class Figure(Value):
    """A figure with its interval, at 99 % unless told otherwise; all `None` where nothing could be told."""

    value: float | None
    low: float | None
    high: float | None
    of: int
    """Observations that it rests on."""


class Sample:
    """Observations in groups, and resamples of the groups."""

    def __init__(
        self,
        groups: Sequence[str],
        *,
        resamples: int = RESAMPLES,
        seed: int = 0,
        level: float = LEVEL,
    ) -> None:
        self._group = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)[
            1
        ]
        self._resamples = resamples
        self._seed = seed
        self._level = level
        self.size = len(groups)

    def figure(self, figures: Figures, of: int, outer: tuple[float, float] | None = None) -> Figure:
        """The figure in the sample, its interval over resamples, widened to `outer`."""
        value = float(figures(np.ones((1, self.size)))[0]) if of else math.nan
        if not math.isfinite(value):
            return Figure(value=None, low=None, high=None, of=of)
        drawn = np.concatenate([figures(weights) for weights in self._weights()])
        tail = 100 * (1 - self._level) / 2
        ends = [value, *(np.nanpercentile(drawn, (tail, 100 - tail))), *(outer or ())]
        low, high = float(np.nanmin(ends)), float(np.nanmax(ends))
        return Figure(value=round(value, 6), low=round(low, 6), high=round(high, 6), of=of)

    def share(self, of: Sequence[float], among: Sequence[float]) -> Figure:
        """sum(of) / sum(among), both per observation; `among` counts the chances."""
        top, bottom = np.asarray(of, dtype=float), np.asarray(among, dtype=float)
        chances = int(bottom.sum())
        z = quantile(self._level)
        outer = wilson(float(top.sum()) / chances, chances, z) if chances else None
        return self.figure(lambda w: divide(w @ top, w @ bottom), chances, outer)

    def _weights(self) -> Iterator[Floats]:
        """How often each observation was drawn, in resamples x observations, a part at a time."""
        random = np.random.default_rng(self._seed)
        groups = int(self._group.max()) + 1
        at_once = max(1, CELLS // max(groups, self.size))
        for first in range(0, self._resamples, at_once):
            rows = min(at_once, self._resamples - first)
            counts = random.multinomial(groups, np.full(groups, 1 / groups), size=rows)
            yield counts[:, self._group].astype(float)


def divide(top: Floats, bottom: Floats) -> Floats:
    """top / bottom, nan where bottom is 0."""
    result: Floats = np.full(np.shape(top), math.nan)
    np.divide(top, bottom, out=result, where=np.asarray(bottom) != 0)
    return result


def quantile(level: float) -> float:
    """The normal quantile of a two-sided interval of that level."""
    return Z if level == LEVEL else NormalDist().inv_cdf(0.5 + level / 2)


def wilson(share: float, of: int, z: float = Z) -> tuple[float, float]:
    """The continuity-corrected interval of a share of `of` independent chances."""

    def end(sign: int) -> float:
        inner = z**2 + sign * 2 - 1 / of + 4 * share * (of * (1 - share) - sign)
        root = z * math.sqrt(max(0.0, inner))
        return (2 * of * share + z**2 + sign * (1 + root)) / (2 * (of + z**2))

    low = 0.0 if share <= 0 else max(0.0, end(-1))
    high = 1.0 if share >= 1 else min(1.0, end(1))
    return low, high
