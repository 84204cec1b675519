"""Marks by criteria: each answer alone, each criterion with a written rationale and a score from 1 to 5.

After UltraFeedback (2310.01377): four aspects, each marked with a reason; a scenario may bring criteria
of its own. An answer is marked without sight of the other, so there is no order to swap. A rationale
that names another score than the one given makes the ballot an error: UltraFeedback's own parser had
turned ones into tens.

A contestant's score is the mean over the criteria; the verdict's margin is the winner's lead, averaged
over judges. Left out: weights (leave a criterion out, or name it twice in other words).
"""

from statistics import fmean

from pydantic import Field, field_validator

from aaa.judges import decided, leader, majority, with_lead
from aaa.judges._written import (
    Asked,
    Unreadable,
    Written,
    ballot_call,
    check_stated,
    closed,
    closed_object,
    fenced,
    parsed,
    poll,
)
from aaa.play import Play
from aaa.plugins import Contest
from aaa.prompts import prompts_beside, shown
from aaa.types import Agent, Ballot, Call, JsonShape, Side, Turn, Value, Verdict

PROMPTS = prompts_beside(__file__)
MOST = 5
ASPECTS = ("instruction_following", "truthfulness", "honesty", "helpfulness")


class Options(Value):
    criteria: dict[str, str] = Field(default_factory=lambda: {a: PROMPTS.fill(a) for a in ASPECTS})
    """Name -> what is asked; names of small letters, digits and underscores."""
    margin: float = Field(0.5, ge=0, le=4)
    """A gap of the means below this is a tie, in points."""
    rationale_tokens: int = Field(150, ge=20, le=2000)
    """Room for each criterion, in tokens."""

    @field_validator("criteria")
    @classmethod
    def _named(cls, criteria: dict[str, str]) -> dict[str, str]:
        if not 1 <= len(criteria) <= 20:
            raise ValueError(f"give 1 to 20 criteria, got {len(criteria)}")
        wrong = [n for n in criteria if not (n.isascii() and n.isidentifier() and n.islower())]
        if wrong:
            raise ValueError(f"not a name of small letters, digits and underscores: {wrong[0]!r}")
        return criteria


class Mark(Written):
    """What the judge must return for each criterion."""

    rationale: str
    score: int = Field(ge=1, le=MOST)


class Marks(Written):
    """Criterion -> mark."""

    marks: dict[str, Mark]


def play(contest: Contest, judges: tuple[Agent, ...], options: Options) -> Play[Verdict]:
    """One call per judge and answer, all in one batch; unreadable ones again, once."""

    def call(asked: Asked) -> Call:
        tokens = 50 + options.rationale_tokens * len(options.criteria)
        texts = (PROMPTS.fill("system"), _text(contest, asked, options))
        return ballot_call(contest, asked.judge, texts, _shape(options), tokens)

    def read(asked: Asked, turn: Turn) -> Ballot:
        return _read(asked, turn, options)

    alone = [Asked(judge.name, side) for judge in judges for side in ("a", "b")]
    ballots = tuple((yield from poll(alone, call, read)).values())
    leads = {judge.name: _lead(ballots, judge.name) for judge in judges}
    conclusions = {name: leader(lead, options.margin) for name, lead in leads.items()}
    found, margin = with_lead(majority(conclusions), leads.values())
    return decided(contest, "rubric", ballots, found, margin=margin)


def _text(contest: Contest, asked: Asked, options: Options) -> str:
    answer = contest.a.text if asked.order == "a" else contest.b.text
    question = shown(contest.context)
    parts = [fenced(PROMPTS, "mark", contest, question=question, answer=answer)]
    if contest.reference is not None:
        parts.append(fenced(PROMPTS, "reference", contest, reference=contest.reference))
    listed = "\n".join(f"- {name}: {asks}" for name, asks in options.criteria.items())
    parts.append(PROMPTS.fill("criteria", criteria=listed))
    return "\n\n".join(parts)


def _shape(options: Options) -> JsonShape:
    score = {"type": "integer", "minimum": 1, "maximum": MOST}
    mark = closed_object({"rationale": {"type": "string"}, "score": score})
    return closed("marks", dict.fromkeys(options.criteria, mark))


def _read(asked: Asked, turn: Turn, options: Options) -> Ballot:
    marks = parsed(turn, Marks, inside="marks").marks
    if set(marks) != set(options.criteria):
        raise Unreadable(f"the criteria marked are not {', '.join(options.criteria)}")
    for mark in marks.values():
        check_stated(mark.rationale, {mark.score}, MOST)
    said = "\n".join(f"{n}: {marks[n].score}. {marks[n].rationale}" for n in options.criteria)
    side: Side = "a" if asked.order == "a" else "b"
    return Ballot(
        judge=asked.judge,
        order=asked.order,
        turn=turn.index,
        scores={side: fmean(mark.score for mark in marks.values())},
        explanation=said,
    )


def _lead(ballots: tuple[Ballot, ...], judge: str) -> float | None:
    """How far a is ahead of b for one judge, in points; `None` where a ballot could not be read."""
    own = [ballot.scores for ballot in ballots if ballot.judge == judge]
    scores = {side: score for given in own if given for side, score in given.items()}
    return scores["a"] - scores["b"] if len(scores) == 2 else None
