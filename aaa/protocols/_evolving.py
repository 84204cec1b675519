"""When an evolved prompt is none: elimination rules, each a function from texts to why not, or `None`.

After WizardLM's elimination evolving (2304.12244, section 3.2: no information gain, the answer is short and
says sorry, the answer is punctuation and stop words, template words leaked) and the failures that Auto
Evol-Instruct looks for (2406.00770). The bounds on length, the check of the language and the words that are
looked for are ours. Left out: whether the new prompt is harder, which only a model can say.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from pydantic import Field, model_validator

from aaa.judges._content import has_content
from aaa.prompts import shown
from aaa.types import FinishReason, Messages, Turn, Value

Code = Literal[
    "call_refused",  # the provider refused the call that was to bring the words
    "empty",  # nothing was written
    "truncated",  # cut off at its longest length
    "refusal",  # the evolver declined, or every student's short answer says sorry
    "leaked_template",  # words of the instruction to rewrite stand in the prompt
    "meta_talk",  # it speaks about the rewriting instead of asking
    "no_gain",  # (nearly) the same as a prompt that is there already
    "too_short",
    "too_long",
    "language_changed",
    "no_content",  # every student's answer says nothing
]

NEARLY = 3
"""Words that must come or go between two prompts that are not nearly equal."""
RUN = 7
"""Words in a row by which a copy of the instruction is known."""
SHORT_ANSWER = 80
"""Words below which an answer with "sorry" counts as a refusal (WizardLM)."""
LEAST_OF_PARENT = 0.5
"""A prompt evolved in depth that is shorter than this share of its parent has lost something."""


class Flaw(NamedTuple):
    """Why an evolved prompt is dropped."""

    code: Code
    why: str


class Bounds(Value):
    """How long an evolved prompt may be, in words (in Chinese and Japanese: characters)."""

    words: tuple[int, int] = (10, 20)
    """How many words a step in depth is told to add, at least and at most."""
    most_added: int = Field(100, ge=1)
    """More words than this beyond the parent are too many, whatever the step; ours: five times the 20."""
    shortest: int = Field(3, ge=1)
    """Fewer words than this are no prompt."""

    @model_validator(mode="after")
    def _in_order(self) -> "Bounds":
        least, most = self.words
        if not 1 <= least <= most:
            raise ValueError(f"`words` goes from few to many, at least 1; got {least} to {most}")
        return self


def flaw_of(
    turn: Turn, parent: str, known: Mapping[str, str], deep: bool, bounds: Bounds
) -> Flaw | None:
    """Why the words of an evolver's turn are no new prompt, by the first rule that says so.

    `parent`: the text it was made from; `known`: id -> text of every prompt of the chain; `deep`: whether
    the step was in depth, which may only add.
    """
    if turn.failure is not None:
        return Flaw("call_refused", f"{turn.failure.kind}: {turn.failure.message}"[:300])
    text = cleaned(turn.text)
    instruction = turn.call.messages[-1].content.rpartition("</text-")[
        2
    ]  # what follows the material
    found: tuple[tuple[Code, str | None], ...] = (
        ("empty", empty(text)),
        ("truncated", truncated(turn.reply.finish_reason)),
        ("refusal", declined(text, parent)),
        ("leaked_template", leaked_template(text, parent) or copied(text, parent, instruction)),
        ("meta_talk", meta_talk(text, parent)),
        ("no_gain", no_gain(text, known)),
        ("too_short", too_short(text, parent, deep, bounds)),
        ("too_long", too_long(text, parent, bounds)),
        ("language_changed", language_changed(text, parent)),
    )
    return next((Flaw(code, why) for code, why in found if why is not None), None)


def flaw_by_answers(answers: Iterable[Turn]) -> Flaw | None:
    """Why no student could answer the prompt; `None` where one could, or none was asked."""
    flaws = [_answer_flaw(answer) for answer in answers]
    return flaws[0] if flaws and None not in flaws else None


def _answer_flaw(answer: Turn) -> Flaw | None:
    if answer.failure is not None:
        return Flaw("call_refused", f"{answer.call.agent!r}: {answer.failure.kind}"[:300])
    found: tuple[tuple[Code, str | None], ...] = (
        ("no_content", says_nothing(answer.text)),
        ("refusal", apologises(answer.text)),
    )
    return next((Flaw(code, why) for code, why in found if why is not None), None)


# The rules: each says why the text is none, or `None`


def empty(text: str) -> str | None:
    return None if re.search(r"\w", text) else "there is no word in it"


def truncated(finish_reason: FinishReason) -> str | None:
    return "it was cut off at its longest length" if finish_reason == "length" else None


def declined(text: str, parent: str) -> str | None:
    """The evolver excuses itself instead of rewriting."""
    return _new(_DECLINES, text, parent, "it declines")


def leaked_template(text: str, parent: str) -> str | None:
    """Words that belong to the instruction to rewrite, unless the parent holds them too."""
    return _new(_LEAKS, text, parent, "it holds words of the template")


def copied(text: str, parent: str, instruction: str) -> str | None:
    """`RUN` words in a row that stand in the instruction to rewrite, unless the parent holds them too."""
    own, before, asked = (_runs(words(one)) for one in (text, parent, instruction))
    found = next((run for run in own if run in asked and run not in before), None)
    return None if found is None else f"it repeats its instruction: {' '.join(found)!r}"


def _runs(said: list[str]) -> dict[tuple[str, ...], None]:
    """Every `RUN` neighbouring words, in their order."""
    return dict.fromkeys(tuple(said[n : n + RUN]) for n in range(len(said) - RUN + 1))


def meta_talk(text: str, parent: str) -> str | None:
    """The first words speak of what was done, as in "Sure! Here is the harder version:"."""
    return _new(_META, text, parent, "it speaks about itself")


def no_gain(text: str, known: Mapping[str, str]) -> str | None:
    """Fewer than `NEARLY` words differ from a prompt that is there already, in whatever order."""
    own = Counter(words(text))
    for id, other in known.items():
        theirs = Counter(words(other))
        if (own - theirs).total() + (theirs - own).total() < NEARLY:
            return f"it is (nearly) the same as {id}"
    return None


def too_short(text: str, parent: str, deep: bool, bounds: Bounds) -> str | None:
    count, before = len(words(text)), len(words(parent))
    if count < min(bounds.shortest, before):
        return f"{count} words, fewer than {bounds.shortest}"
    if deep and count < LEAST_OF_PARENT * before:
        return f"{count} words, where the parent has {before}"
    return None


def too_long(text: str, parent: str, bounds: Bounds) -> str | None:
    count, most = len(words(text)), len(words(parent)) + bounds.most_added
    return f"{count} words, more than {most}" if count > most else None


def language_changed(text: str, parent: str) -> str | None:
    """Both languages are known, and they differ."""
    own, before = language(text), language(parent)
    if own is None or before is None or own == before:
        return None
    return f"the parent is {before}, this is {own}"


def says_nothing(answer: str) -> str | None:
    """An answer of punctuation and stop words."""
    if has_content(answer) and any(word not in _STOP for word in words(answer)):
        return None
    return "the answer is punctuation and stop words"


def apologises(answer: str) -> str | None:
    """A short answer that says sorry: the prompt was too hard, or is none."""
    count = len(words(answer))
    if "sorry" in answer.casefold() and count < SHORT_ANSWER:
        return f"the answer says sorry and has {count} words"
    return None


# Texts


def cleaned(text: str) -> str:
    """The text without what stands around the whole: blanks, marks of ours, one pair of quotation marks."""
    text = unmarked(text)
    for opening, closing in ('""', "“”", "''", "«»", "「」"):
        inner = text[1:-1]
        quoted = text[:1] == opening and text[-1:] == closing and len(text) > 1
        if quoted and not {opening, closing} & set(inner):
            return inner.strip()
    return text


def unmarked(text: str) -> str:
    """Without blanks and our marks around the whole: weak models put the new between the marks of the old."""
    text = text.strip()
    marked = _MARKED.fullmatch(text)
    return text if marked is None else marked[2].strip()


def words(text: str) -> list[str]:
    """Its words without case and marks; scripts that write no spaces give characters."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def reworded(chat: Messages, text: str, operation: str) -> Messages:
    """The chat that asks the new words. In breadth they are a new subject: only its system message stays."""
    kept = chat[:-1]
    if operation == "breadth":
        kept = tuple(message for message in kept if message.role == "system")
    return (*kept, chat[-1].model_copy(update={"content": text}))


