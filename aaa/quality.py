"""What data must be like, as people ask for it: gates that a pair passes, conditions that a set meets.

The words alone, for the command line, REST and scenarios: which gates there are, what their thresholds may
be. Left out: what a gate looks at (`aaa.corpus.gates`), and the figures that conditions are about
(`aaa.corpus.audit`).
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from aaa.errors import InputError
from aaa.style import FEATURES


class Kind(NamedTuple):
    """A gate as there is one."""

    drops: str
    """What it drops, for people."""
    default: str | None
    """Its threshold where none is given; `None`: it needs one. Empty: it takes none."""


GATES: Mapping[str, Kind] = {
    "empty": Kind("an answer says nothing", ""),
    "identical": Kind("both answers have the same words in the same order", ""),
    "similar": Kind(
        "the answers share this part of their overlapping pieces of five characters", "0.9"
    ),
    "length_ratio": Kind("one answer is this many times as long as the other", "3"),
    "too_long": Kind("context and longer answer have more characters than this", None),
    "truncated": Kind("an answer hit its longest length", ""),
    "refusal": Kind("the chosen answer declines", ""),
    "identity": Kind("the chosen answer says which model it is, or that it is one", ""),
    "language": Kind("the chosen answer is in another language than the question", ""),
    "licence": Kind(
        "an answer's model has none of these licences (`apache-2.0|mit`), or an unknown one", None
    ),
    "pii": Kind("an e-mail address, phone, card, account or network number stands in it", ""),
    "near_duplicate": Kind("an earlier row shares this part of its pieces", "0.8"),
    "contamination": Kind(
        "so many words in a row stand in an evaluation file (`--eval`), too", "13"
    ),
    "paraphrase": Kind(
        "a question is this near to a text of an evaluation file, by embeddings (extra `embed`)",
        "0.75",
    ),
}
"""Name -> the gate, in the order in which they are asked: the cheap before the dear."""
NUMBERS: Mapping[str, tuple[float, float]] = {
    "similar": (0.1, 1),
    "length_ratio": (1, 1000),
    "too_long": (1, 1e9),
    "near_duplicate": (0.1, 1),
    "contamination": (3, 50),
    "paraphrase": (0.1, 1),
}
OF_EVALUATIONS = ("contamination", "paraphrase")
STANDARD = "standard"
OF_STANDARD = (
    *("empty", "identical", "similar", "length_ratio"),
    *("truncated", "refusal", "identity", "language"),
)
NONE = "none"
"""No gate at all, also where the scenario has some."""


class Gate(NamedTuple):
    """A gate that was asked for."""

    name: str
    threshold: str

    @classmethod
    def parse(cls, text: "str | Gate") -> "Iterator[Gate]":
        """`NAME`, `NAME=THRESHOLD`, `standard` for `OF_STANDARD`, `none` for no gate.

        Raises `ValueError` with the valid choices.
        """
        if isinstance(text, Gate):
            yield text
            return
        if text == NONE:
            return
        if text == STANDARD:
            yield from (cls(name, GATES[name].default or "") for name in OF_STANDARD)
            return
        name, equals, threshold = text.partition("=")
        if name not in GATES:
            raise ValueError(f"no gate {name!r}; there are: {', '.join([*GATES, STANDARD, NONE])}")
        kind = GATES[name]
        if not equals and kind.default is None:
            raise ValueError(f"gate {name!r} needs a threshold: {name}=…")
        if equals and kind.default == "":
            raise ValueError(f"gate {name!r} takes no threshold")
        found = cls(name, threshold if equals else str(kind.default))
        found.check()
        yield found

    def check(self) -> None:
        """Raises `ValueError` where a threshold that is to be a number is none."""
        if self.name in NUMBERS:
            low, high = NUMBERS[self.name]
            try:
                number = float(self.threshold)
            except ValueError:
                number = float("nan")
            if not low <= number <= high:
                raise ValueError(
                    f"gate {self.name!r}: threshold must be a number from {low:g} to {high:g}, "
                    f"got {self.threshold!r}"
                )


def check_where(gates: tuple[Gate, ...], evaluations: bool) -> None:
    """Raises `InputError` where contamination is asked for without anything to hold rows against."""
    for gate in gates:
        if not evaluations and gate.name in OF_EVALUATIONS:
            raise InputError(
                f"gate {gate.name!r} needs evaluation files, which only `aaa export --eval FILE` has"
            )


FIGURES = (
    *(
        "generated",
        "kept",
        "kept_share",
        "seeds",
        "chosen_longer",
        "chosen_length",
        "rejected_length",
    ),
    *("tie_rate", "flip_rate", "error_rate", "abstain_rate", "agreement", "unanimous"),
    *("first_preferred", "relatives_preferred", "own_preferred", "cost_per_pair_usd"),
    *(f"{name}_slope" for name in FEATURES),
)
"""What an audit has figures of (`metrics`), beside `dropped.REASON`; which of them depends on the set."""
DROPPED = "dropped."
OUTCOMES = ("tie", "flip", "error", "abstain")
"""Of verdicts that make no pair."""
REASONS = (
    *OUTCOMES,
    *("double", "since"),
    *("stage", "protocol", "edge", "seat", "agent", "student", "tag", "judging", "judge"),
    *("min_margin", "max_margin", "min_score", "split"),
    *GATES,
    *("max_per_seed", "balance", "n"),
)
"""Why a verdict is no row of a set, in the order in which it is asked: outcome, selectors, gates, quotas."""
_CONDITION = re.compile(r"\s*([a-z_.]+)\s*(>=|<=|>|<)\s*(\S+)\s*")
_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


class Condition(NamedTuple):
    """When an export fails: `chosen_longer>0.65`."""

    name: str
    sign: str
    limit: float

    @classmethod
    def parse(cls, text: str) -> "Condition":
        """`NAME>NUMBER`, or with `>=`, `<`, `<=`. Raises `InputError` with the valid choices."""
        found = _CONDITION.fullmatch(text)
        try:
            made = found and cls(found[1], found[2], float(found[3]))
        except ValueError:
            made = None
        if not made:
            raise InputError(
                f"fail-if {text!r}: write NAME>NUMBER, as chosen_longer>0.65; >=, < and <= too"
            )
        reason = made.name.removeprefix(DROPPED)
        if reason == made.name and reason not in FIGURES:
            raise InputError(
                f"fail-if {text!r}: no figure {made.name!r}; there are: {', '.join(FIGURES)}, "
                f"{DROPPED}REASON"
            )
        if reason != made.name and reason not in REASONS:
            raise InputError(
                f"fail-if {text!r}: nothing is dropped for {reason!r}; there are: {', '.join(REASONS)}"
            )
        return made

    def holds(self, figure: float) -> bool:
        return _OPERATORS[self.sign](figure, self.limit)

    def __str__(self) -> str:
        return f"{self.name}{self.sign}{self.limit:g}"
