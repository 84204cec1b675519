"""What an answer looks like, apart from what it says: length, lists, headers, bold.

Judges, human or not, like long answers with much markdown; ratings that hold style constant need it as
numbers. After LMSYS's style control (Chatbot Arena, August 2024); its features, counted by rules of our
own. Left out: tokens, which differ by tokenizer. Length is in characters.
"""

import re

FEATURES = ("length", "lists", "headers", "bold")
"""Length of the whole answer in characters; the other three are counted outside code blocks."""

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s+\S")
_HEADER = re.compile(r" {0,3}#{1,6}\s+\S")
_BOLD = re.compile(r"\*\*[^*]+\*\*|__[^_]+__")


def features(text: str) -> tuple[int, ...]:
    """The counts of `FEATURES`, in their order. Linear in the text, whatever it holds."""
    prose = without_code(text)
    lists = sum(_ITEM.match(line) is not None for line in prose)
    headers = sum(_HEADER.match(line) is not None for line in prose)
    bold = sum(len(_BOLD.findall(line)) for line in prose)
    return len(text), lists, headers, bold


def without_code(text: str) -> list[str]:
    """The lines that stand outside fenced code blocks; a fence that is never closed runs to the end."""
    kept, fence = [], ""
    for line in text.splitlines():
        found = _FENCE.match(line)
        if fence:
            closes = found is not None and found[1].startswith(fence)
            fence = "" if closes else fence
        elif found is not None:
            fence = found[1]
        else:
            kept.append(line)
    return kept


def contrast(a: str, b: str) -> tuple[float, ...]:
    """For each feature (A - B) / (A + B), in [-1, 1]: how much more of it answer `a` has. 0 where neither
    has any. Swapping the answers flips every sign."""
    pairs = zip(features(a), features(b), strict=True)
    return tuple((x - y) / (x + y) if x + y else 0.0 for x, y in pairs)