def asked_last(chat: Messages) -> str:
    """What is evolved of a chat: its last message."""
    return chat[-1].content


def asked_before(chat: Messages) -> str:
    """The chat before its last message, as text; empty where there is nothing."""
    return shown(chat[:-1]) if len(chat) > 1 else ""


def language(text: str) -> str | None:
    """Its language as a code, by script and by its most frequent small words; `None` where unsure.

    Code in fences does not count. A Latin text needs `_SURE` small words of a language, and twice as many as
    of any other.
    """
    plain = re.sub(r"```.*?(?:```|\Z)", " ", text, flags=re.DOTALL)
    letters = Counter(_script(character) for character in plain if character.isalpha())
    if not letters:
        return None
    script, count = letters.most_common(1)[0]
    if letters["ja"] and letters["ja"] + letters["zh"] > letters.total() / 2:
        return "ja"  # kana among Chinese characters
    if count <= letters.total() / 2:
        return None
    return _latin(words(plain)) if script == "latin" else script


def _latin(said: list[str]) -> str | None:
    hits = sorted(
        ((sum(w in small for w in said), code) for code, small in _SMALL.items()), reverse=True
    )
    (most, code), (next_most, _) = hits[:2]
    return code if most >= _SURE and most >= 2 * next_most else None


def _script(character: str) -> str:
    name = unicodedata.name(character, "")
    return next((code for start, code in _SCRIPTS if name.startswith(start)), "other")


