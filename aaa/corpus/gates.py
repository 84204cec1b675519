"""Quality gates: what is wrong with a pair, each by one name, which is the reason code of what it drops.

A gate is a test of one record against one threshold. After METHOD's filters: length (HH's chosen answers
are longer, and DPO learns that), chosen and rejected alike, refusals and identity leaks, answers that were
cut off, another language than the question's, licences, personal data. Left out: what takes more than one
record to know, near-duplicate rows (`near.py`), contamination and paraphrases (`contamination.py`), which are
gates of the same list; and judging whether an answer is good, which is what ballots are for.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from aaa.corpus import wording
from aaa.errors import InputError
from aaa.near_duplicates import jaccard, shingles
from aaa.records import Record


class Known(NamedTuple):
    """What a gate may know beside the record."""

    licences: Mapping[tuple[str, str], str | None] = {}
    """(round, agent) -> licence of what that agent says, as its card had it."""


Test = Callable[[Record, str, Known], bool]
"""Whether the record fails at that threshold."""


class Kind(NamedTuple):
    """A gate as there is one."""

    drops: str
    """What it drops, for people."""
    default: str | None
    """Its threshold where none is given; `None`: it needs one. Empty: it takes none."""
    test: Test | None
    """`None`: it needs more than one record."""


class Gate(NamedTuple):
    """A gate that was asked for."""

    name: str
    threshold: str

    @classmethod
    def parse(cls, text: "str | Gate") -> "Iterator[Gate]":
        """`NAME`, `NAME=THRESHOLD`, or `standard` for all that need nothing more.

        Raises `ValueError` with the valid choices.
        """
        if isinstance(text, Gate):
            yield text
            return
        if text == STANDARD:
            yield from (cls(name, GATES[name].default or "") for name in OF_STANDARD)
            return
        name, equals, threshold = text.partition("=")
        if name not in GATES:
            raise ValueError(f"no gate {name!r}; there are: {', '.join([*GATES, STANDARD])}")
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


def _texts(record: Record) -> tuple[str, str]:
    return record["chosen"]["text"], record["rejected"]["text"]


def _empty(record: Record, _: str, __: Known) -> bool:
    return not all(text.strip() for text in _texts(record))


def _identical(record: Record, _: str, __: Known) -> bool:
    chosen, rejected = _texts(record)
    return chosen.split() == rejected.split()


def _similar(record: Record, threshold: str, _: Known) -> bool:
    chosen, rejected = map(shingles, _texts(record))
    return jaccard(chosen, rejected) >= float(threshold)


def _length_ratio(record: Record, threshold: str, _: Known) -> bool:
    short, long = sorted(map(len, _texts(record)))
    return long > float(threshold) * short


def _too_long(record: Record, threshold: str, _: Known) -> bool:
    context = sum(len(message["content"]) for message in record["context"])
    return context + max(map(len, _texts(record))) > float(threshold)


def _truncated(record: Record, _: str, __: Known) -> bool:
    return "length" in (record["chosen"]["finish_reason"], record["rejected"]["finish_reason"])


def _refusal(record: Record, _: str, __: Known) -> bool:
    return wording.refuses(record["chosen"]["text"])


def _identity(record: Record, _: str, __: Known) -> bool:
    return wording.says_who_it_is(record["chosen"]["text"])


def _language(record: Record, _: str, __: Known) -> bool:
    asked = "\n".join(m["content"] for m in record["context"] if m["role"] == "user")
    return wording.differs(asked, record["chosen"]["text"])


def _licence(record: Record, threshold: str, known: Known) -> bool:
    allowed = threshold.casefold().split("|")
    found = (
        known.licences.get((record["round"], record[s]["agent"])) for s in ("chosen", "rejected")
    )
    return any(licence is None or licence.casefold() not in allowed for licence in found)


def _pii(record: Record, _: str, __: Known) -> bool:
    context = (message["content"] for message in record["context"])
    return any(wording.personal(text) for text in (*_texts(record), *context))


GATES: Mapping[str, Kind] = {
    "empty": Kind("an answer says nothing", "", _empty),
    "identical": Kind("both answers have the same words in the same order", "", _identical),
    "similar": Kind(
        "the answers share this part of their overlapping pieces of five characters",
        "0.9",
        _similar,
    ),
    "length_ratio": Kind("one answer is this many times as long as the other", "3", _length_ratio),
    "too_long": Kind("context and longer answer have more characters than this", None, _too_long),
    "truncated": Kind("an answer hit its longest length", "", _truncated),
    "refusal": Kind("the chosen answer declines", "", _refusal),
    "identity": Kind("the chosen answer says which model it is, or that it is one", "", _identity),
    "language": Kind("the chosen answer is in another language than the question", "", _language),
    "licence": Kind(
        "an answer's model has none of these licences (`apache-2.0|mit`), or an unknown one",
        None,
        _licence,
    ),
    "pii": Kind("an e-mail address, phone, card, account or network number stands in it", "", _pii),
    "near_duplicate": Kind("an earlier row shares this part of its pieces", "0.8", None),
    "contamination": Kind(
        "so many words in a row stand in an evaluation file (`--eval`), too", "13", None
    ),
    "paraphrase": Kind(
        "a question is this near to a text of an evaluation file, by embeddings (extra `embed`)",
        "0.75",
        None,
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


def check_where(gates: tuple[Gate, ...], evaluations: bool) -> None:
    """Raises `InputError` where contamination is asked for without anything to hold rows against."""
    for gate in gates:
        if not evaluations and gate.name in OF_EVALUATIONS:
            raise InputError(
                f"gate {gate.name!r} needs evaluation files, which only `aaa export --eval FILE` has"
            )
