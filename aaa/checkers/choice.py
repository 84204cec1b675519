r"""`choice`: the answer names the right one of several lettered options.

What is taken for the named letter, the first that applies: the last `\boxed{…}`; the last "answer is X" or
"answer: X", where X may be a label on the next line; the last "option X"; a last, else a first line that is a
letter alone or begins with one as a label, as in `(B)` or `B. the gutter`; the last letter that stands alone.
"X is wrong" counts where nothing else does. An answer that names two there names none.
"""

import re
import unicodedata
from collections import deque

from pydantic import Field, field_validator, model_validator

from aaa.checkers.number import boxed
from aaa.types import Check, Value


class Options(Value):
    value: str = Field(pattern=r"^[A-Z]$")
    """The right letter."""
    letters: str = Field("ABCDEFGHIJ", min_length=2, max_length=26)
    """The letters there are to choose from."""

    @field_validator("letters")
    @classmethod
    def _each_once(cls, letters: str) -> str:
        if not re.fullmatch("[A-Z]+", letters) or len(set(letters)) < len(letters):
            raise ValueError("must be capital letters, each once")
        return letters

    @model_validator(mode="after")
    def _one_of_them(self) -> "Options":
        if self.value not in self.letters:
            raise ValueError(f"the right letter {self.value!r} is none of {self.letters!r}")
        return self


def check(answer: str, options: Options) -> Check:
    named = letters_named(answer, options.letters)
    if len(named) == 1:
        (letter,) = named
        right = letter == options.value
        return Check(score=float(right), why=f"it names {letter}")
    return Check(score=0, why=f"it names {', '.join(sorted(named)) or 'no letter'}")


_WORD = r"(?:answer|choice|option|solution)[ \t]{0,5}"
_SETTLES = re.compile(
    rf"{_WORD}(?:[:=]|(?:is|would be|must be)\b[ \t]{{0,5}}[:=]?)(?P<rest>[^\n]{{0,60}})"
    r"(?=\n\s{0,5}(?P<below>[^\n]{0,60})|)",
    re.IGNORECASE,
)
_MENTIONS = re.compile(rf"{_WORD}(?P<rest>[^\n]{{0,60}})", re.IGNORECASE)
_REFUSED = r"[)\]]?\s+(?:is|are|was)\s+(?:\w{1,20}\s+)?(?:wrong|incorrect|false|not)\b"
_DROPPED = str.maketrans("", "", "*_`\"'“”\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e")


def letters_named(answer: str, letters: str) -> set[str]:
    """The letters that the answer settles on; one where it is clear."""
    text = unicodedata.normalize("NFKC", answer).translate(_DROPPED).strip()
    inside = boxed(text)
    if inside is not None:
        return _leading(re.sub(r"\\[a-z]+\s*\{?|[{}]", "", inside), letters, any_case=True)
    found = _said(text, letters)
    if found:
        return found
    lines = [line.strip()[:200] for line in text.splitlines() if line.strip()] or [""]
    for line in (lines[-1], lines[0]):
        found = _label(line, letters)
        if found:
            return found
    one = rf"(?<![\w'-])[{letters}](?![\w'-])"
    several = rf"{one}(?:\s{{0,3}}(?:,|/|\bor\b|\band\b|&)\s{{0,3}}{one}){{0,30}}+"
    ends = deque(re.finditer(rf"{several}(?!{_REFUSED})", text), maxlen=1)
    ends = ends or deque(re.finditer(several, text), maxlen=1)
    return set(re.findall(one, ends[-1][0])) if ends else set()


def _said(text: str, letters: str) -> set[str]:
    """The letters of the last "answer: …" that has any, else of the last "option …" that is not refused."""
    for phrase in reversed(list(_SETTLES.finditer(text))):
        below = phrase["below"] if not phrase["rest"].strip() else None
        found = _label(below, letters) if below else _first_of(phrase["rest"], letters)
        if found:
            return found
    for phrase in reversed(list(_MENTIONS.finditer(text))):
        if not re.match(rf"[(\[]?[{letters}]{_REFUSED}", phrase["rest"]):
            found = _first_of(phrase["rest"], letters)
            if found:
                return found
    return set()


def _first_of(rest: str, letters: str) -> set[str]:
    alone = len(rest.strip(" ()[].!")) == 1
    return _leading(rest, letters, any_case=alone)


def _leading(text: str, letters: str, any_case: bool) -> set[str]:
    """The letter that a text begins with, and those it adds with `or`, `and`, `/` and commas."""
    cases = letters + (letters.lower() if any_case else "")
    one = rf"[(\[]?(?P<letter>[{cases}])[)\]]?(?![\w'])"
    first = re.match(r"\s*(?:option |choice )?" + one, text, re.NOFLAG)
    if first is None:
        return set()
    rest, found = text[first.end() :], {first["letter"].upper()}
    while more := re.match(r"\s*(?:,|/|\bor\b|\band\b|&)\s*" + one, rest):
        found.add(more["letter"].upper())
        rest = rest[more.end() :]
    return found


def _label(line: str, letters: str) -> set[str]:
    """The letter of a line that is one alone, or begins with one as a label."""
    if re.fullmatch(rf"[(\[]?[{letters}{letters.lower()}][)\]]?[.:!]?", line):
        return {line.strip("()[].:!").upper()}
    if re.match(rf"(?:[(\[][{letters}][)\]]|[{letters}][).:])(?=\s)", line):
        return _leading(line.lstrip("(["), letters, any_case=False) or {line.strip("([")[0]}
    if re.match(rf"[{letters}]\s*(?:,|/|\bor\b|\band\b|&)\s*[{letters}](?!\w)", line):
        return _leading(line, letters, any_case=False)
    return set()
