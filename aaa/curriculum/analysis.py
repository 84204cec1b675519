"""How a set of seeds is distributed: by attribute, script, length, difficulty, and how much says the same.

WizardLM-2 begins with such an analysis; its figure names topic, language, skill, source, difficulty,
length and more. What a seed is about stands in its tags (`topic:…`, `skill:…`, `difficulty:…`), which a round
of `annotate` finds; script and language are read from its letters and small words; how hard it proved comes
from recorded rounds. Left out: toxicity and perplexity, which need models of their own.
"""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

from aaa.curriculum.attributes import attributes
from aaa.curriculum.clusters import Cluster
from aaa.near_duplicates import near_duplicates
from aaa.prompts import shown
from aaa.protocols._evolving import language
from aaa.types import Seed, Value, Verdict

LENGTHS = (0, 25, 50, 75, 100)
"""Percentiles told of lengths."""


class Share(Value):
    """One value of an attribute."""

    value: str
    seeds: int
    share: float
    """Of all seeds. A seed may have several values, so shares may add up to more than 1."""


class Attribute(Value):
    """How an attribute is distributed."""

    name: str
    values: tuple[Share, ...]
    """The most frequent first."""
    without: int
    """Seeds that do not say."""


class Analysis(Value):
    """A set of seeds, described."""

    seeds: int
    attributes: tuple[Attribute, ...]
    lengths: dict[str, int]
    """Percentile -> characters of the prompt: `0` is the shortest, `50` the median."""
    turns: dict[str, int]
    """Messages in the prompt -> seeds."""
    verifiable: int
    """Seeds with a checker or a reference."""
    evolved: int
    """Seeds that were made from others."""
    difficulty: dict[str, int] | None
    """`easy`, `middle`, `hard`, `unknown` -> seeds, by checkers; `None`: no round was looked at."""
    disagreement: dict[str, int] | None
    """`low`, `middle`, `high`, `unknown` -> seeds: how often answers were told apart; `None` likewise."""
    duplicates: tuple[tuple[str, ...], ...]
    """Groups of ids whose prompts are nearly the same."""
    clusters: tuple[Cluster, ...] | None = None
    """Seeds that are about the same, the largest group first; `None`: nobody looked."""


class Signals(Value):
    """What recorded verdicts say of a seed, each from 0 to 1; `None` where they do not."""

    difficulty: float | None
    """1 less the mean score of its answers by its checker."""
    disagreement: float | None
    """Share of comparisons with a winner: where models are told apart there is something to learn."""


BANDS = {"difficulty": ("easy", "middle", "hard"), "disagreement": ("low", "middle", "high")}
"""Signal -> names of its lower, middle and upper third."""


def analyse(seeds: Sequence[Seed], signals: Mapping[str, Signals] | None = None) -> Analysis:
    """Describe the set. `signals`: seed id -> what recorded rounds say of it."""
    texts = {seed.id: shown(seed.prompt) for seed in seeds}
    lengths = sorted(map(len, texts.values()))
    return Analysis(
        seeds=len(seeds),
        attributes=(*_attributes(seeds), _scripts(texts), _languages(texts)),
        lengths={str(p): lengths[round(p / 100 * (len(lengths) - 1))] for p in LENGTHS},
        turns={str(n): c for n, c in sorted(Counter(len(s.prompt) for s in seeds).items())},
        verifiable=sum(seed.checker is not None or seed.reference is not None for seed in seeds),
        evolved=sum(seed.parent is not None for seed in seeds),
        difficulty=None if signals is None else _bands("difficulty", seeds, signals),
        disagreement=None if signals is None else _bands("disagreement", seeds, signals),
        duplicates=tuple(near_duplicates(texts)),
    )


def signals(verdicts: Sequence[Verdict]) -> Signals:
    """What these verdicts, all of one session, say of its seed."""
    judged = [v for v in verdicts if v.outcome in ("win", "tie", "flip")]
    ballots = (ballot for verdict in judged for ballot in verdict.ballots)
    scores = {b.turn: s for b in ballots if b.by_checker for s in (b.scores or {}).values()}
    apart = sum(v.outcome == "win" for v in judged)
    return Signals(
        difficulty=1 - sum(scores.values()) / len(scores) if scores else None,
        disagreement=apart / len(judged) if judged else None,
    )


def _attributes(seeds: Sequence[Seed]) -> list[Attribute]:
    values: dict[str, Counter[str]] = {}
    said: Counter[str] = Counter()
    for seed in seeds:
        for name, own in attributes(seed).items():
            values.setdefault(name, Counter()).update(own)
            said[name] += 1
    return [
        _attribute(name, counts, len(seeds), said[name]) for name, counts in sorted(values.items())
    ]


def _attribute(name: str, counts: Counter[str], seeds: int, said: int) -> Attribute:
    ordered = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    shares = tuple(Share(value=v, seeds=n, share=n / seeds) for v, n in ordered)
    return Attribute(name=name, values=shares, without=seeds - said)


def _scripts(texts: Mapping[str, str]) -> Attribute:
    found = [script(text) for text in texts.values()]
    counts = Counter(one for one in found if one)
    return _attribute("script", counts, len(texts), counts.total())


def _languages(texts: Mapping[str, str]) -> Attribute:
    counts = Counter(found for text in texts.values() if (found := language(text)) is not None)
    return _attribute("language", counts, len(texts), counts.total())


def script(text: str) -> str:
    """The script that most of a text's letters belong to, `latin` say; empty where it has none."""
    names = (unicodedata.name(c, "").split(" ")[0] for c in text[:4000] if c.isalpha())
    counts = Counter(name.casefold() for name in names if name)
    return counts.most_common(1)[0][0] if counts else ""


def _bands(signal: str, seeds: Sequence[Seed], known: Mapping[str, Signals]) -> dict[str, int]:
    bands = dict.fromkeys((*BANDS[signal], "unknown"), 0)
    for seed in seeds:
        value = getattr(known[seed.id], signal) if seed.id in known else None
        bands["unknown" if value is None else BANDS[signal][min(2, int(value * 3))]] += 1
    return bands
