"""`regex`: a pattern is found in the answer.

Patterns are Python's, matched by the `regex` package, since only it takes a time limit: a pattern that
runs away on some answer is an error, never a fail. Options in the pattern itself, as `(?i)`, say what
else is wanted. RE2 would be linear in time, but it lacks look-ahead, which patterns for "and without that
word" live on.
"""

from typing import Any

import regex  # type: ignore[import-untyped]
from pydantic import Field, field_validator

from aaa.errors import CheckError
from aaa.types import Check, Value

TIME_S = 1.0
LONGEST_PATTERN = 2000
"""Characters; the engine's own compiler is not limited in time."""


class Options(Value):
    pattern: str = Field(max_length=LONGEST_PATTERN)
    """Found anywhere; `\\A` and `\\Z` hold it to the whole answer."""

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        compiled(pattern)
        return pattern


def check(answer: str, options: Options) -> Check:
    if found(options.pattern, answer):
        return Check(score=1, why="the pattern is found")
    return Check(score=0, why=f"pattern {options.pattern[:200]!r} is not found")


def found(pattern: str, text: str) -> bool:
    """Whether the pattern is found. Raises `CheckError` when that takes too much time or memory."""
    try:
        return compiled(pattern).search(text, timeout=TIME_S) is not None
    except TimeoutError as error:
        raise CheckError(
            "timeout", f"pattern {pattern[:200]!r} ran past {TIME_S:g} s on this answer"
        ) from error
    except MemoryError as error:
        raise CheckError(
            "too_large", f"pattern {pattern[:200]!r} needs too much memory on this answer"
        ) from error


def compiled(pattern: str) -> Any:
    """The pattern, ready to search with. Raises `ValueError` where it is none."""
    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError, MemoryError) as error:
        raise ValueError(f"not a pattern: {error}") from error
