"""How many seeds each agent passes, and how two agents differ on the seeds that both answered.

A seed counts once for each agent: as the mean over its answers there. Intervals are at 95 %, by drawing seeds
again; a difference draws the same seeds for both, so what is hard for both does not widen it. For templates
that nobody was taught, whole templates are drawn, since what is asked is how others like them would go. Left
out: which answers count (`answers.py`).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean

import numpy as np

from aaa.report.answers import KIND, TEMPLATE, Answer, Taught, tag_of
from aaa.resampling import Figure, Floats, Sample, quantile, wilson
from aaa.types import Value

LEVEL = 0.95
RESAMPLES = 2000
HELD_OUT = "held out"
"""All seeds that were not taught, or may not have been."""


class Part(Value):
    """Some of the seeds."""

    name: str
    seeds: frozenset[str]
    group: Mapping[str, str]
    """Seed -> what it is drawn together with."""


class Rate(Value):
    """What share of a part's seeds an agent passes."""

    part: str
    agent: str
    share: Figure


class Difference(Value):
    """What `after` passes more than `before`, on the seeds that both answered."""

    part: str
    before: str
    after: str
    points: Figure
    """Of the pass rate, in [-1, 1]."""
    gained: int
    """Seeds on which `after` is better."""
    lost: int
    same: int

    @property
    def win_rate(self) -> float | None:
        """How often `after` is the better one, a tie as half; `None` without seeds."""
        of = self.gained + self.lost + self.same
        return (self.gained + self.same / 2) / of if of else None

    @property
    def decided_rate(self) -> float | None:
        """The same of the seeds on which they differ; `None` where they never do."""
        of = self.gained + self.lost
        return self.gained / of if of else None


Scores = Mapping[str, Mapping[str, float]]
"""Agent -> seed -> share of its answers there that pass."""


def scores_of(answers: Iterable[Answer]) -> Scores:
    """What programs could tell of."""
    every: dict[str, dict[str, list[float]]] = {}
    for one in answers:
        if one.passed is not None:
            every.setdefault(one.agent, {}).setdefault(one.seed, []).append(float(one.passed))
    return {
        agent: {seed: mean(found) for seed, found in sorted(own.items())}
        for agent, own in every.items()
    }


def parts_of(answers: Iterable[Answer], taught: Taught) -> list[Part]:
    """All held-out seeds; those of seen and of unseen templates, of each kind of task; those taught."""
    seeds = {one.seed: one for one in answers}
    sets = {seed: taught.set_of(one) for seed, one in seeds.items()}
    held = {seed: one for seed, one in seeds.items() if sets[seed] != "taught"}
    own = {seed: seed for seed in seeds}
    named: dict[str, list[str]] = {HELD_OUT: list(held)}
    for name in ("seen", "unseen", "taught"):
        named[f"{name} templates" if name != "taught" else name] = [
            seed for seed in seeds if sets[seed] == name
        ]
    for seed, one in sorted(held.items()):
        kind = tag_of(one.tags, KIND)
        if kind is not None:
            named.setdefault(KIND + kind, []).append(seed)
    templates = {seed: tag_of(one.tags, TEMPLATE) or seed for seed, one in seeds.items()}
    order = sorted(named, key=lambda name: (name.startswith(KIND), name if KIND in name else ""))
    return [
        Part(
            name=name,
            seeds=frozenset(named[name]),
            group=templates if name == "unseen templates" else own,
        )
        for name in order
        if named[name]
    ]


def rate(part: Part, agent: str, scores: Mapping[str, float]) -> Rate:
    """The agent's pass rate on the part."""
    seeds = [seed for seed in scores if seed in part.seeds]
    sample = _sample(part, seeds)
    share = sample.share([scores[seed] for seed in seeds], [1.0] * len(seeds))
    return Rate(part=part.name, agent=agent, share=share)


def difference(part: Part, before: str, after: str, scores: Scores) -> Difference:
    """How the two differ on the part."""
    old, new = scores.get(before, {}), scores.get(after, {})
    seeds = [seed for seed in old if seed in new and seed in part.seeds]
    gaps = [new[seed] - old[seed] for seed in seeds]
    return Difference(
        part=part.name,
        before=before,
        after=after,
        points=mean_of(gaps, [part.group[seed] for seed in seeds], bound=1.0),
        gained=sum(gap > 0 for gap in gaps),
        lost=sum(gap < 0 for gap in gaps),
        same=sum(gap == 0 for gap in gaps),
    )


def _sample(part: Part, seeds: Sequence[str]) -> Sample:
    groups = [part.group[seed] for seed in seeds]
    return Sample(groups, resamples=RESAMPLES, level=LEVEL)


def mean_of(values: Sequence[float], groups: Sequence[str], bound: float = math.inf) -> Figure:
    """The mean of paired differences, each within `bound` of 0.

    Differences that are all alike have no spread to draw from: then as many may be of the other kind as
    Wilson's interval leaves for what never happened.
    """
    sample = Sample(groups, resamples=RESAMPLES, level=LEVEL)
    every = np.array(values, dtype=float)
    outer = None
    if values and len(set(values)) == 1 and bound < math.inf:
        unseen = wilson(0.0, len(values), quantile(LEVEL))[1]
        outer = (max(-bound, values[0] - unseen), min(bound, values[0] + unseen))

    def weighted(weights: Floats) -> Floats:
        found: Floats = weights @ every / weights.sum(axis=1)
        return found

    return sample.figure(weighted, len(values), outer)
