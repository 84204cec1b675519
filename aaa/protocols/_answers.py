r"""Shared: the final answer of a text, written so that equal answers are equal texts; and votes over them.

Looked for, the first that is there: the last `\boxed{…}`; the last line that begins with `Answer:`, `####`
or the like; the last "the answer is …" inside a line, in a dozen languages. What is found is read as the
form that the question asks for: a number (thousands marks, units, per cent signs and the way a fraction is
written do not count), the letter of a multiple choice, or a short text. Without any mark, the last number or
letter counts where the form is known, and a text that is no more than a short answer. Numbers and letters
are read as the checkers do. An `Answer:` that names two names none.

Left out: words for numbers, arithmetic, units as quantities (`1 km` is not `1000 m`), and long answers: two
essays never say the same.
"""

import re
import unicodedata
from collections import Counter, deque
from collections.abc import Iterable
from decimal import DecimalException
from fractions import Fraction
from itertools import islice
from typing import Literal, NamedTuple

from aaa.checkers.choice import letters_named
from aaa.checkers.number import Found, boxed, numbers_in, raised
from aaa.types import Seed

Form = Literal["number", "choice", "text"]
LETTERS = "ABCDEFGHIJ"
MOST_WORDS, MOST_CHARACTERS = 12, 80
"""A text beyond one of these is no short answer."""


class Reading(NamedTuple):
    """How answers to one question are read."""

    form: Form | None = None
    """`None`: whichever form an answer has."""
    letters: str = LETTERS
    decimal: Literal[".", ","] = "."


class Votes(NamedTuple):
    """Answers counted."""

    counts: dict[str, int]
    """Answer -> how many gave it, in the order in which they came up."""
    answer: str | None
    """The one that most gave; `None` where no answer has more than every other, and more than one."""

    def told(self) -> str:
        """The votes in words, most first."""
        ranked = sorted(self.counts.items(), key=lambda item: -item[1])
        return ", ".join(f"{answer!r} {count}" for answer, count in ranked) or "none"


def reading_of(seed: Seed, form: Form | None = None) -> Reading:
    """How answers to that seed are read: as told, else by its checker, else by its reference."""
    checker = seed.checker or {}
    letters = str(checker.get("letters", LETTERS))
    decimal: Literal[".", ","] = "," if checker.get("decimal") == "," else "."
    if form is None and checker.get("kind") in ("number", "choice"):
        form = "number" if checker["kind"] == "number" else "choice"
    if form is None and seed.reference is not None:
        known = _lone(_clean(seed.reference), Reading(None, letters, decimal))
        form = known and known[0]
    return Reading(form, letters, decimal)


def final_answer(text: str, reading: Reading, *, cut_off: bool = False) -> str | None:
    """The answer as it is compared; `None` where none is found.

    Of a text that was `cut_off` only what is marked as the answer counts: the last number is then just
    where it stopped.
    """
    text = _clean(text)
    for marks in (_boxes(text), _behind(_AT_LINE, text)):
        for span in marks:
            found = _read(span, reading)
            if found is not None:
                return found
        if marks:
            return None
    for span in _behind(_INSIDE, text):
        found = _read(span, reading)
        if found is not None:
            return found
    return None if cut_off else _unmarked(text, reading)


def votes_on(answers: Iterable[str | None]) -> Votes:
    """The votes; `None` is no vote."""
    counts = Counter(answer for answer in answers if answer is not None)
    first, second = [*counts.most_common(2), (None, 0), (None, 0)][:2]
    return Votes(dict(counts), first[0] if first[1] > max(1, second[1]) else None)


