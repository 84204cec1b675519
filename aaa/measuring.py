"""Figures of judges from what they made of labelled pairs: accuracy, position, length, agreement, panels.

Pure numpy over plain observations; where those come from is `calibration`'s. Every figure has an
interval over resampled prompts (`resampling`).
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal

import numpy as np

from aaa.resampling import RESAMPLES, Figure, Figures, Floats, Sample, Z, divide, wilson
from aaa.types import Preference, Value

SIDES = ("a", "b", "tie")


class Judged(Value):
    """One labelled pair as one judge saw it."""

    prompt: str
    """Hash of the prompt: pairs with one prompt are not independent."""
    label: Preference
    outcome: Literal["a", "b", "tie", "flip", "error"]
    """What the judging play concluded: a side is a win."""
    ab: Preference | None = None
    """Preference when a was shown first; `None`: unreadable, or answers are judged one at a time."""
    ba: Preference | None = None
    """Preference when b was shown first."""
    ordered: bool = True
    """Both answers were shown together, so there is an order that could matter."""
    length: float = 0.0
    """(characters of a - of b) / (of a + of b)."""


class Rates(Value):
    """Of pairs whose label names a side."""

    accuracy: Figure
    """Share of decided pairs that were decided rightly."""
    coverage: Figure
    """Share of pairs that were decided."""


class JudgeFigures(Value):
    """A judge measured. `None`: there is no order, because answers are judged one at a time."""

    pairs: int
    unjudged: int
    """Labelled pairs without a ballot of this judge: its session failed, or it may not judge them."""
    verdict: Rates
    """As the judging play concludes from all ballots: both orders."""
    a_first: Rates | None
    """From the ballots alone that were shown a first."""
    b_first: Rates | None
    flip_rate: Figure | None
    """Share of pairs, read in both orders, on which the preferred side changed with the order."""
    first_rate: Figure | None
    """Share of ballots for a side that went to the answer shown first: 0.5 is fair."""
    tie_rate: Figure
    error_rate: Figure
    kappa: Figure
    """Cohen's kappa of verdicts with labels, ties included; a flip or an error agrees with no label."""
    kappa_decided: Figure
    """Cohen's kappa where both label and verdict name a side."""
    length_slope: Figure
    """Change in the probability of preferring an answer per unit of (its length - the other's) / (their
    sum), at equal label: 0 is fair, above 0 likes the longer one. Twice as long is a third of a unit."""


class Correlation(Value):
    """How far two judges are wrong on the same pairs."""

    judges: tuple[str, str]
    errors: Figure
    """Pearson's correlation of being wrong; none where one of them always or never is."""


class PanelFigures(Value):
    """Several judges on the same pairs."""

    judges: tuple[str, ...]
    pairs: int
    """Pairs with a label for a side that all of them judged."""
    correlations: tuple[Correlation, ...]
    mean_correlation: Figure
    effective_votes: Figure
    """As many independent judges would err together as seldom as these: n / (1 + (n - 1) r), where r
    is the mean correlation (Kish's design effect, Survey Sampling, 1965, section 5.4)."""


def measure(
    seen: Sequence[Judged], *, unjudged: int = 0, resamples: int = RESAMPLES, seed: int = 0
) -> JudgeFigures:
    """The figures of one judge; `seed` drives the resampling."""
    sample = Sample([one.prompt for one in seen], resamples=resamples, seed=seed)
    ordered = any(one.ordered for one in seen)
    both = [one.ab is not None and one.ba is not None for one in seen]
    flips = [{one.ab, one.ba} == {"a", "b"} for one in seen]
    firsts = [(one.ab == "a") + (one.ba == "b") for one in seen]
    sided = [(one.ab in ("a", "b")) + (one.ba in ("a", "b")) for one in seen]
    every = [1.0] * len(seen)
    return JudgeFigures(
        pairs=len(seen),
        unjudged=unjudged,
        verdict=_rates(sample, seen, [one.outcome for one in seen]),
        a_first=_rates(sample, seen, [one.ab for one in seen]) if ordered else None,
        b_first=_rates(sample, seen, [one.ba for one in seen]) if ordered else None,
        flip_rate=sample.share(flips, both) if ordered else None,
        first_rate=sample.share(firsts, sided) if ordered else None,
        tie_rate=sample.share([one.outcome == "tie" for one in seen], every),
        error_rate=sample.share([one.outcome == "error" for one in seen], every),
        kappa=_kappa(sample, seen, SIDES),
        kappa_decided=_kappa(sample, seen, ("a", "b")),
        length_slope=_length_slope(sample, seen),
    )


