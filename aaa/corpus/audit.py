"""What is told of a set: that its numbers add up, and in which ways it leans.

Counts are over the pairs that are kept, but for conservation, which is over every verdict of the rounds:
generated = kept + dropped by reason. Rates of ties, flips and errors are of the rounds' verdicts. Left out:
whether an answer is right, which nobody here knows.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from aaa.corpus.sieve import Sifted
from aaa.corpus.style_slope import Sample
from aaa.records import Record, by_checker

OUTCOMES = ("tie", "flip", "error", "abstain")
"""Of verdicts that make no pair."""


class Audit:
    """Takes what came through a sieve; `report` is what `audit.json` says of it."""

    def __init__(self, families: Mapping[tuple[str, str], str] | None = None) -> None:
        """`families`: (round, agent) -> family, for preference of relatives."""
        self._families = families or {}
        self.dropped: Counter[str] = Counter()
        self.kept = 0
        self._longer: Counter[str] = Counter()
        self._lengths = {"chosen": 0, "rejected": 0}
        self._of: dict[str, Counter[str]] = {
            name: Counter()
            for name in ("tags", "edges", "protocols", "stages", "judging", "models", "sources")
        }
        self._players: dict[str, Counter[str]] = {}
        self._margins: dict[str, Counter[float]] = {}
        self._sizes: Counter[int] = Counter()
        self._ratios: Counter[float] = Counter()
        self._ballots = Ballots()
        self._relatives: Counter[str] = Counter()
        self._style = Sample()
        self._seeds = 0
        self._seed = ""

    def take(self, sifted: Sifted) -> None:
        """Count a record, whatever became of it."""
        if sifted.dropped is not None:
            self.dropped[sifted.dropped] += 1
            return
        record = sifted.record
        self.kept += 1
        self._count_lengths(record)
        self._count_kinds(record)
        self._ballots.take(record)
        if self._families:
            self._count_relatives(record)

    def _count_lengths(self, record: Record) -> None:
        chosen, rejected = record["chosen"]["text"], record["rejected"]["text"]
        one, other = len(chosen), len(rejected)
        self._longer["longer" if one > other else "shorter" if one < other else "equal"] += 1
        self._lengths["chosen"] += one
        self._lengths["rejected"] += other
        self._sizes[one.bit_length()] += 1
        self._ratios[round(math.log2((one + 1) / (other + 1)) * 2) / 2] += 1
        self._style.add(record["id"], chosen, rejected)

    def _count_kinds(self, record: Record) -> None:
        of, judging, seed = self._of, record["judging"], record["seed"]
        of["tags"].update(seed["tags"])
        of["edges"][record["edge"]] += 1
        of["protocols"][record["protocol"]] += 1
        of["stages"][record["stage"] or "none"] += 1
        of["judging"][judging["play"]] += 1
        of["sources"][record["round"]] += 1
        for side in ("chosen", "rejected"):
            of["models"][record[side]["model"] or "unknown"] += 1
            self._players.setdefault(record[side]["agent"], Counter())[side] += 1
        if judging["margin"] is not None:
            half = math.floor(judging["margin"] * 2) / 2
            self._margins.setdefault(judging["play"], Counter())[half] += 1
        if seed["id"] != self._seed:
            self._seed, self._seeds = seed["id"], self._seeds + 1

    def _count_relatives(self, record: Record) -> None:
        """Ballots of judges that are related to exactly one contestant."""
        of = self._families
        family = {side: of.get((record["round"], record[side]["agent"])) for side in _SIDES}
        for ballot in record["judging"]["ballots"]:
            own = of.get((record["round"], ballot["judge"]))
            related = [side for side in _SIDES if own is not None and family[side] == own]
            if len(related) == 1 and ballot["prefers"] is not None:
                self._relatives["ballots"] += 1
                self._relatives["preferred"] += ballot["prefers"] == related[0]
                if record[related[0]]["agent"] == ballot["judge"]:
                    self._relatives["own_ballots"] += 1
                    self._relatives["own_preferred"] += ballot["prefers"] == related[0]

    def metrics(self, verdicts: Mapping[str, int], spent_usd: float) -> dict[str, float]:
        """Name -> figure: what `--fail-if` can name. Shares are in [0, 1]; an unknown figure is missing."""
        generated = sum(verdicts.values())
        found: dict[str, float | None] = {
            "generated": generated,
            "kept": self.kept,
            "kept_share": _share(self.kept, generated),
            "chosen_longer": _share(self._longer["longer"], self.kept),
            "chosen_length": _share(self._lengths["chosen"], self.kept),
            "rejected_length": _share(self._lengths["rejected"], self.kept),
            "seeds": self._seeds,
            **{f"{name}_rate": _share(verdicts.get(name, 0), generated) for name in OUTCOMES},
            **{f"dropped.{name}": _share(n, generated) for name, n in self.dropped.items()},
            **self._ballots.metrics(),
            "relatives_preferred": _share(self._relatives["preferred"], self._relatives["ballots"]),
            "cost_per_pair_usd": _share(spent_usd, self.kept),
            **{f"{name}_slope": slope for name, slope in self._style.slopes().items()},
        }
        return {name: figure for name, figure in found.items() if figure is not None}

    def report(self, verdicts: Mapping[str, int], spent_usd: float) -> dict[str, Any]:
        """`audit.json`, without what only the exporter knows. `verdicts`: outcome -> how many, of the
        rounds.
        """
        lost = {name: verdicts.get(name, 0) for name in OUTCOMES if verdicts.get(name, 0)}
        dropped = dict(sorted((self.dropped + Counter(lost)).items()))
        generated = sum(verdicts.values())
        return {
            "rows": {
                "generated": generated,
                "kept": self.kept,
                "dropped": dropped,
                "adds_up": generated == self.kept + sum(dropped.values()),
            },
            "metrics": _rounded(self.metrics(verdicts, spent_usd)),
            "length": {
                "chosen": dict(sorted(self._longer.items())),
                "log2_characters_of_chosen": _sorted(self._sizes),
                "log2_ratio_chosen_to_rejected": _sorted(self._ratios),
                "style_slopes": self._style.slopes(),
                "style_sample": self._style.size,
            },
            "margins": {play: _sorted(found) for play, found in sorted(self._margins.items())},
            "judges": self._ballots.report(),
            "relatives": dict(sorted(self._relatives.items())),
            "agents": {name: dict(sorted(n.items())) for name, n in sorted(self._players.items())},
            **{name: dict(sorted(found.items())) for name, found in self._of.items()},
        }


_SIDES = ("chosen", "rejected")


class Ballots:
    """How judges voted on the pairs that are kept."""

    def __init__(self) -> None:
        self._judges: dict[str, Counter[str]] = {}
        self._met = self._agreed = self._unanimous = self._pairs = 0

    def take(self, record: Record) -> None:
        said: dict[str, set[str]] = {}
        for ballot in record["judging"]["ballots"]:
            found = ballot["prefers"] or ("error" if ballot["error"] else "none")
            counts = self._judges.setdefault(ballot["judge"], Counter())
            counts[found] += 1
            if found in _SIDES and len(ballot["shown"]) == 2:
                counts["decided"] += 1
                counts["first"] += ballot["shown"][0] == found
            if not by_checker(ballot["judge"]):
                said.setdefault(ballot["judge"], set()).add(found)
        self._pairs += 1
        self._unanimous += all(sides == {"chosen"} for sides in said.values()) and bool(said)
        sides = [min(found) for found in said.values() if len(found) == 1]
        for place, one in enumerate(sides):
            for other in sides[place + 1 :]:
                self._met += 1
                self._agreed += one == other

    def metrics(self) -> dict[str, float | None]:
        decided = sum(found["decided"] for found in self._judges.values())
        first = sum(found["first"] for found in self._judges.values())
        return {
            "agreement": _share(self._agreed, self._met),
            "unanimous": _share(self._unanimous, self._pairs),
            "first_preferred": _share(first, decided),
        }

    def report(self) -> dict[str, dict[str, int]]:
        return {name: dict(sorted(found.items())) for name, found in sorted(self._judges.items())}


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _rounded(found: Mapping[str, float]) -> dict[str, float]:
    return {name: round(figure, 6) for name, figure in sorted(found.items())}


def _sorted(found: Mapping[Any, int]) -> dict[str, int]:
    return {f"{key:g}": found[key] for key in sorted(found)}
