"""Did it just get longer? How long answers are, and how two agents' differ on the same seeds."""

from collections.abc import Iterable, Sequence
from statistics import mean, median

from aaa.report.answers import Answer
from aaa.report.scores import mean_of
from aaa.resampling import Figure
from aaa.types import Value


class Length(Value):
    """How long an agent's answers are."""

    agent: str
    answers: int
    mean_words: float
    median_words: float
    mean_tokens: float | None
    """`None`: of some answers nobody knows."""
    cut_share: float
    """Share of answers that ended because they had become too long."""


class Drift(Value):
    """How much longer one agent's answers are than another's, on the seeds that both answered."""

    before: str
    after: str
    words: Figure
    """Mean difference in words, `after` less `before`."""
    longer: int
    """Seeds on which `after` says more."""
    shorter: int
    ratio: float | None
    """Mean words after / before; `None` where nothing was said before."""
    ratio_gained: float | None
    """The same on seeds that `after` passes and `before` does not; `None` without any."""


def length(agent: str, answers: Sequence[Answer]) -> Length:
    """Of one agent's answers, of which there is at least one."""
    tokens = [one.tokens for one in answers if one.tokens is not None]
    words = [one.words for one in answers]
    return Length(
        agent=agent,
        answers=len(answers),
        mean_words=mean(words),
        median_words=float(median(words)),
        mean_tokens=mean(tokens) if len(tokens) == len(answers) else None,
        cut_share=mean(one.cut for one in answers),
    )


def drift(before: str, after: str, answers: Iterable[Answer], gained: Iterable[str]) -> Drift:
    """How the two differ; `gained`: seeds that only `after` passes."""
    words: dict[str, dict[str, list[int]]] = {before: {}, after: {}}
    for one in answers:
        if one.agent in words:
            words[one.agent].setdefault(one.seed, []).append(one.words)
    both = sorted(words[before].keys() & words[after].keys())
    old = {seed: mean(words[before][seed]) for seed in both}
    new = {seed: mean(words[after][seed]) for seed in both}
    won = [seed for seed in both if seed in set(gained)]
    return Drift(
        before=before,
        after=after,
        words=mean_of([new[seed] - old[seed] for seed in both], both),
        longer=sum(new[seed] > old[seed] for seed in both),
        shorter=sum(new[seed] < old[seed] for seed in both),
        ratio=_ratio([new[seed] for seed in both], [old[seed] for seed in both]),
        ratio_gained=_ratio([new[seed] for seed in won], [old[seed] for seed in won]),
    )


def _ratio(after: Sequence[float], before: Sequence[float]) -> float | None:
    return sum(after) / sum(before) if sum(before) else None
