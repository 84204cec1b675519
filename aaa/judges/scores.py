"""Scores from 1 to 10 for two answers side by side, in both orders, with a margin K.

After Arena Learning (2407.10627, section 4.1): explanation and a score for each answer, two games with the
order swapped, the higher score wins, and pairs closer than K are not kept (K = 1 to 3 there, by stage). What
happens when the two games disagree is not in the paper; here it is a flip. A score that contradicts the
explanation makes the ballot an error.

The verdict's margin is the winner's mean lead over both orders and all judges, in points. Left out: K by
training stage.
"""

from statistics import fmean

from pydantic import Field

from aaa.judges import conclude, decided, labels_for, majority, with_lead
from aaa.judges._written import (
    Asked,
    Unreadable,
    Written,
    ballot_call,
    check_stated,
    closed,
    closed_object,
    in_both_orders,
    material,
    parsed,
    poll,
    sides,
)
from aaa.play import Play
from aaa.plugins import Contest
from aaa.prompts import prompts_beside
from aaa.types import Agent, Ballot, Call, JsonShape, Outcome, Side, Turn, Value, Verdict

PROMPTS = prompts_beside(__file__)
MOST = 10


class Options(Value):
    margin: float = Field(1.0, ge=0, le=9)
    """K: a mean gap below so many points, over both orders, is a tie."""
    explanation_tokens: int = Field(400, ge=20, le=4000)
    """Room for the judge's reply, in tokens."""


class Scores(Written):
    """What the judge must return; `scores`: label -> points."""

    explanation: str
    scores: dict[str, int]


def play(contest: Contest, judges: tuple[Agent, ...], options: Options) -> Play[Verdict]:
    """Two calls per judge in one batch; unreadable ones again, once."""
    labels = labels_for(contest.salt)

    def call(asked: Asked) -> Call:
        text = PROMPTS.fill("decide", label_one=labels[0], label_two=labels[1])
        texts = (
            PROMPTS.fill("system"),
            f"{material(contest, asked.order, labels)}\n\n{text}",
        )
        return ballot_call(contest, asked.judge, texts, _shape(labels), options.explanation_tokens)

    def read(asked: Asked, turn: Turn) -> Ballot:
        return _read(asked, turn, labels)

    ballots = tuple((yield from poll(in_both_orders(judges), call, read)).values())
    found, margin = with_margin(ballots, options.margin)
    return decided(contest, "scores", ballots, found, margin=margin)


def with_margin(
    ballots: tuple[Ballot, ...], margin: float
) -> tuple[tuple[Outcome, Side | None], float | None]:
    """As `with_lead`, of judges that were asked in both orders; a lead below the margin is a judge's tie."""
    conclusions = conclude(ballots)
    leads = {judge: _lead(ballots, judge) for judge in conclusions}
    for judge, side in conclusions.items():
        lead = leads[judge]
        if side in ("a", "b") and (lead is None or abs(lead) < margin):
            conclusions[judge] = "tie"
    return with_lead(majority(conclusions), leads.values())


def _lead(ballots: tuple[Ballot, ...], judge: str) -> float | None:
    """How far a judge has a ahead of b, on average over both orders; `None` where one could not be read."""
    own = [ballot.scores for ballot in ballots if ballot.judge == judge]
    read = [scores["a"] - scores["b"] for scores in own if scores is not None]
    return fmean(read) if len(read) == len(own) else None


def _shape(labels: tuple[str, str]) -> JsonShape:
    score = {"type": "integer", "minimum": 1, "maximum": MOST}
    scores = closed_object(dict.fromkeys(labels, score))
    return closed("scores", {"explanation": {"type": "string"}, "scores": scores})


def _read(asked: Asked, turn: Turn, labels: tuple[str, str]) -> Ballot:
    written = parsed(turn, Scores)
    given = written.scores
    if set(given) != set(labels) or not all(1 <= score <= MOST for score in given.values()):
        raise Unreadable(f"no score from 1 to {MOST} for each of {' and '.join(labels)}")
    check_stated(written.explanation, set(given.values()), MOST)
    named = sides(labels, asked.order)
    one, two = given[labels[0]], given[labels[1]]
    return Ballot(
        judge=asked.judge,
        order=asked.order,
        turn=turn.index,
        prefers="tie" if one == two else named[labels[0]] if one > two else named[labels[1]],
        scores={named[label]: float(given[label]) for label in labels},
        explanation=written.explanation,
    )