_MARKS = (
    (r"(?:final\s+|correct\s+|right\s+)?(?:answer|result)", r"\s+(?:(?:would|must)\s+be|is|are)\b"),
    (r"(?:final\s+)?solution", None),
    (r"(?:最终|正确)?答案", r"\s*[是为為]"),
    (r"答", None),
    (r"答え", r"\s*は"),
    (r"정답|답", r"\s*[은는]"),
    (r"respuesta(?:\s+final)?", r"\s+es\b"),
    (r"resposta(?:\s+final)?", r"\s+é\b"),
    (r"réponse(?:\s+finale)?", r"\s+est\b"),
    (r"risposta(?:\s+finale)?", r"\s+è\b"),
    (r"antwort", r"\s+(?:ist|lautet)\b"),
    (r"ответ", r"\s+[-–—]"),
    (r"(?:الجواب|الإجابة)(?:\s+(?:النهائي|النهائية))?", r"\s+(?:هو|هي)"),
    (r"उत्तर", r"\s+है"),
    (r"jibu", r"\s+ni\b"),
    (r"cevap", None),
)
"""What an answer is announced with, and the verb that may follow in place of a colon."""
_NAMES = "|".join(name for name, _ in _MARKS)
_INSIDE = re.compile(
    "(?:" + "|".join(rf"(?:{name})(?:{verb}|\s*[:=→])" for name, verb in _MARKS if verb) + r")\s*",
    re.IGNORECASE,
)
_AT_LINE = re.compile(
    rf"^\W{{0,3}}(?:####|(?:(?:the|my|our)\s+)?(?:{_NAMES})\s*[:=→])\s*",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCE_END = re.compile(
    r"(?:(?<=\w\w\w)|(?<=\d)|(?<=[)\]}\"'”’]))\.(?=\s|$)|[!?;](?=\s|$)|[。！？]"  # not behind `St.`
)
LONGEST_SPAN, MOST_MARKS = 400, 20
"""Characters read behind a mark; marks of a kind that are looked at, from the last one."""
_LATEX = (
    (re.compile(r"\\(?:text|mathrm|mathbf|textbf|mbox)\s*\{([^{}]{0,200})\}"), r"\1"),
    (re.compile(r"\\(?:left|right|displaystyle)(?![a-zA-Z])|\\[()\[\],;!]|\$"), ""),
    (re.compile(r"\\[dt]frac"), r"\\frac"),
    (re.compile(r"\^?\\circ|\^\{\\circ\}"), "°"),
)
_MIXED = re.compile("(?<=\\d)(?=[¼-¾⅐-⅞])")
_BETWEEN = re.compile(r"(?:or|and|to|bis|oder|et|ou|y|o|[-–~/&,])?\s*[-−$€£]?(?=\d)", re.IGNORECASE)
_GROUPS = re.compile(r"(?<![\d.,'])\d{1,3}(?: \d{3}){1,6}(?!\d)")
_ABOUT = re.compile(
    r"(?:[$€£¥₹=≈~]|(?:is|about|approximately|around|exactly|roughly|rs|usd|eur)\b\.?|\s)*",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"(?:option\s+|choice\s+)?[(\[]?([A-Za-z])(?:[)\].:]+(?=\s|$)|$)", re.IGNORECASE
)
_COMMA = re.compile(r"(?<![\d.,])(\d{1,9}),(\d{1,2}|\d{4,9})(?![\d.,]*\d)")
_OUTER = " \t\n.,;:!?\"'`“”„‘’«»。，、！？：；·¿¡()[]{}"
_TWO_WAY = re.compile(r"(yes|no|true|false)\b\s*[,.:;–—-]", re.IGNORECASE)
_ARTICLE = re.compile(r"(?:the|an?)\s+(?=\w)")


def _clean(text: str) -> str:
    """Without emphasis, invisible and control marks; full-width forms made plain."""
    text = unicodedata.normalize("NFKC", _MIXED.sub(" ", raised(text)))
    kept = (
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else " " for c in text
    )
    return re.sub(r"\*+|`+|(?<!\w)_+|_+(?!\w)", "", "".join(kept)).strip()


def _boxes(text: str) -> list[str]:
    inside = boxed(text)
    return [] if inside is None else [inside[:LONGEST_SPAN]]


def _behind(mark: re.Pattern[str], text: str) -> list[str]:
    """What stands behind each of these marks, up to the end of its line, the last first."""
    found = list(mark.finditer(text))[-MOST_MARKS:]
    spans = (text[one.end() : one.end() + LONGEST_SPAN].lstrip(" \t\n:=") for one in found[::-1])
    return [span.split("\n", 1)[0] for span in spans]


def _unmarked(text: str, reading: Reading) -> str | None:
    if reading.form == "number":
        return _last_number(text, reading)
    if reading.form == "choice":
        return _letter(text, reading)
    return _read(text, reading) if "\n" not in text else None


def _read(span: str, reading: Reading) -> str | None:
    """The answer that a span gives, in that form."""
    if reading.form == "number":
        return _number(_sentence(span), reading)
    if reading.form == "choice":
        return _letter(span, reading)
    known = None if reading.form == "text" else _lone(_sentence(span), reading)
    return known[1] if known else _short(span)


def _lone(span: str, reading: Reading) -> tuple[Form, str] | None:
    """The form and the answer of a span that is a number with its unit, or the label of a choice."""
    label = _LABEL.match(span.strip())
    if label and (label[1].isupper() or label.end() == len(span.strip())):
        letter = label[1].upper()
        return ("choice", letter) if letter in reading.letters else None
    found = list(islice(numbers_in(_decimals(span, reading), reading.decimal), 2))
    clock = bool(found) and found[0].after.startswith(":")
    if len(found) != 1 and not clock:
        return None
    if not _ABOUT.fullmatch(found[0].before) or len(found[0].after.split()) > 3:
        return None
    number = _number(span, reading)
    return None if number is None else ("number", number)


def _letter(span: str, reading: Reading) -> str | None:
    named = letters_named(span, reading.letters)
    if len(named) == 1:
        return named.pop()
    label = None if named else _LABEL.match(span)
    return label[1].upper() if label and label[1].upper() in reading.letters else None


def _number(span: str, reading: Reading) -> str | None:
    """The number that a sentence gives: behind its last equals sign, right at its start, or the only one."""
    text = re.split(r"[=≈]", _decimals(span, reading))[-1]
    found = list(numbers_in(text, reading.decimal))
    if not found:
        return None
    one = found[0]
    clock = _clock(one)
    if clock is not None:
        return clock
    if len(found) > 1 and (not _ABOUT.fullmatch(one.before) or _BETWEEN.match(one.after)):
        return None
    return _written(one)


def _last_number(text: str, reading: Reading) -> str | None:
    found = deque(numbers_in(_decimals(text, reading), reading.decimal), maxlen=1)
    return (_clock(found[0]) or _written(found[0])) if found else None


def _clock(found: Found) -> str | None:
    """A time of day or a ratio, `17:45` or `3:2`; `None` where the number is part of none."""
    behind = re.match(r"(?::\d{1,3})+", found.after)
    before = re.search(r"(?:\d{1,3}:)+$", found.before)
    if not behind and not before:
        return None
    text = (before[0] if before else "") + found.text + (behind[0] if behind else "")
    rest = found.after[behind.end() :] if behind else found.after
    half = re.match(r"\s*([ap])\.?\s?m\b", rest, re.IGNORECASE)
    hours, _, minutes = text.partition(":")
    if half and hours.isdigit():
        hours = str(int(hours) % 12 + (12 if half[1] in "pP" else 0))
    return f"{hours}:{minutes}"


def _written(found: Found) -> str:
    """A number in one way of writing it: `1,000.50` is `1000.5`, `2/4` is `0.5`, `1/3` is `1/3`."""
    value = found.value
    if value is None:
        return found.text
    try:
        whole = value.normalize()
    except DecimalException:
        return found.text
    if whole == 0:
        return "0"
    if abs(whole.adjusted()) > 30:
        return str(whole)
    if len(whole.as_tuple().digits) > 20:
        return str(Fraction(value).limit_denominator(10**9))
    return f"{whole:f}"


def _short(span: str) -> str | None:
    """A short text without what does not matter; `None` for a long one, or none."""
    two_way = _TWO_WAY.match(span)
    text = two_way[1] if two_way else _sentence(span)
    for pattern, put in _LATEX:
        text = pattern.sub(put, text)
    if "\\" in text:
        text = re.sub(r"\s+", "", text)
    text = " ".join(text.casefold().split()).strip(_OUTER if "\\" not in text else " .,")
    text = _ARTICLE.sub("", text, count=1) if _ARTICLE.match(text) else text
    if not text or len(text.split()) > MOST_WORDS or len(text) > MOST_CHARACTERS:
        return None
    return text


def _sentence(span: str) -> str:
    """The span up to the end of its sentence."""
    return _SENTENCE_END.split(span.strip(), maxsplit=1)[0] or span


def _decimals(span: str, reading: Reading) -> str:
    """LaTeX made plain, groups of three closed up, `2,5` as `2.5`: it can mean nothing else."""
    for pattern, put in _LATEX:
        span = pattern.sub(put, span)
    span = _GROUPS.sub(lambda match: match[0].replace(" ", ""), span)
    return span if reading.decimal == "," else _COMMA.sub(r"\1.\2", span)
