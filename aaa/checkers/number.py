r"""`number`: the number an answer gives is close enough to the right one.

Reads digits of every script, thousands marks, decimal commas where told, powers of ten, fractions, per
cent and the common LaTeX around them. Numbers are compared as decimals, so `0.1` is a tenth and
`1e999999999` costs nothing. Left out: arithmetic, powers of other bases (`2^10` is no number that can be
read), words for numbers, and units as quantities: `1 km` is not `1000 m`.
"""

import re
import unicodedata
from collections import deque
from collections.abc import Iterator
from decimal import Context, Decimal, DecimalException, localcontext
from functools import lru_cache
from typing import Literal

from pydantic import Field

from aaa.types import Check, Value


class Options(Value):
    value: Decimal = Field(allow_inf_nan=False)
    """The right number."""
    tolerance: Decimal = Field(Decimal(0), ge=0, allow_inf_nan=False)
    """How far off it may be."""
    relative: Decimal = Field(Decimal(0), ge=0, le=1, allow_inf_nan=False)
    """How far off it may be, as a share of `value`; the larger of both tolerances counts."""
    where: Literal["last", "first", "boxed", "only"] = "last"
    r"""Which number of the answer: `boxed` is the last `\boxed{…}`, `only` wants nothing else but a unit."""
    decimal: Literal[".", ","] = "."
    """The decimal mark; the other one, an apostrophe or a narrow space may stand between thousands."""
    percent: Literal["as_written", "as_share"] = "as_written"
    """Whether `35 %` is 35 or 0.35."""
    units: tuple[str, ...] = ()
    """One of these must stand right behind or before the number; empty: anything may."""


class Found(Value):
    """A number in a text."""

    value: Decimal | None
    """`None`: too large to be a decimal, divided by nothing, or a power."""
    text: str
    before: str
    after: str
    """What stands around it, spaces left out."""


def check(answer: str, options: Options) -> Check:
    place = boxed(answer) if options.where == "boxed" else answer
    if place is None:
        return Check(score=0, why="there is no \\boxed{…}")
    given = _chosen(plain(place, options.decimal), options)
    if isinstance(given, str):
        return Check(score=0, why=given)
    if given.value is None:
        return Check(score=0, why=f"{given.text[:40]!r} is no number that can be read")
    if options.units and not _has_unit(given, options.units):
        return Check(score=0, why=f"{given.text[:40]!r} has no unit of {list(options.units)}")
    value = given.value
    if options.percent == "as_share" and given.after.startswith("%"):
        value = value.scaleb(-2, _LOOSE)
    if _close(value, options):
        return Check(score=1, why=f"{given.text[:40]!r} is right")
    return Check(score=0, why=f"{given.text[:40]!r} is not {options.value}")


def _chosen(text: str, options: Options) -> Found | str:
    """The number that counts, or why there is none."""
    matches = _NUMBER.finditer(text)
    first = next(matches, None)
    if first is None:
        return "there is no number"
    last = deque(matches, maxlen=1)
    found = _found(text, last[0] if last and options.where != "first" else first)
    if options.where == "only":
        rest = (found.before + found.after).strip(" .$€£¥%")
        if last or (rest and rest not in options.units):
            return "there is more than a number"
    return found


def numbers_in(text: str, decimal: Literal[".", ","] = ".") -> Iterator[Found]:
    """Every number of the text, in order."""
    text = plain(text, decimal)
    return (_found(text, match) for match in _NUMBER.finditer(text))


def _found(text: str, match: re.Match[str]) -> Found:
    return Found(
        value=_value(match),
        text=match[0].strip(),
        before=text[max(0, match.start() - 40) : match.start()].rstrip(),
        after=text[match.end() : match.end() + 40].lstrip(),
    )


def _has_unit(found: Found, units: tuple[str, ...]) -> bool:
    edge = r"(?![^\W\d_])"  # `km` is not the unit of `12 kmh`
    return any(
        re.match(re.escape(unit) + edge, found.after) or found.before.endswith(unit)
        for unit in units
    )


def _close(value: Decimal, options: Options) -> bool:
    if value == options.value:
        return True
    with localcontext(_LOOSE):
        allowed = max(options.tolerance, options.relative * abs(options.value))
        return bool(abs(value - options.value) <= allowed)


