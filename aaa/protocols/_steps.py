"""Solutions in steps: how a text is cut into them, what a program holds the result against, what shares mean.

Pure functions of texts and findings. Math-Shepherd (2312.08935) cuts by lines and calls a step right if one
completion of it comes out right (hard estimation) or takes the share (soft); the order in which markings are
looked for is ours.
"""

import re
from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

from aaa.checkers.number import numbers_in
from aaa.types import Check, CheckFailure, Seed

LONGEST_REFERENCE = 200
"""Characters of a reference that a result can be held against by a pattern; a longer one is an essay."""
_WORDS = (
    "step|schritt|étape|etape|paso|passo|stap|krok|adım|шаг|hatua|步骤|步驟|第|ステップ|단계|चरण"
    "|الخطوة|خطوة"
)
_NAMED = re.compile(rf"^[\s#>*_\-]*(?:{_WORDS})\s*(\d{{1,2}})(?!\d)", re.IGNORECASE)
_NUMBERED = re.compile(r"^\s*(?:\*\*)?\(?(\d{1,2})(?:[.:)]|\*\*[.:)]?)\s")
_ANSWER = re.compile(r"^\W*(?:final |the )?(?:answer|result)\b", re.IGNORECASE)
_FENCE = re.compile(r"^\s*(?:```|~~~)")


def split_steps(text: str) -> tuple[str, ...]:
    """Its steps in order: by "Step 1:", else by "1.", else by paragraphs, else by lines.

    What stands before the first step belongs to it, and so does a line with the answer to the last; code in
    fences is never cut. No step is empty.
    """
    lines = text.strip().splitlines()
    named = _by_number(lines, _NAMED, gaps=True)
    if named:
        return named
    numbered = _by_number(lines, _NUMBERED, gaps=False)
    if len(numbered) > 1:
        return numbered
    blocks = _blocks(lines)
    if len(blocks) < 2 and not any(_FENCE.match(line) for line in lines):
        blocks = [line.strip() for line in lines if line.strip()]
    if len(blocks) > 1 and _ANSWER.match(blocks[-1]):
        blocks[-2:] = ["\n".join(blocks[-2:])]
    return tuple(blocks)


def prefix(steps: Sequence[str], count: int) -> str:
    """The first so many steps as a text."""
    return "\n".join(steps[:count])


def _by_number(lines: Sequence[str], start: re.Pattern[str], *, gaps: bool) -> tuple[str, ...]:
    """Cut before each line that begins with the next number; `gaps`: or with a later one."""
    found: list[list[str]] = []
    before: list[str] = []
    last, fenced = 0, False
    for line in lines:
        mark = None if fenced else start.match(line)
        number = int(mark[1]) if mark else 0
        if number == last + 1 or (gaps and number > last):
            found.append([*before, line])
            before, last = [], number
        else:
            (found[-1] if found else before).append(line)
        fenced ^= bool(_FENCE.match(line))
    return tuple("\n".join(step).strip() for step in found)


def _blocks(lines: Sequence[str]) -> list[str]:
    """Paragraphs: what blank lines part, outside of code."""
    found: list[list[str]] = [[]]
    fenced = False
    for line in lines:
        if line.strip() or fenced:
            found[-1].append(line)
        else:
            found.append([])
        fenced ^= bool(_FENCE.match(line))
    return ["\n".join(block).strip() for block in found if block]


def checker_of(seed: Seed) -> dict[str, Any] | None:
    """What holds a result against the seed: its checker, or one made of a short reference; else `None`.

    A reference that is a number, perhaps of money or per cent, is compared as one; any other must be what
    follows the last "Answer:".
    """
    if seed.checker is not None:
        return seed.checker
    reference = (seed.reference or "").strip()
    if not reference or len(reference) > LONGEST_REFERENCE:
        return None
    number = _number(reference)
    if number is not None:
        return {"kind": "number", "value": number}
    wanted = r"\s+".join(re.escape(word) for word in reference.rstrip(".").split())
    return {"kind": "regex", "pattern": rf"(?is)answer\W{{0,12}}:\W{{0,12}}{wanted}\W*\Z"}


def _number(reference: str) -> str | None:
    """The number that a reference is: `1,200`, `$45`, `50%`, `1/2`."""
    found = list(islice(numbers_in(reference), 2))
    if len(found) != 1 or (found[0].before + found[0].after).strip(" .$€£¥%"):
        return None
    return None if found[0].value is None else str(found[0].value)


class Share(NamedTuple):
    """What the completions of one step say."""

    label: bool | None
    value: float | None


def share_of(findings: Sequence[Check | CheckFailure | None], threshold: float) -> Share:
    """Whether a step is right, by the share of its completions that pass; `None`s count for nothing.

    At a threshold of 0 one that passes is enough. Without any that could be checked nothing is known.
    """
    passed = [found.passed for found in findings if isinstance(found, Check)]
    if not passed:
        return Share(None, None)
    value = sum(passed) / len(passed)
    return Share(value > 0 and value >= threshold, value)
