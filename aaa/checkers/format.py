"""`format`: how an answer is written: lengths, case, words that must or must not occur, marks, shape.

Each constraint is one option, is checked alone and reported by its name; the score is the share that
holds. The constraints are those of IFEval (2311.07911, table 2) that need no model. Left out: which
language a text is in, beyond its script, because short texts of one script are told apart only by chance.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from aaa.types import Check, Value


class Range(Value):
    """How many: both ends count, `None` is open."""

    min: int | None = Field(None, ge=0)
    max: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _not_empty(self) -> "Range":
        if self.min is None and self.max is None:
            raise ValueError("give `min`, `max` or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self

    def holds(self, count: int) -> bool:
        return (self.min or 0) <= count and (self.max is None or count <= self.max)

    def __str__(self) -> str:
        least = "" if self.min is None else f"at least {self.min}"
        most = "" if self.max is None else f"at most {self.max}"
        return f"{least}{' and ' if least and most else ''}{most}"


Words = dict[str, Range] | tuple[str, ...]
"""Words or phrases, or how often each must occur."""
Script = Literal[
    "latin", "cyrillic", "greek", "arabic", "hebrew", "devanagari", "bengali", "tamil", "telugu",
    "thai", "georgian", "armenian", "hangul", "hiragana", "katakana", "cjk", "ethiopic", "khmer",
]  # fmt: skip


class Options(Value):
    characters: Range | None = None
    """Without the spaces around the answer."""
    words: Range | None = None
    """Words between spaces; of scripts without spaces, as Chinese, Japanese and Thai, each letter is one."""
    sentences: Range | None = None
    """Ended by `.`, `!`, `?`, `…` or their like in other scripts; a last one may lack its end."""
    lines: Range | None = None
    """Lines that hold anything."""
    paragraphs: Range | None = None
    """Separated by an empty line, or by a line of `***` or `---`."""
    bullets: Range | None = None
    """Lines that begin with `-`, `*`, `+` or `•`."""
    numbered: Range | None = None
    """Lines that begin with a number and `.` or `)`."""
    headings: Range | None = None
    """Markdown headings."""
    sections: dict[str, Range] = Field({}, max_length=20)
    """Word that begins a section, as in `SECTION 1` -> how many."""
    highlights: Range | None = None
    """Pieces between single or double `*`."""
    placeholders: Range | None = None
    """Pieces in square brackets, as in `[name]`."""
    capital_words: Range | None = None
    """Words of two letters or more, all of them capitals."""
    letters: dict[str, Range] = Field({}, max_length=30)
    """Letter -> how often, in either case."""
    include: Words = ()
    """Each must occur, in either case, as words of their own."""
    exclude: tuple[str, ...] = ()
    """None of these may occur, in either case, as words of their own."""
    starts_with: str | None = None
    ends_with: str | None = None
    """Both to the letter, spaces around the answer left out."""
    case: Literal["lower", "upper", "title"] | None = None
    """`title`: each word begins with a capital."""
    no: str = Field("", max_length=50)
    """Characters that may not occur; `,` forbids commas."""
    title: bool = False
    """A title in double angle brackets: `<<joy>>`."""
    postscript: str | None = None
    """A last paragraph that begins with this, as `P.S.`."""
    quoted: bool = False
    """The whole answer stands in double quotation marks."""
    responses: int | None = Field(None, ge=2, le=10)
    """So many different answers, separated by lines of six asterisks."""
    json_keys: tuple[str, ...] | None = None
    """The answer is a JSON object, in a code block or not, with at least these keys."""
    script: Script | None = None
    """At least nine of ten letters are of this script."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> "Options":
        if next(constraints("", self), None) is None:
            raise ValueError("give at least one constraint")
        return self


class Constraint(NamedTuple):
    """One constraint, looked at."""

    name: str
    holds: bool
    found: str


def check(answer: str, options: Options) -> Check:
    every = list(constraints(answer.strip(), options))
    held = [c for c in every if c.holds]
    wrong = [f"{c.name}: {c.found}" for c in every if not c.holds]
    right = [c.name for c in held]
    parts = [f"fails {'; '.join(wrong)}"] if wrong else []
    parts += [f"holds {', '.join(right)}"] if right else []
    return Check(score=len(held) / len(every), why=" | ".join(parts))


def constraints(text: str, options: Options) -> Iterator[Constraint]:
    """Every constraint that is asked for, in the order of the options."""
    for name, count in _COUNTS.items():
        wanted: Range | None = getattr(options, name)
        if wanted is not None:
            yield _counted(name, count(text), wanted)
    for group, each in (("sections", options.sections), ("letters", options.letters)):
        for key, wanted in each.items():
            counted = _sections(text, key) if group == "sections" else _letters(text, key)
            yield _counted(f"{group} {key!r}", counted, wanted)
    yield from _keywords(text, options)
    for name, look in _LOOKS.items():
        given = getattr(options, name)
        if given not in (None, False, ""):
            yield Constraint(name, look(text, given), f"{given!r:.80} wanted")


def _counted(name: str, count: int, wanted: Range) -> Constraint:
    return Constraint(name, wanted.holds(count), f"{count}, {wanted} wanted")


def _keywords(text: str, options: Options) -> Iterator[Constraint]:
    include = options.include
    if not isinstance(include, dict):
        include = {word: Range(min=1) for word in include}
    for word, wanted in include.items():
        yield _counted(f"include {word!r}", _occurs(text, word), wanted)
    for word in options.exclude:
        yield _counted(f"exclude {word!r}", _occurs(text, word), Range(max=0))


