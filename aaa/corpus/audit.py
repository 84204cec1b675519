"""What is told of a set: that its numbers add up, and in which ways it leans.

Counts are over the pairs that are kept, but for conservation, which is over every verdict of the rounds:
generated = kept + dropped by reason. Rates of ties, flips and errors are of the rounds' verdicts. Left out:
whether an answer is right, which nobody here knows.
"""

from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from typing import Any, NamedTuple

from aaa.corpus.sieve import Sifted
from aaa.corpus.style_slope import Sample
from aaa.quality import OUTCOMES
from aaa.records import Record, by_checker, marked_alone

_SIDES = ("chosen", "rejected")
_FOUND = {*_SIDES, "tie"}


class Vote(NamedTuple):
    """A ballot, as far as it is counted."""

    judge: str
    found: str
    """`chosen`, `rejected`, `tie`, of answers that were shown alone by the judge's scores of both; `error`
    where nothing was readable, `none` where no side was preferred."""
    first: str
    """The answer that was shown first, of two; empty where one was shown alone."""


class Kind(NamedTuple):
    """What is counted of a pair beside its length, its margin and its tags: few pairs are of many kinds."""

    round: str
    protocol: str
    stage: str
    edge: str
    judging: str
    chosen: str
    rejected: str
    chosen_model: str
    rejected_model: str
    votes: tuple[Vote, ...]
    longer: bool
    """Whether the chosen answer is."""
    shorter: bool
    chosen_bits: int
    """Binary digits of its length in characters."""
    rejected_bits: int
    margin: float | None
    """Rounded down to halves."""


VOTES = Kind._fields.index("votes")


