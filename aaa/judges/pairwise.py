"""Pairwise judging with a written, structured verdict, in both orders.

The judge explains, then names the better answer by a blind label; labels and delimiters change with every
comparison. It sees the seed's reference where there is one. A win needs both orders (MT-Bench, 2306.05685
section 3.4; explanation first as in Arena-Hard). Left out: a margin; a judge that says "better" is taken at
its word.
"""

from typing import Literal

from pydantic import Field

from aaa.judges import conclude, decided, labels_for, majority
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
from aaa.play import Play
from aaa.plugins import Contest
from aaa.prompts import prompts_beside
from aaa.types import Agent, Ballot, Call, JsonShape, Side, Turn, Value, Verdict

PROMPTS = prompts_beside(__file__)


class Options(Value):
    explanation_tokens: int = Field(300, ge=20, le=4000)
    """Room for the judge's reply, in tokens."""


class Choice(Written):
    """What the judge must return."""

    explanation: str
    better: str


def play(contest: Contest, judges: tuple[Agent, ...], options: Options) -> Play[Verdict]:
    """Two calls per judge in one batch; unreadable ones again, once."""
    labels = labels_for(contest.salt)

    def call(asked: Asked) -> Call:
        parts = [material(contest, asked.order, labels)]
        if contest.reference is not None:
            parts.append(fenced(PROMPTS, "reference", contest, reference=contest.reference))
        parts.append(PROMPTS.fill("decide", label_one=labels[0], label_two=labels[1]))
        texts = (PROMPTS.fill("system"), "\n\n".join(parts))
        return ballot_call(contest, asked.judge, texts, shape(labels), options.explanation_tokens)

    def read(asked: Asked, turn: Turn) -> Ballot:
        return read_choice(asked, turn, labels)

    ballots = yield from poll(in_both_orders(judges), call, read)
    found = majority(conclude(ballots.values()))
    return decided(contest, "pairwise", ballots.values(), found)


def shape(labels: tuple[str, str]) -> JsonShape:
    """The JSON that names the better of two labels."""
    better = {"type": "string", "enum": [*labels, "tie"]}
    return closed("verdict", {"explanation": {"type": "string"}, "better": better})


def read_choice(asked: Asked, turn: Turn, labels: tuple[str, str]) -> Ballot:
    """The ballot in a reply of that shape. Raises `Unreadable`."""
    choice = parsed(turn, Choice)
    places: dict[str, Side | Literal["tie"]] = {**sides(labels, asked.order), "tie": "tie"}
    if choice.better not in places:
        raise Unreadable(f"unknown label {choice.better!r}")
    return Ballot(
        judge=asked.judge,
        order=asked.order,
        turn=turn.index,
        prefers=places[choice.better],
        explanation=choice.explanation,
    )