_LOOSE = Context(prec=60, traps=[])
"""What is too large is infinite."""
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_SIMPLE = {"−": "-", "－": "-", "٫": "D", "٬": "'", "’": "'", "％": "%", "⁄": "/", "，": ","}
_RAISED = re.compile("[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_NARROW = "\u00a0\u2007\u2009\u202f"
_SIGN = r"(?<![\w)\]}.'])[-+]"  # of a number, not between two
_PART = r" ?(?:\{([^{}]{1,200})\}|(\d))"
_LATEX = (
    (re.compile(rf" ?({_SIGN})?\\[dt]?frac{_PART}{_PART}"), r" \1\2\3/\4\5"),
    (re.compile(r"\\(?:text|mathrm|mbox)\{([^{}]{0,200})\}"), r" \1"),
    (re.compile(r"\\[,!;: ]|(?<=\d)\{(?=,\})|(?<=,)\}"), ""),
    (re.compile(r"\\([%$])"), r"\1"),
    (re.compile(r" ?(?:×|·|\*|x|\\times|\\cdot) ?10 ?\^ ?\{?([-+]?\d{1,20})\}?"), r"e\1"),
    (re.compile(r"(?<![\w.,'^])10 ?\^ ?\{?([-+]?\d{1,20})(?![.,]?\d)\}?"), r"1e\1"),
    (re.compile(rf"({_SIGN})([$€£¥]) ?(?=\.?\d)"), r"\2\1"),
)


def plain(text: str, decimal: Literal[".", ","]) -> str:
    """The text with digits in ASCII, `.` as decimal mark and `'` between thousands."""
    text = _NOT_ASCII.sub(lambda match: _ascii(match[0]), raised(text))
    for pattern, put in _LATEX:
        text = pattern.sub(put, text)
    swap = {".": ".", ",": "'"} if decimal == "." else {",": ".", ".": "'"}
    return re.sub(r"(?<=\d)[.,](?=\d)", lambda m: swap[m[0]], text).replace("D", ".")


def raised(text: str) -> str:
    """The text with raised figures as powers: `10⁻¹²` as `10^-12`."""
    return _RAISED.sub(lambda run: "^" + run[0].translate(_LOWERED), text)


@lru_cache(maxsize=1024)
def _ascii(character: str) -> str:
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    if character in _NARROW:
        return "'"
    if unicodedata.category(character) == "Cf":
        return ""
    kind, _, parts = unicodedata.decomposition(character).partition(" ")
    if kind == "<fraction>":
        top, _, bottom = "".join(chr(int(part, 16)) for part in parts.split()).partition("⁄")
        return f"\\frac{{{top}}}{{{bottom}}}" if bottom else f" {top}/"
    return _SIMPLE.get(character, character)


_WHOLE = r"(?:\d{1,3}(?:'\d{3})+(?!\d)|\d+)"
_ONE = rf"(?:{_WHOLE}(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
_NUMBER = re.compile(
    rf"(?<![\d^])(?<!\^[-{{])(?<!\^\{{-)(?P<sign>{_SIGN})?(?:(?P<mixed>\d{{1,9}}) (?=\d{{1,9}}/\d))?"
    rf"(?P<top>{_ONE})(?: ?/ ?(?P<bottom>{_ONE})(?! ?/ ?\d))?"
    r"(?P<power> ?\^ ?[{(]?[-+]?\d+(?:\.\d+)?[})]?)?"
)


def _value(match: re.Match[str]) -> Decimal | None:
    if match["power"]:
        return None
    parts = {name: (part or "").replace("'", "") for name, part in match.groupdict().items()}
    try:
        with localcontext(prec=60):
            value = Decimal(parts["top"])
            if parts["bottom"]:
                value /= Decimal(parts["bottom"])
            if parts["mixed"]:
                value += Decimal(parts["mixed"])
            return -value if parts["sign"] == "-" else value
    except DecimalException:
        return None


def boxed(text: str) -> str | None:
    r"""What stands in the last `\boxed{…}`, braces counted."""
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth = 0
    for place in range(start + 6, min(len(text), start + 10_000)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[start + 7 : place]
    return None
