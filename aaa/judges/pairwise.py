"""Pairwise judging with a written, structured verdict, in both orders.

The judge explains, then names the better answer by a blind label; labels and delimiters change with
every comparison. Only the JSON that the shape demands is read: nothing in an answer's text can be
taken for the verdict. An unreadable ballot is asked once more, then it is an error, never a tie.
A win needs both orders (MT-Bench, 2306.05685 section 3.4; explanation first as in Arena-Hard).
"""

import json
import random
from collections.abc import Callable
from itertools import product
from typing import Literal

from pydantic import Field, ValidationError

from aaa.judges import conclude, fence, majority
from aaa.play import Play, try_all
from aaa.plugins import Contest
from aaa.prompts import prompts_beside, shown
from aaa.types import Agent, Ballot, Call, JsonShape, Message, Sampling, Side, Turn, Value, Verdict

PROMPTS = prompts_beside(__file__)
LABELS = "FGHJKLMNPQRSTVWXZ"  # none that suggests a rank

Order = Literal["ab", "ba"]


class Options(Value):
    explanation_tokens: int = Field(300, ge=20, le=4000)
    """Room for the judge's reply, in tokens."""


class Written(Value):
    """What the judge must return."""

    explanation: str
    better: str


def play(contest: Contest, judges: tuple[Agent, ...], options: Options) -> Play[Verdict]:
    """Two calls per judge in one batch; unreadable ones again, once."""
    labels = _labels(contest.salt)

    def call(asked: tuple[Agent, Order]) -> Call:
        return _call(contest, asked[0].name, asked[1], labels, options)

    orders: tuple[Order, Order] = ("ab", "ba")
    ballots = yield from _ask(list(product(judges, orders)), call, labels)
    unreadable = [key for key, ballot in ballots.items() if ballot.error]
    again = yield from _ask(unreadable, call, labels)
    ballots |= again
    outcome, winner = majority(conclude(ballots.values()))
    return Verdict(
        edge=contest.edge,
        context=contest.context,
        a=contest.a.index,
        b=contest.b.index,
        outcome=outcome,
        winner=winner,
        ballots=tuple(ballots.values()),
        judging="pairwise",
        reason=next((b.error for b in ballots.values() if b.error), "")
        if outcome == "error"
        else "",
    )


def _ask(
    asked: list[tuple[Agent, Order]],
    call: Callable[[tuple[Agent, Order]], Call],
    labels: tuple[str, str],
) -> Play[dict[tuple[Agent, Order], Ballot]]:
    turns = yield from try_all(call(key) for key in asked)
    return {
        key: read(turn, key[0].name, key[1], labels) for key, turn in zip(asked, turns, strict=True)
    }


def _labels(salt: str) -> tuple[str, str]:
    first, second = random.Random(f"labels/{salt}").sample(LABELS, 2)
    return first, second


def _call(
    contest: Contest, judge: str, order: Order, labels: tuple[str, str], options: Options
) -> Call:
    answers = {"a": contest.a.text, "b": contest.b.text}
    text = PROMPTS.fill(
        "compare",
        fence=fence(contest.salt),
        question=shown(contest.context),
        label_one=labels[0],
        label_two=labels[1],
        one=answers[order[0]],
        two=answers[order[1]],
    )
    if contest.reference is not None:
        text += "\n\n" + PROMPTS.fill(
            "reference", fence=fence(contest.salt), reference=contest.reference
        )
    return Call(
        seat="judge",
        agent=judge,
        purpose="ballot",
        messages=(
            Message(role="system", content=PROMPTS.fill("system")),
            Message(role="user", content=text),
        ),
        sampling=Sampling(temperature=0, max_tokens=options.explanation_tokens),
        shape=JsonShape(name="verdict", fields=_schema(labels)),
    )


def _schema(labels: tuple[str, str]) -> dict[str, object]:
    return {
        "type": "object",
        "properties": {
            "explanation": {"type": "string"},
            "better": {"type": "string", "enum": [*labels, "tie"]},
        },
        "required": ["explanation", "better"],
        "additionalProperties": False,
    }


def read(turn: Turn, judge: str, order: Order, labels: tuple[str, str]) -> Ballot:
    """The ballot in a judge's reply, or why there is none. Strict: one JSON object, a known label."""
    error = None
    written = None
    if turn.failure is not None:
        error = f"{turn.failure.kind}: {turn.failure.message}"
    else:
        try:
            written = Written.model_validate(json.loads(turn.text))
        except (ValueError, ValidationError) as problem:
            error = f"not a verdict: {str(problem).splitlines()[0]}"
    places: dict[str, Side | Literal["tie"]] = {
        labels[0]: "a" if order == "ab" else "b",
        labels[1]: "b" if order == "ab" else "a",
        "tie": "tie",
    }
    if written is not None and written.better not in places:
        error = f"unknown label {written.better!r}"
    if written is None or error is not None:
        return Ballot(judge=judge, order=order, turn=turn.index, error=error)
    return Ballot(
        judge=judge,
        order=order,
        turn=turn.index,
        prefers=places[written.better],
        explanation=written.explanation,
    )