def panel(by_judge: Mapping[str, Mapping[str, Judged]], *, seed: int = 0) -> PanelFigures | None:
    """How independent the judges err. `by_judge`: judge -> seed id -> what it saw; `None` below two."""
    judges = tuple(by_judge)
    if len(judges) < 2:
        return None
    shared = sorted(set.intersection(*(set(seen) for seen in by_judge.values())))
    first = by_judge[judges[0]]
    ids = [id for id in shared if first[id].label != "tie"]
    wrong = np.array(
        [[by_judge[j][id].outcome != first[id].label for j in judges] for id in ids], dtype=float
    ).reshape(len(ids), len(judges))
    sample = Sample([first[id].prompt for id in ids], seed=seed)
    duos = list(combinations(range(len(judges)), 2))

    def errors(one: int, other: int) -> Figures:
        return lambda weights: _correlation(weights, wrong[:, one], wrong[:, other])

    def mean(weights: Floats) -> Floats:
        each = np.stack([errors(*duo)(weights) for duo in duos])
        known = np.isfinite(each)
        return divide(np.where(known, each, 0.0).sum(axis=0), known.sum(axis=0))

    return PanelFigures(
        judges=judges,
        pairs=len(ids),
        correlations=tuple(
            Correlation(judges=(judges[i], judges[j]), errors=sample.figure(errors(i, j), len(ids)))
            for i, j in duos
        ),
        mean_correlation=sample.figure(mean, len(ids)),
        effective_votes=sample.figure(lambda w: effective_votes(len(judges), mean(w)), len(ids)),
    )


def effective_votes(judges: int, correlation: Floats) -> Floats:
    """n / (1 + (n - 1) r); nan where judges err so oppositely that the formula has no answer."""
    bottom = 1 + (judges - 1) * correlation
    return divide(np.full(np.shape(bottom), float(judges)), np.where(bottom > 0, bottom, 0.0))


def _rates(sample: Sample, seen: Sequence[Judged], said: Sequence[str | None]) -> Rates:
    sided = [one.label != "tie" for one in seen]
    decided = [s and said_ in ("a", "b") for s, said_ in zip(sided, said, strict=True)]
    right = [d and said_ == one.label for d, said_, one in zip(decided, said, seen, strict=True)]
    return Rates(accuracy=sample.share(right, decided), coverage=sample.share(decided, sided))


