"""Seeds on which two agents differ: what the later one lost, and examples drawn by lot.

Nobody picks an example: which seeds are shown follows from the number that the report was asked with.
"""

import random
from collections.abc import Iterable

from aaa.report.answers import KIND, TEMPLATE, Answer, Taught, tag_of
from aaa.report.scores import Scores
from aaa.types import Value

EXAMPLES = 6
"""Drawn for a report."""


class Said(Value):
    """One answer, for a reader."""

    session: int
    text: str
    passed: bool | None
    why: str


class Change(Value):
    """One seed and what two agents said to it."""

    seed: str
    prompt: str
    kind: str | None
    template: str | None
    set: str | None
    """`taught`, `seen`, `unseen`; `None`: unknown."""
    before: Said
    after: Said


def lost(
    before: str, after: str, answers: Iterable[Answer], scores: Scores, taught: Taught
) -> tuple[Change, ...]:
    """The seeds on which `after` passes less often than `before`, by id."""
    old, new = scores.get(before, {}), scores.get(after, {})
    worse = [seed for seed in sorted(old) if seed in new and new[seed] < old[seed]]
    return tuple(_changes(worse, before, after, answers, taught, worse_only=True))


def examples(
    before: str, after: str, answers: Iterable[Answer], taught: Taught, random_seed: int
) -> tuple[Change, ...]:
    """Some of the held-out seeds that both answered, drawn by lot; in the order of their ids."""
    every = list(answers)
    sets = {one.seed: taught.set_of(one) for one in every}
    both = {one.seed for one in every if one.agent == before} & {
        one.seed for one in every if one.agent == after
    }
    there = sorted(seed for seed in both if sets[seed] != "taught")
    drawn = random.Random(random_seed).sample(there, min(EXAMPLES, len(there)))
    return tuple(_changes(sorted(drawn), before, after, every, taught))


def _changes(
    seeds: Iterable[str],
    before: str,
    after: str,
    answers: Iterable[Answer],
    taught: Taught,
    *,
    worse_only: bool = False,
) -> Iterable[Change]:
    """A change for each seed; with `worse_only` by an answer that passed and one that failed."""
    said: dict[tuple[str, str], list[Answer]] = {}
    for one in answers:
        said.setdefault((one.agent, one.seed), []).append(one)
    for seed in seeds:
        old, new = said[before, seed], said[after, seed]
        first = next((one for one in old if one.passed), old[0]) if worse_only else old[0]
        then = next((one for one in new if not one.passed), new[0]) if worse_only else new[0]
        yield Change(
            seed=seed,
            prompt=first.prompt,
            kind=tag_of(first.tags, KIND),
            template=tag_of(first.tags, TEMPLATE),
            set=taught.set_of(first),
            before=_said(first),
            after=_said(then),
        )


def _said(one: Answer) -> Said:
    return Said(session=one.session, text=one.text, passed=one.passed, why=one.why)
