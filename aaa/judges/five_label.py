"""Five verdicts instead of three: much better, slightly better, about the same, in both orders.

After Arena-Hard (lmarena/arena-hard-auto): the judge may answer the question first, then gives one of five
labels; strong votes weigh three times as much, in both games. The weight of a vote is on its ballot as the
score of the answer preferred, and the mean is the verdict's margin: 1 for two slight votes, 3 for two strong
ones. Left out: counting a strong vote in one order against a slight one in the other; that is a flip.
"""

from pydantic import Field

from aaa.judges import decided, labels_for
from aaa.judges._own import own_answers
from aaa.judges._written import (
    Asked,
    Unreadable,
    Written,
    ballot_call,
    closed,
    fenced,
    in_both_orders,
    material,
    parsed,
    poll,
    sides,
)
from aaa.judges.scores import with_margin
from aaa.play import Play
from aaa.plugins import Contest
from aaa.prompts import prompts_beside
from aaa.types import Agent, Ballot, Call, JsonShape, Turn, Value, Verdict

PROMPTS = prompts_beside(__file__)
STRONG = 3.0


class Options(Value):
    margin: float = Field(1.0, ge=0, le=STRONG)
    """A mean weight below this, over both orders, is a tie: 1 takes every win, 2 those with a strong vote, 3
    those with two."""
    answer_first: bool = False
    """Have the judge answer the question itself before it compares."""
    answer_tokens: int = Field(800, ge=20, le=8000)
    """Room for its own answer, in tokens."""
    explanation_tokens: int = Field(400, ge=20, le=4000)
    """Room for the judge's reply, in tokens."""


class Labelled(Written):
    """What the judge must return."""

    explanation: str
    verdict: str


def play(contest: Contest, judges: tuple[Agent, ...], options: Options) -> Play[Verdict]:
    """Two calls per judge in one batch, after its own answer where that is asked for."""
    labels = labels_for(contest.salt)
    own: dict[str, str | None] = {}
    if options.answer_first:
        own = yield from own_answers(contest, judges, options.answer_tokens)

    def call(asked: Asked) -> Call:
        text = _text(contest, asked, labels, own.get(asked.judge))
        texts = (PROMPTS.fill("system"), text)
        return ballot_call(contest, asked.judge, texts, _shape(labels), options.explanation_tokens)

    def read(asked: Asked, turn: Turn) -> Ballot:
        return _read(asked, turn, labels)

    ballots = tuple((yield from poll(in_both_orders(judges), call, read)).values())
    found, margin = with_margin(ballots, options.margin)
    return decided(contest, "five_label", ballots, found, margin=margin)


def _text(contest: Contest, asked: Asked, labels: tuple[str, str], own: str | None) -> str:
    parts = [material(contest, asked.order, labels)]
    if own is not None:
        parts.append(fenced(PROMPTS, "own", contest, own=own))
    parts.append(PROMPTS.fill("decide", one=labels[0], two=labels[1]))
    return "\n\n".join(parts)


def _weights(labels: tuple[str, str]) -> dict[str, float]:
    """Verdict -> how much better the answer shown first is."""
    one, two = labels
    return {
        f"{one}>>{two}": STRONG,
        f"{one}>{two}": 1.0,
        f"{one}={two}": 0.0,
        f"{two}>{one}": -1.0,
        f"{two}>>{one}": -STRONG,
    }


def _shape(labels: tuple[str, str]) -> JsonShape:
    verdict = {"type": "string", "enum": list(_weights(labels))}
    return closed("verdict", {"explanation": {"type": "string"}, "verdict": verdict})


def _read(asked: Asked, turn: Turn, labels: tuple[str, str]) -> Ballot:
    written = parsed(turn, Labelled)
    weight = _weights(labels).get(written.verdict)
    if weight is None:
        raise Unreadable(f"unknown verdict {written.verdict!r}")
    named = sides(labels, asked.order)
    one, two = named[labels[0]], named[labels[1]]
    return Ballot(
        judge=asked.judge,
        order=asked.order,
        turn=turn.index,
        prefers="tie" if weight == 0 else one if weight > 0 else two,
        scores={one: max(weight, 0.0), two: max(-weight, 0.0)},
        explanation=written.explanation,
    )
