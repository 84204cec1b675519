"""How much a verdict leans on length and markdown: a logistic slope for each feature of style.

For each pair the contrast of the chosen answer against the rejected one, in [-1, 1], as ratings hold style
constant (`aaa.style`); the slope is what such a contrast adds to the log-odds of being chosen. Fitted on a
fixed sample, drawn by the hash of ids, so that a million pairs take no longer than ten thousand.
"""

from zlib import crc32

import numpy as np

from aaa.style import FEATURES, contrast

MOST = 10_000
"""Pairs that are looked at, at most."""
RIDGE = 0.5
"""As for ratings: a feature that all chosen answers have more of would have no finite slope."""
STEPS = 30


class Sample:
    """Contrasts of pairs, thinned by half whenever there are too many."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._below = most, 1.0
        self._rows: list[tuple[float, tuple[float, ...]]] = []

    def add(self, id: str, chosen: str, rejected: str) -> None:
        number = crc32(id.encode()) / 2**32  # ids are hashes themselves
        if number < self._below:
            self._rows.append((number, contrast(chosen, rejected)))
            while len(self._rows) > self._most:
                self._below /= 2
                self._rows = [row for row in self._rows if row[0] < self._below]

    def slopes(self) -> dict[str, float]:
        """Feature -> slope; positive where more of it is chosen. Empty where there is nothing."""
        if not self._rows:
            return {}
        fitted = fit(np.array([row[1] for row in self._rows]))
        return {name: round(float(slope), 4) for name, slope in zip(FEATURES, fitted, strict=True)}

    @property
    def size(self) -> int:
        return len(self._rows)


def fit(contrasts: np.ndarray) -> np.ndarray:
    """Slopes (features,) of contrasts (pairs, features), all of which won: ridge and Newton."""
    slopes = np.zeros(contrasts.shape[1])
    for _ in range(STEPS):
        lost = 1 / (1 + np.exp(contrasts @ slopes))
        gradient = contrasts.T @ lost - RIDGE * slopes
        weight = (lost * (1 - lost))[:, None]
        step = np.linalg.solve(
            contrasts.T @ (weight * contrasts) + RIDGE * np.eye(len(slopes)), gradient
        )
        slopes = slopes + step
        if np.abs(step).max() < 1e-9:
            break
    return slopes
