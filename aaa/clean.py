"""Strings of others, made harmless for a terminal: what every screen and log line passes through.

Rich and Textual let terminal escapes, C1 bytes and bidi overrides through; here they become visible
marks, so that a reader sees that something was there. Left out: styling. Text that was cleaned still
goes to Rich as `Text`, never as a markup string.
"""

import re
import unicodedata

MARK = "\ufffd"
"""Stands for what a terminal or a file could misread: C1, surrogates, bidi controls, tags."""
LONGEST_STACK = 6
"""Combining marks kept on one character; no script needs more, and stacks spill over other lines."""


def _table() -> dict[int, str]:
    """Code point -> what is shown instead of it."""
    table: dict[int, str] = {}
    for point in range(0x20000):  # the only ones beyond are tags
        category = unicodedata.category(chr(point))
        if category == "Cf" and point not in _VISIBLE_FORMAT:
            table[point] = ""  # zero-width: soft hyphen, U+200B, U+FEFF, word joiner …
        elif category == "Cs":
            table[point] = MARK  # a lone surrogate cannot be encoded
    table |= {point: chr(0x2400 + point) for point in range(0x20)}  # ESC is shown as ␛
    table |= dict.fromkeys(range(0x80, 0xA0), MARK)
    table |= dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F), MARK)
    table |= dict.fromkeys((0x061C, *range(0xE0000, 0xE1000)), MARK)
    table |= dict.fromkeys((*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)), "")
    table |= dict.fromkeys((0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0), "")
    table |= {0x7F: "␡", 0x85: "\n", 0x2028: "\n", 0x2029: "\n", 0xA0: " "}
    del table[0x09], table[0x0A]
    return table


_JOINERS = frozenset((0x200C, 0x200D))
"""ZWNJ and ZWJ: spelling in Persian and Indic scripts; between emoji every terminal counts differently."""
_VISIBLE_FORMAT = _JOINERS | {
    *range(0x600, 0x606),
    0x6DD,
    0x70F,
    0x890,
    0x891,
    0x8E2,
    0x110BD,
    0x110CD,
}
_TABLE = _table()
_PLAIN = re.compile(r"[\n\t\x20-\x7e]*")
_SPACE = re.compile(r"\s+")


def clean(text: str) -> str:
    """The text without anything that moves a cursor, hides, reorders or joins; `\\n` and `\\t` stay.

    ESC and its kin are shown as `␛`, bidi controls and tag characters as `\ufffd`; zero-width
    characters and variation selectors go, since terminals disagree about their width.
    """
    if _PLAIN.fullmatch(text):
        return text
    text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_TABLE)
    return _without_stacks(_without_loose_joiners(text))


def storable(text: str) -> str:
    """The text as PostgreSQL and JSON can hold it: NUL and lone surrogates become U+FFFD."""
    return text.replace("\0", MARK).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def one_line(text: str) -> str:
    """Cleaned, with every run of white space as one blank."""
    return _SPACE.sub(" ", clean(text)).strip()


def _without_loose_joiners(text: str) -> str:
    """Joiners stay inside words only (letters and the marks on them)."""
    if "\u200c" not in text and "\u200d" not in text:
        return text
    kept = []
    for place, char in enumerate(text):
        if char in "\u200c\u200d":
            around = (text[place - 1 : place], text[place + 1 : place + 2])
            if not all(side and unicodedata.category(side)[0] in "LM" for side in around):
                continue
        kept.append(char)
    return "".join(kept)


def _without_stacks(text: str) -> str:
    """At most `LONGEST_STACK` combining marks in a row."""
    kept, stack = [], 0
    for char in text:
        stack = stack + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        if stack <= LONGEST_STACK:
            kept.append(char)
    return "".join(kept)