class Audit:
    """Takes what came through a sieve; `report` is what `audit.json` says of it."""

    def __init__(self, families: Mapping[tuple[str, str], str] | None = None) -> None:
        """`families`: (round, agent) -> family, for preference of relatives."""
        self._families = families or {}
        self.dropped: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        """Rows of kept pairs that the format does not write: `repeated`, `contradicted`."""
        self.kept = 0
        self._counts: dict[tuple[Any, ...], int] = {}
        self._tags: dict[str, int] = {}
        self._chosen_length = self._rejected_length = 0
        self._style = Sample()
        self._seeds = 0
        self._seed = ""

    def take(self, sifted: Sifted) -> None:
        """Count a record, whatever became of it."""
        record, dropped = sifted
        if dropped is not None:
            self.dropped[dropped] += 1
            return
        self.kept += 1
        seed, judging = record["seed"], record["judging"]
        chosen, rejected = record["chosen"]["text"], record["rejected"]["text"]
        one, other, margin = len(chosen), len(rejected), judging["margin"]
        kind = (*_kind(record), one > other, one < other, one.bit_length(), other.bit_length(),
                None if margin is None else margin * 2 // 1 / 2)  # fmt: skip
        counts = self._counts
        counts[kind] = counts.get(kind, 0) + 1
        self._chosen_length += one
        self._rejected_length += other
        self._style.add(record["id"], chosen, rejected)
        if seed["id"] != self._seed:
            self._seed = seed["id"]
            self._seeds += 1
        for tag in seed["tags"]:
            self._tags[tag] = self._tags.get(tag, 0) + 1

    @property
    def _kinds(self) -> dict[Kind, int]:
        """Kind -> pairs of it."""
        found = {}
        for kind, pairs in self._counts.items():
            votes = tuple(Vote(*vote) for vote in kind[VOTES])
            found[Kind._make((*kind[:VOTES], votes, *kind[VOTES + 1 :]))] = pairs
        return found

    def metrics(self, verdicts: Mapping[str, int], spent_usd: float) -> dict[str, float]:
        """Name -> figure: what `--fail-if` can name. Shares are in [0, 1]; an unknown figure is missing."""
        generated, votes = sum(verdicts.values()), votes_of(self._kinds)
        dropped = self._all_dropped(verdicts)
        relatives = self._relatives()
        found: dict[str, float | None] = {
            "generated": generated,
            "kept": self.kept,
            "kept_share": _share(self.kept, generated),
            "chosen_longer": _share(self._by("longer").get(True, 0), self.kept),
            "chosen_length": _share(self._chosen_length, self.kept),
            "rejected_length": _share(self._rejected_length, self.kept),
            "seeds": self._seeds,
            **{f"{name}_rate": _share(verdicts.get(name, 0), generated) for name in OUTCOMES},
            **{f"dropped.{name}": _share(n, generated) for name, n in dropped.items()},
            "agreement": _share(votes["agreed"], votes["met"]),
            "unanimous": _share(votes["unanimous"], self.kept),
            "first_preferred": _share(votes["first"], votes["decided"]),
            "relatives_preferred": _share(relatives["preferred"], relatives["ballots"]),
            "own_preferred": _share(relatives["own_preferred"], relatives["own_ballots"]),
            "cost_per_pair_usd": _share(spent_usd, self.kept),
            **{f"{name}_slope": slope for name, slope in self._style.slopes().items()},
        }
        return {name: figure for name, figure in found.items() if figure is not None}

    def _all_dropped(self, verdicts: Mapping[str, int]) -> dict[str, int]:
        """Reason -> verdicts that are no row for it: outcomes that make no pair, and what the sieve says."""
        lost = Counter({name: verdicts.get(name, 0) for name in OUTCOMES})
        return dict(sorted((self.dropped + lost).items()))

    def _relatives(self) -> Counter[str]:
        """Ballots of judges that are related to exactly one contestant, and how many preferred it."""
        found: Counter[str] = Counter()
        for kind, pairs in self._kinds.items() if self._families else ():
            for vote in kind.votes:
                related = self._related(kind, vote.judge)
                if related is not None and vote.found in _FOUND:
                    preferred = pairs * (vote.found == related)
                    found.update(ballots=pairs, preferred=preferred)
                    if getattr(kind, related) == vote.judge:
                        found.update(own_ballots=pairs, own_preferred=preferred)
        return found

    def _related(self, kind: Kind, judge: str) -> str | None:
        """The one side that is of the judge's family; `None`: neither, or both."""
        of = self._families
        family = of.get((kind.round, judge))
        sides = [s for s in _SIDES if of.get((kind.round, getattr(kind, s)), judge) == family]
        return sides[0] if len(sides) == 1 else None

    def report(self, verdicts: Mapping[str, int], spent_usd: float) -> dict[str, Any]:
        """`audit.json`, without what only the exporter knows. `verdicts`: outcome -> how many, of the
        rounds.
        """
        dropped = self._all_dropped(verdicts)
        generated = sum(verdicts.values())
        return {
            "rows": {
                "generated": generated,
                "kept": self.kept,
                "dropped": dropped,
                "adds_up": generated == self.kept + sum(dropped.values()),
                **({"left_out": dict(sorted(self.left_out.items()))} if self.left_out else {}),
            },
            "metrics": _rounded(self.metrics(verdicts, spent_usd)),
            "length": {
                "chosen": self._longer(),
                "log2_characters_of_chosen": _sorted(self._by("chosen_bits")),
                "log2_characters_of_rejected": _sorted(self._by("rejected_bits")),
                "style_slopes": self._style.slopes(),
                "style_sample": self._style.size,
            },
            "margins": self._margins_by_play(),
            "judges": judges_of(self._kinds),
            "relatives": dict(sorted(self._relatives().items())),
            "agents": self._agents(),
            "models": self._by("chosen_model", "rejected_model"),
            "tags": dict(sorted(self._tags.items())),
            "edges": self._by("edge"),
            "protocols": self._by("protocol"),
            "stages": self._by("stage"),
            "judging": self._by("judging"),
            "sources": self._by("round"),
        }

    def _by(self, *fields: str) -> dict[Any, int]:
        found: Counter[Any] = Counter()
        for kind, pairs in self._kinds.items():
            for field in fields:
                found[getattr(kind, field)] += pairs
        return dict(sorted(found.items()))

    def _longer(self) -> dict[str, int]:
        longer, shorter = self._by("longer").get(True, 0), self._by("shorter").get(True, 0)
        found = {"equal": self.kept - longer - shorter, "longer": longer, "shorter": shorter}
        return {name: pairs for name, pairs in found.items() if pairs}

    def _agents(self) -> dict[str, dict[str, int]]:
        """Agent -> on which side how many of its answers are."""
        sides = {side: self._by(side) for side in _SIDES}
        names = sorted({name for found in sides.values() for name in found})
        return {name: {side: sides[side].get(name, 0) for side in _SIDES} for name in names}

    def _margins_by_play(self) -> dict[str, dict[str, int]]:
        found: dict[str, Counter[float]] = {}
        for kind, pairs in self._kinds.items():
            if kind.margin is not None:
                found.setdefault(kind.judging, Counter())[kind.margin] += pairs
        return {play: _sorted(margins) for play, margins in sorted(found.items())}


def _kind(record: Record) -> tuple[Any, ...]:
    """A `Kind` up to its votes, as a plain tuple: it is made of every record, and read of few."""
    chosen, rejected, judging = record["chosen"], record["rejected"], record["judging"]
    alone = marked_alone(judging["ballots"])
    votes = [
        (
            ballot["judge"],
            ballot["prefers"]
            or alone.get(ballot["judge"])
            or ("error" if ballot["error"] else "none"),
            ballot["shown"][0] if len(ballot["shown"]) == 2 else "",
        )
        for ballot in judging["ballots"]
    ]
    return (
        record["round"], record["protocol"], record["stage"] or "none", record["edge"],
        judging["play"], chosen["agent"], rejected["agent"], chosen["model"] or "unknown",
        rejected["model"] or "unknown", tuple(votes),
    )  # fmt: skip


def votes_of(kinds: Mapping[Kind, int]) -> Counter[str]:
    """How judges voted, over all of them.

    `decided` ballots that prefer one of two, `first` of them the one shown first; `unanimous` pairs, on which
    every judge's every ballot prefers the chosen answer; `met` pairs of judges that each found one side or a
    tie, `agreed` of them the same.
    """
    found: Counter[str] = Counter()
    for kind, pairs in kinds.items():
        said: dict[str, set[str]] = {}
        for vote in kind.votes:
            if vote.first and vote.found in _SIDES:
                found.update(decided=pairs, first=pairs * (vote.first == vote.found))
            if not by_checker(vote.judge):
                said.setdefault(vote.judge, set()).add(vote.found)
        sides = [min(one) for one in said.values() if len(one) == 1 and one <= _FOUND]
        met = list(combinations(sides, 2))
        found.update(
            met=pairs * len(met),
            agreed=pairs * sum(one == other for one, other in met),
            unanimous=pairs * (bool(said) and all(one == {"chosen"} for one in said.values())),
        )
    return found


def judges_of(kinds: Mapping[Kind, int]) -> dict[str, dict[str, int]]:
    """Judge -> its ballots by what they found."""
    found: dict[str, Counter[str]] = {}
    for kind, pairs in kinds.items():
        for vote in kind.votes:
            found.setdefault(vote.judge, Counter())[vote.found] += pairs
    return {name: dict(sorted(counts.items())) for name, counts in sorted(found.items())}


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _rounded(found: Mapping[str, float]) -> dict[str, float]:
    return {name: round(figure, 6) for name, figure in sorted(found.items())}


def _sorted(found: Mapping[Any, int]) -> dict[str, int]:
    return {f"{key:g}": found[key] for key in sorted(found)}
