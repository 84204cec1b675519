"""What an answer looks like, apart from what it says: length, lists, headers, bold.

Judges, human or not, like long answers with much markdown; ratings that hold style constant need it as
numbers. After LMSYS's style control (Chatbot Arena, August 2024); its features, counted by rules of our
own. Left out: tokens, which differ by tokenizer. Length is in characters.
"""

import re
from functools import lru_cache

FEATURES = ("length", "lists", "headers", "bold")
"""Length of the whole answer in characters; the other three are counted outside code blocks."""

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ITEM = re.compile(r"^[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+[^\s]", re.MULTILINE)
_HEADER = re.compile(r"^ {0,3}#{1,6}[ \t]+[^\s]", re.MULTILINE)
_BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")


@lru_cache(maxsize=256)  # an answer meets several others, one after the other
def features(text: str) -> tuple[int, ...]:
    """The counts of `FEATURES`, in their order."""
    prose = without_code(text)
    return len(text), *(len(found.findall(prose)) for found in (_ITEM, _HEADER, _BOLD))


def without_code(text: str) -> str:
    """The lines that stand outside fenced code blocks; a fence that is never closed runs to the end."""
    if "```" not in text and "~~~" not in text:
        return text
    kept, fence = [], ""
    for line in text.split("\n"):
        found = _FENCE.match(line)
        if fence:
            closes = found is not None and found[1].startswith(fence)
            fence = "" if closes else fence
        elif found is not None:
            fence = found[1]
        else:
            kept.append(line)
    return "\n".join(kept)


def contrast(a: str, b: str) -> tuple[float, ...]:
    """For each feature (A - B) / (A + B), in [-1, 1]: how much more of it answer `a` has. 0 where neither
    has any. Swapping the answers flips every sign."""
    pairs = zip(features(a), features(b), strict=True)
    return tuple((x - y) / (x + y) if x + y else 0.0 for x, y in pairs)
