"""Checkers: verdicts without a model, one file each: `Options` and `check(answer, options) -> Check`.

A seed holds its checker as `{"kind": FILE NAME, …options}`. `read_checker` checks that when seeds are
loaded; `grade` applies it to one answer, wherever that may block. An answer is hostile input: whatever it
holds, what comes back is a finding or, where the checker could not tell, a `CheckFailure`; never an
exception and never a silent fail. Why checks are wishes of a play: `docs/design/checkers.md`.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from aaa import plugins
from aaa.errors import CheckError, InputError
from aaa.plugins import Checker
from aaa.types import Check, CheckFailure, Checks, CheckWish, Value

# The files `all.py` and `any.py` take the names of those two builtins in here: use neither.

LONGEST_ANSWER = 1_000_000
"""Characters of an answer that checkers read."""
DEEPEST = 4
"""Levels of checkers inside checkers."""


def read_checker(spec: Mapping[str, Any], depth: int = 1) -> tuple[Checker, Value]:
    """The checker that a seed names, and its options. Raises `InputError` with the valid choices."""
    kind = spec.get("kind")
    if not isinstance(kind, str):
        known = ", ".join(plugins.names("checkers"))
        raise InputError(f"a checker needs 'kind', one of {known}; got {dict(spec)!r:.200}")
    if depth > DEEPEST:
        raise InputError(f"checkers are nested deeper than {DEEPEST} levels")
    found = plugins.checker(kind)
    given = {key: value for key, value in spec.items() if key != "kind"}
    options = plugins.options_of("checker", kind, found.options, given)
    for inner in getattr(options, "of", ()):
        read_checker(inner, depth + 1)
    return found, options


def apply(spec: Mapping[str, Any], answer: str) -> Check:
    """What that checker finds. Raises `CheckError`, or `InputError` for a checker that is none."""
    found, options = read_checker(spec)
    return found.check(answer, options)


def grade(spec: Mapping[str, Any], answer: str) -> Check | CheckFailure:
    """What that checker finds, or why it cannot tell. It may block for seconds; it raises nothing."""
    if len(answer) > LONGEST_ANSWER:
        return CheckFailure(
            kind="too_large",
            message=f"the answer has {len(answer)} characters; at most {LONGEST_ANSWER} are read",
        )
    try:
        found = apply(spec, answer)
    except CheckError as error:
        return CheckFailure(kind=error.kind, message=plain(str(error)))
    except (MemoryError, RecursionError) as error:
        return CheckFailure(kind="too_large", message=plain(f"{type(error).__name__}: {error}"))
    except Exception as error:  # noqa: BLE001 (also a checker of somebody else's: the session goes on)
        return CheckFailure(kind="broken", message=plain(f"{type(error).__name__}: {error}"))
    return found.model_copy(update={"why": plain(found.why)})


async def grade_all(wish: CheckWish) -> Checks:
    """What a play's wish comes to: each answer graded in a thread, so that nobody waits for it."""
    found = await asyncio.gather(
        *(asyncio.to_thread(grade, wish.checker, answer) for answer in wish.answers.values())
    )
    return dict(zip(wish.answers, found, strict=True))


def plain(text: str, most: int = 500) -> str:
    """A text that the database and a terminal can hold: no NUL, no lone surrogate, at most so long."""
    kept = text[:most].replace("\0", "\\0")
    return kept.encode("utf-8", "backslashreplace").decode()
