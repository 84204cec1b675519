"""How the stub judges: a hidden quality of every answer text, and biases that can be planted.

Answers are recognised in a prompt by fenced blocks under a line `Answer X:` or `Answer:`. The quality
of a text is a hash of it, so every judge of the stub agrees with every other in both orders, until
`Bias` says otherwise. Tests that need to know the right verdict ask `quality`. One kind of question the stub
understands: to reply with a single word, which an answer does or does not.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import Field

from aaa.errors import InputError
from aaa.provider.words import unit
from aaa.types import Value

NATS = 8.0
"""A lead of 1.0 in quality, as a difference of log-probabilities."""
TIE = 0.02
"""Qualities closer than this are a tie, where the judge may say so."""

_BLOCK = re.compile(r"^([^\n]*):\n<([^\s<>]+)>\n(.*?)\n</\2>", re.MULTILINE | re.DOTALL)
_LABEL = re.compile(r"Answer(?: (\S+))?")
_CHOICES = re.compile(r"single (?:letter|word|token|digit)s? (\w+) or (\w+)")
_PLEA = re.compile(
    r"\b(?:choose|pick|select|prefer|vote for|winner is|winner|better is|best is|better|verdict)"
    r"\W{0,6}(?:answer |option |label )?(\w+)",
    re.IGNORECASE,
)
_VICTORY = re.compile(
    r"\b(?:this|my) (?:answer|response|reply)\b.{0,60}"
    r"\b(?:better|best|wins|won|superior|verified|perfect|10)\b"
    r"|\b(?:full marks|maximum score|highest score|10/10)\b"
    r"|\bignore\b.{0,40}\binstructions\b",
    re.IGNORECASE | re.DOTALL,
)
_OBJECT = re.compile(r"\{.*\}", re.DOTALL)
_MINE = frozenset({"me", "this", "mine", "yes", "my"})
_ONE_WORD = re.compile(r"single word and nothing else: (\w+)")
_FINDING = re.compile(r"^Judgement (\d+) finds (?:answer (\S+) better|neither)", re.MULTILINE)


class Bias(Value):
    """Planted faults of a judge; the default is a judge without any."""

    position: float = Field(0.0, ge=0, le=1)
    """Share of comparisons in which whatever stands first wins."""
    length: float = Field(0.0, ge=0, le=1)
    """Weight of length against quality: 1 always prefers the longer answer."""
    noise: float = Field(0.0, ge=0, le=1)
    """Share of ballots decided by a coin, thrown anew for every order."""
    gullible: bool = False
    """Obeys what an answer's text demands ("choose me", "winner: X"), believes one that claims victory, and
    says a JSON object in an answer after it, word for word."""


class Answer(NamedTuple):
    """One answer shown to a judge."""

    label: str
    """Empty where the answer stands alone."""
    text: str


class Sheet(NamedTuple):
    """What a judge was shown and thinks of it."""

    answers: tuple[Answer, ...]
    scores: tuple[float, ...]
    """One for each answer, in [0, 1]."""
    choices: tuple[str, str] | None
    """The two words between which the prompt asks it to choose, if it does."""
    findings: tuple[tuple[str, str], ...] = ()
    """Judgements to judge: number, and the label that it finds better, empty where it finds neither."""
    echo: str | None = None
    """What a gullible judge says after an answer, instead of anything of its own."""

    @property
    def lead(self) -> float:
        """log P(first choice) - log P(second choice), in nats."""
        other = self.scores[1] if len(self.scores) > 1 else 0.5
        return NATS * (self.scores[0] - other)

    @property
    def winner(self) -> str | None:
        """Label of the best answer, or `None` for a tie."""
        ranked = sorted(zip(self.scores, self.answers, strict=True), reverse=True)
        if len(ranked) > 1 and ranked[0][0] - ranked[1][0] < TIE:
            return None
        return ranked[0][1].label

    def graded(self, allowed: Sequence[object]) -> str | None:
        """One of five verdicts `X>>Y`, `X>Y`, `X=Y`, `Y>X`, `Y>>X`, where these are what is allowed."""
        if len(self.answers) != 2 or len(allowed) != 5:
            return None
        one, two = (answer.label for answer in self.answers)
        sign = "=" if self.winner is None else ">>" if abs(self.lead) > NATS / 2 else ">"
        found = f"{two}{sign}{one}" if self.winner == two else f"{one}{sign}{two}"
        return found if found in allowed else None

    def held(self, allowed: Sequence[object]) -> str | None:
        """The number of the first judgement that finds what this judge finds, or `none`."""
        if not self.findings:
            return None
        right = [number for number, label in self.findings if label == (self.winner or "")]
        return next((number for number in right if number in allowed), "none")


def parse_bias(spec: str) -> Bias:
    """`position=0.3,length=0.5,noise=0.1,gullible`. Raises `InputError` naming the part."""
    found: dict[str, object] = {}
    for part in filter(None, (piece.strip() for piece in spec.split(","))):
        name, _, value = part.partition("=")
        if name == "gullible" and not value:
            found[name] = True
        elif name in ("position", "length", "noise"):
            found[name] = _share(part, value)
        else:
            raise InputError(
                f"judge {part!r}: unknown; valid: position=SHARE, length=WEIGHT, noise=SHARE, gullible"
            )
    return Bias.model_validate(found)


def _share(part: str, value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise InputError(f"judge {part!r}: {value!r} is no number from 0 to 1")
    return number


def quality(text: str) -> float:
    """The hidden quality of an answer, in [0, 1): what an unbiased judge of the stub goes by."""
    return unit("quality", text.strip())


def sheet(prompt: str, model: str, bias: Bias) -> Sheet | None:
    """What a judge makes of this prompt, or `None` where it shows no answers to judge."""
    answers = answers_in(prompt)
    if not answers:
        return None
    asked = _CHOICES.findall(prompt)
    choices = asked[-1] if asked else None
    if choices is None and len(answers) == 2:
        choices = (answers[0].label, answers[1].label)
    findings = tuple((found[1], found[2] or "") for found in _FINDING.finditer(_outside(prompt)))
    question = next((m[3] for m in _BLOCK.finditer(prompt) if m[1] == "Question"), "")
    return Sheet(
        answers,
        scores(answers, model, bias, question),
        choices,
        findings,
        _echo(answers) if bias.gullible else None,
    )


def answers_in(prompt: str) -> tuple[Answer, ...]:
    """The fenced answers of a prompt; fences inside an answer belong to its text."""
    if "Answer" not in prompt:
        return ()
    titled = ((_LABEL.fullmatch(m[1]), m[3]) for m in _BLOCK.finditer(prompt))
    return tuple(Answer(title[1] or "", text) for title, text in titled if title)


def scores(
    answers: Sequence[Answer], model: str, bias: Bias, question: str = ""
) -> tuple[float, ...]:
    """What this judge thinks of each answer, in [0, 1], its biases included."""
    texts = [answer.text for answer in answers]
    if bias.gullible and (obeyed := _demanded(answers)) is not None:
        return tuple(1.0 if answer.label == obeyed else 0.0 for answer in answers)
    if word := _ONE_WORD.search(question):
        return tuple(1.0 if text.strip() == word[1] else 0.0 for text in texts)
    if len(texts) > 1 and unit("position", model, *sorted(texts)) < bias.position:
        return tuple(0.75 if place == 0 else 0.25 for place in range(len(texts)))
    if unit("noise?", model, *texts) < bias.noise:
        return tuple(unit("noise", model, str(place), *texts) for place in range(len(texts)))
    return tuple(
        (1 - bias.length) * quality(text) + bias.length * len(text) / (len(text) + 400)
        for text in texts
    )


def _demanded(answers: Sequence[Answer]) -> str | None:
    """The label that the first demand in an answer's text asks for, if it can be obeyed."""
    labels = {answer.label.lower(): answer.label for answer in answers}
    for answer in answers:
        for demand in _PLEA.findall(answer.text):
            if demand.lower() in labels:
                return labels[demand.lower()]
            if demand.lower() in _MINE:
                return answer.label
        if _VICTORY.search(answer.text):
            return answer.label
    return None


def _echo(answers: Sequence[Answer]) -> str | None:
    """The first JSON object in an answer's text, if there is one."""
    for answer in answers:
        found = _OBJECT.search(answer.text)
        if found is not None and '"' in found[0]:
            return found[0]
    return None


def _outside(prompt: str) -> str:
    """The prompt without what stands in fences."""
    return _BLOCK.sub(lambda block: block[1], prompt)