_NO_SPACES = re.compile(r"[぀-ヿ㐀-䶿一-鿿豈-﫿฀-๿]")
_END = re.compile(r"[.!?…।۔؟]+(?=[\"'”’)\]]*(?:\s|\Z))|[。！？]+")
_BULLET = re.compile(r"^[ \t]*[-*+•][ \t]+\S", re.MULTILINE)
_NUMBERED = re.compile(r"^[ \t]*\d{1,3}[.)][ \t]+\S", re.MULTILINE)
_HIGHLIGHT = re.compile(r"(?<![*\w])(\*{1,2})(?=[^\s*])[^*\n]{0,500}?(?<=[^\s*])\1(?![*\w])")


def _words(text: str) -> int:
    spaced = _NO_SPACES.sub(" ", text)
    alone = sum(any(map(str.isalnum, word)) for word in spaced.split())
    return alone + len(_NO_SPACES.findall(text))


def _sentences(text: str) -> int:
    pieces = _END.split(text)
    return sum(any(map(str.isalnum, piece)) for piece in pieces)


def _lines(text: str) -> int:
    return sum(bool(line.strip()) for line in text.splitlines())


def _paragraphs(text: str) -> int:
    return sum(bool(part.strip()) for part in _split(text, lambda line: not line or _rule(line)))


def _split(text: str, ends: Callable[[str], bool]) -> Iterator[str]:
    """The pieces between lines that end one; linear, whatever the text."""
    piece: list[str] = []
    for line in text.splitlines():
        if ends(line.strip()):
            yield "\n".join(piece)
            piece = []
        else:
            piece.append(line)
    yield "\n".join(piece)


def _rule(line: str) -> bool:
    return len(line) >= 3 and set(line) in ({"*"}, {"-"})


def _capital_words(text: str) -> int:
    return sum(len(word) > 1 and word.isupper() for word in re.findall(r"[^\W\d_]+", text))


_COUNTS: dict[str, Callable[[str], int]] = {
    "characters": len,
    "words": _words,
    "sentences": _sentences,
    "lines": _lines,
    "paragraphs": _paragraphs,
    "bullets": lambda text: len(_BULLET.findall(text)),
    "numbered": lambda text: len(_NUMBERED.findall(text)),
    "headings": lambda text: len(re.findall(r"^#{1,6}[ \t]+\S", text, re.MULTILINE)),
    "highlights": lambda text: len(_HIGHLIGHT.findall(text)),
    "placeholders": lambda text: len(re.findall(r"\[[^\[\]\n]{1,200}\]", text)),
    "capital_words": _capital_words,
}


def _sections(text: str, word: str) -> int:
    pattern = rf"^[ \t#*]{{0,20}}{re.escape(word)}[ \t]+(?:\d{{1,4}}|[IVXLC]{{1,10}}|[A-Z])\b"
    return len(re.findall(pattern, text, re.MULTILINE))


def _letters(text: str, letter: str) -> int:
    return text.casefold().count(letter.casefold())


def _occurs(text: str, word: str) -> int:
    """How often a word or phrase stands in a text. Where its script has no spaces, anywhere counts."""
    edge = r"\w" if not _NO_SPACES.search(word) else r"\Z(?!\Z)"
    phrase = r"\s+".join(map(re.escape, word.casefold().split()))
    return len(re.findall(rf"(?<!{edge}){phrase}(?!{edge})", text.casefold()))


def _case(text: str, wanted: str) -> bool:
    if wanted == "title":
        return all(w[0].isupper() for w in re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)*", text))
    return text == (text.lower() if wanted == "lower" else text.upper())


def _postscript(text: str, mark: str) -> bool:
    *_, last = [part for part in _split(text, lambda line: not line) if part.strip()] or [""]
    return any(line.strip().startswith(mark) for line in last.splitlines())


def _quoted(text: str, _: object) -> bool:
    return len(text) > 2 and (text[0], text[-1]) in {('"', '"'), ("“", "”"), ("„", "“"), ("«", "»")}


def _responses(text: str, wanted: int) -> bool:
    parts = [" ".join(part.split()) for part in _split(text, lambda line: line == "******")]
    return len(parts) == wanted and all(parts) and len(set(parts)) == wanted


def _json_keys(text: str, keys: tuple[str, ...]) -> bool:
    fenced = re.fullmatch(r"```[a-zA-Z]{0,10}[ \t]*\n(.*?)\n?```", text, re.DOTALL)
    try:
        read: Any = json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return False
    return isinstance(read, dict) and set(keys) <= set(read)


def _script(text: str, wanted: str) -> bool:
    """By the first word of each letter's Unicode name, which is its script."""
    counts = Counter(
        {c: n for c, n in Counter(text).items() if unicodedata.category(c) in ("Ll", "Lu", "Lo")}
    )
    own = sum(n for c, n in counts.items() if unicodedata.name(c, "").lower().startswith(wanted))
    return own > 0 and own * 10 >= counts.total() * 9


_LOOKS: dict[str, Callable[[str, Any], bool]] = {
    "starts_with": lambda text, given: text.startswith(given.strip()),
    "ends_with": lambda text, given: text.endswith(given.strip()),
    "case": _case,
    "no": lambda text, given: not set(given) & set(text),
    "title": lambda text, _: re.search(r"<<[^<>\n]{1,200}>>", text) is not None,
    "postscript": _postscript,
    "quoted": _quoted,
    "responses": _responses,
    "json_keys": _json_keys,
    "script": _script,
}