def _new(pattern: re.Pattern[str], text: str, parent: str, what: str) -> str | None:
    """What the pattern finds in the text, unless the parent holds the same words."""
    before = parent.casefold()
    for found in pattern.finditer(text):
        if found[0].strip().casefold() not in before:
            return f"{what}: {found[0].strip()[:80]!r}"
    return None


_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
_DECLINES = re.compile(
    r"\bI(?:'|’)?(?: a)?m (?:very |so |really )?(?:sorry|afraid|unable)\b"
    r"|\bI (?:can ?not|can(?:'|’)t|won(?:'|’)t|am not able to) "
    r"(?:help|assist|comply|rewrite|do|provide|fulfil)"
    r"|\bas an AI\b|^\W*(?:sorry|unfortunately)\b",
    re.IGNORECASE,
)
_LEAKS = re.compile(
    r"\b(?:given|original|rewritten|created|evolved|new) prompts?\b"
    r"|\b(?:given|rewritten|evolved) (?:instruction|task|question)s?\b"
    r"|#[\w ]{0,40}(?:prompt|instruction)[\w ]{0,20}#|</?text-[0-9a-f]{6,}>?"
    r"|\badd \d+ to \d+ words\b|\bmarked lines\b",
    re.IGNORECASE,
)
_MARKED = re.compile(r"<(text-[0-9a-f]{6,})>(.*?)</\1>", re.DOTALL)
_META = re.compile(
    r"\A\W*(?:sure|certainly|of course|absolutely|okay|ok|got it|no problem)\s*[!,.:]"
    r"|\A\W*(?:here(?:'|’)s|here is|here are|this is|below is)\b[^\n]{0,90}:"
    r"|\A\W*I(?:'ve|’ve| have)? (?:rewrote|rewritten|changed|made|added)\b"
    r"|\A\W*(?:an? |the |new |harder |easier ){0,2}"
    r"(?:prompt|question|instruction|task|rewrite|version|output|answer)\s*\d*\W{0,3}:"
    r"|^\W*note\b\s*:",
    re.IGNORECASE | re.MULTILINE,
)
_SCRIPTS = (
    ("LATIN", "latin"),
    ("CJK", "zh"),
    ("HIRAGANA", "ja"),
    ("KATAKANA", "ja"),
    ("HANGUL", "ko"),
    ("ARABIC", "ar"),
    ("DEVANAGARI", "hi"),
    ("CYRILLIC", "ru"),
    ("GREEK", "el"),
    ("HEBREW", "he"),
    ("THAI", "th"),
    ("BENGALI", "bn"),
    ("TAMIL", "ta"),
    ("GEORGIAN", "ka"),
    ("ARMENIAN", "hy"),
)
"""How a letter's Unicode name begins -> the language or script that counts."""
_SURE = 3
_SMALL: dict[str, frozenset[str]] = {
    code: frozenset(line.split())
    for code, line in {
        "en": "the of and to is that it for with what how you your are this do does their they can a an in",
        "de": "der die das und ist nicht ein eine mit für auf wie ich sie wir zu den dem von was sich",
        "fr": "le les des et est une dans pour que qui vous sur avec du au ce quelle comment pas sont",
        "es": "el los las y es una para con por qué cómo del al se su lo más son como usted cuál",
        "pt": "o os as e é uma para com por não do da dos das em um como seu você mais são qual",
        "it": "il gli di e è una per con che non del della sono come si più questo quale nella dei",
        "nl": "de het een en is van niet met voor op hoe je dat wat zijn er ook aan welke naar",
        "sw": "ya na wa kwa ni za katika la cha kama hii kila yako nini gani vya mtu je au watu",
        "pl": "i w na z się nie jest do jak że co to dla po czy są tego od lub przez",
        "tr": "ve bir bu için ile ne nasıl mı da de olarak daha en çok gibi hangi olan kadar",
        "vi": "là của và có không cho một các những trong được với như này khi người nào bao nhiêu",
        "id": "dan yang di untuk dengan ini itu dari adalah apa bagaimana pada tidak atau akan anda",
    }.items()
}
"""Language -> small words that are frequent in it."""
_STOP = _SMALL["en"] | frozenset(
    """
    a an in on at as by or if so then there here they them he she we i me my our us not no but was were
    has had do did will would can could should may might its these those their his her who when where why
    """.split()
)