def _kappa(sample: Sample, seen: Sequence[Judged], sides: tuple[str, ...]) -> Figure:
    """Cohen's kappa over labels in `sides`; without ties, over verdicts in `sides` too.

    The interval also covers what the binomial interval of the agreement gives at this chance agreement.
    """
    counted = [one.label in sides and ("tie" in sides or one.outcome in sides) for one in seen]
    kept = np.array(counted, dtype=float)
    labels = np.array([[one.label == s for s in sides] for one in seen], dtype=float)
    said = np.array([[one.outcome == s for s in sides] for one in seen], dtype=float)
    labels, said = labels.reshape(-1, len(sides)), said.reshape(-1, len(sides))
    agree = (labels * said).sum(axis=1) * kept

    def by_chance(weights: Floats) -> Floats:
        total = (weights @ kept)[:, None]
        of_label = divide(
            weights @ (labels * kept[:, None]), np.broadcast_to(total, (len(weights), len(sides)))
        )
        of_said = divide(
            weights @ (said * kept[:, None]), np.broadcast_to(total, (len(weights), len(sides)))
        )
        return np.asarray((of_label * of_said).sum(axis=1))

    def kappa(weights: Floats) -> Floats:
        chance = by_chance(weights)
        return divide(divide(weights @ agree, weights @ kept) - chance, 1 - chance)

    of = int(kept.sum())
    if not of:
        return sample.figure(kappa, 0)
    chance = float(by_chance(np.ones((1, len(seen))))[0])
    ends = wilson(float(agree.sum()) / of, of)
    outer = tuple((end - chance) / (1 - chance) for end in ends) if chance < 1 else (np.nan, np.nan)
    return sample.figure(kappa, of, (outer[0], outer[1]))


def _length_slope(sample: Sample, seen: Sequence[Judged]) -> Figure:
    """First coefficient of: preference for a ~ length + label, least squares without constant.

    Preference is 1/2 for a, -1/2 for b, 0 for a tie, averaged over the two orders, so that a pair is one
    observation and its order cancels. The interval also covers the textbook one with its residuals as
    large as the binomial bound allows: a sample without any error has none of its own.
    """
    sign = {"a": 1.0, "b": -1.0, "tie": 0.0}
    said = [_signs(one) for one in seen]
    kept = np.array([bool(signs) for signs in said], dtype=float)
    response = np.array([sum(signs) / max(1, len(signs)) / 2 for signs in said])
    inputs = np.array([(one.length, sign[one.label]) for one in seen]).reshape(-1, 2)

    def slope(weights: Floats) -> Floats:
        return least_squares(inputs, response, weights * kept)[:, 0]

    of = int(kept.sum())
    if of < 2:
        return sample.figure(slope, 0)
    found = least_squares(inputs, response, kept[None, :])[0]
    left = float((kept * (response - inputs @ found) ** 2).sum()) / of
    worst = wilson(min(1.0, left), of)[1]
    spread = np.linalg.inv(_bend(inputs, kept[None, :])[0])[0, 0]
    around = Z * float(np.sqrt(worst * spread))
    return sample.figure(slope, of, (float(found[0]) - around, float(found[0]) + around))


def _signs(one: Judged) -> list[float]:
    """1, -1 or 0 of each ballot that was read; of the verdict where there is no order."""
    sign = {"a": 1.0, "b": -1.0, "tie": 0.0}
    said = (one.ab, one.ba) if one.ordered else (one.outcome,)
    return [sign[preference] for preference in said if preference in sign]


def least_squares(inputs: Floats, response: Floats, weights: Floats) -> Floats:
    """Coefficients without constant, for each row of weights (resamples x observations)."""
    pull = (weights * response) @ inputs
    solved = np.linalg.solve(_bend(inputs, weights), pull[:, :, None])[:, :, 0]
    return np.asarray(solved, dtype=np.float64)


def _bend(inputs: Floats, weights: Floats) -> Floats:
    """Weighted sums of products of the inputs; a grain is added, so that it can always be inverted."""
    products = np.einsum("rm,mi,mj->rij", weights, inputs, inputs, optimize=True)
    return np.asarray(products + 1e-9 * np.eye(inputs.shape[1]), dtype=np.float64)


def _correlation(weights: Floats, one: Floats, other: Floats) -> Floats:
    """Weighted Pearson correlation in each row of weights, nan where one of the two does not vary."""
    total = weights.sum(axis=1)
    mean_one, mean_other = (weights @ one) / total, (weights @ other) / total
    together = (weights @ (one * other)) / total - mean_one * mean_other
    spread = mean_one * (1 - mean_one) * mean_other * (1 - mean_other)
    return divide(together, np.sqrt(np.clip(spread, 0, None)))
