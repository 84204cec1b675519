"""`all`: every one of several checkers passes. The score is the mean of theirs."""

from collections.abc import Iterable, Iterator
from statistics import fmean
from typing import Any

from pydantic import Field

from aaa import checkers
from aaa.types import Check, Value

MOST = 20


class Options(Value):
    of: tuple[dict[str, Any], ...] = Field(min_length=1, max_length=MOST)
    """Checkers as seeds hold them."""


def check(answer: str, options: Options) -> Check:
    found = [checkers.apply(spec, answer) for spec in options.of]
    return Check(score=fmean(part.score for part in found), why=told(options.of, found))


def told(specs: Iterable[dict[str, Any]], found: Iterable[Check]) -> str:
    """What each checker found, by its kind."""
    return "; ".join(_parts(specs, found))


def _parts(specs: Iterable[dict[str, Any]], found: Iterable[Check]) -> Iterator[str]:
    for spec, part in zip(specs, found, strict=True):
        yield f"{spec['kind']} {'passes' if part.passed else 'fails'}: {part.why}"
