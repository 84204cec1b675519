"""Quality gates: what is wrong with a pair, each by one name, which is the reason code of what it drops.

A gate is a test of one record against one threshold. After METHOD's filters: length (HH's chosen answers
are longer, and DPO learns that), chosen and rejected alike, refusals and identity leaks, answers that were
cut off, another language than the question's, licences, personal data. Left out: what takes more than one
record to know, near-duplicate rows (`near.py`), contamination and paraphrases (`contamination.py`), which are
gates of the same list (`aaa.quality`); and judging whether an answer is good, which is what ballots are for.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from aaa.corpus import wording
from aaa.near_duplicates import jaccard, shingles
from aaa.records import Record


class Known(NamedTuple):
    """What a gate may know beside the record."""

    licences: Mapping[tuple[str, str], str | None] = {}
    """(round, agent) -> licence of what that agent says, as its card had it."""


Test = Callable[[Record, str, Known], bool]
"""Whether the record fails at that threshold."""


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


TESTS: Mapping[str, Test] = {
    "empty": _empty,
    "identical": _identical,
    "similar": _similar,
    "length_ratio": _length_ratio,
    "too_long": _too_long,
    "truncated": _truncated,
    "refusal": _refusal,
    "identity": _identity,
    "language": _language,
    "licence": _licence,
    "pii": _pii,
}
"""Gates (`aaa.quality.GATES`) that one record is enough for."""
