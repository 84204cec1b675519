"""Shared: points from 0 to 5 for answers, each seen alone by its judge, several times if wanted.

An additive scale after Self-Rewarding Language Models (2401.10020, its figure 2): points are added up for
what holds, after a written rationale; the wording is ours. A reply is read strictly, asked once more where it
cannot be read, and then is no score: never a middle one, never 0. A rationale that names another score than
the one given cannot be read either. An answer's score is the mean over its readable judgements; who judges
is who may (`eligible`), so two answers are compared by judges that may judge both.

Left out: seeing both answers at once (that is `compare`), and what is done with scores.
"""

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Any, Literal, NamedTuple

from pydantic import Field

from aaa.judges import eligible, fence, salt_for
from aaa.judges._checked import agreed, check_both, verdict_of
from aaa.judges._written import (
    LONGEST_ERROR,
    Unreadable,
    Written,
    check_stated,
    closed,
    once_more,
    parsed,
)
from aaa.play import Play, try_all
from aaa.prompts import prompts_beside, shown
from aaa.protocols._battle import related
from aaa.types import (
    Ballot,
    Call,
    Cast,
    Message,
    Messages,
    Outcome,
    Sampling,
    Seed,
    Side,
    Turn,
    Value,
    Verdict,
)

PROMPTS = prompts_beside(__file__)
MOST = 5
JUDGING = "points"
"""`Verdict.judging` of what follows from points; its margins are in points."""
_SHAPE = closed(
    "points",
    {
        "rationale": {"type": "string"},
        "score": {"type": "integer", "minimum": 0, "maximum": MOST},
    },
)


class Marking(Value):
    """How answers are scored."""

    votes: int = Field(1, ge=1)
    """How often each judge scores each answer."""
    temperature: float = 0.0
    rationale_tokens: int = 200


class Points(Written):
    """What a judge must return."""

    rationale: str
    score: int = Field(ge=0, le=MOST)


class Judgement(Value):
    """One judge's score for one answer."""

    judge: str
    turn: Turn
    """Holds the judge's raw words."""
    asked: Messages
    """What it was asked first, whether or not it had to be asked once more."""
    score: int | None
    """`None`: it could not be read."""
    rationale: str = ""
    error: str | None = None


class Scored(NamedTuple):
    """An answer and what judges say of it."""

    answer: Turn
    judgements: tuple[Judgement, ...]

    def score(self, judges: Iterable[str] | None = None) -> float | None:
        """Mean of the readable scores, of these judges or of all; `None` without any."""
        names = None if judges is None else set(judges)
        known = [
            one.score
            for one in self.judgements
            if one.score is not None and (names is None or one.judge in names)
        ]
        return fmean(known) if known else None


def score_all(
    cast: Cast, seed: Seed, answers: Sequence[Turn], marking: Marking
) -> Play[tuple[Scored, ...]]:
    """Every answer scored by every judge that may, all in one batch; unreadable ones again, once."""
    asked = [
        (answer, judge.name)
        for answer in answers
        for judge in eligible(cast, (answer.call.agent,))
        for _ in range(marking.votes)
    ]
    calls = [_call(seed, answer, judge, marking) for answer, judge in asked]
    turns = list((yield from try_all(calls)))
    unread = [i for i, turn in enumerate(turns) if turn.failure is None and _error(turn)]
    again = yield from try_all(once_more(calls[i]) for i in unread)
    for i, turn in zip(unread, again, strict=True):
        turns[i] = turn
    found: dict[int, list[Judgement]] = {answer.index: [] for answer in answers}
    for (answer, judge), call, turn in zip(asked, calls, turns, strict=True):
        found[answer.index].append(_judgement(judge, call, turn))
    return tuple(Scored(answer, tuple(found[answer.index])) for answer in answers)


def by_points(
    cast: Cast,
    seed: Seed,
    a: Scored,
    b: Scored,
    *,
    edge: str,
    instead: tuple[Outcome, str] | None = None,
) -> Play[Verdict]:
    """The verdict on two scored answers: the higher mean wins; and the seed's checker, where it is applied.

    `instead`: outcome and reason in place of a win, where the pair was not to be made.
    """
    names = [judge.name for judge in eligible(cast, (a.answer.call.agent, b.answer.call.agent))]
    outcome, winner, margin, why = _found(a, b, names)
    if instead is not None and outcome == "win":
        (outcome, why), winner, margin = instead, None, None
    sides: tuple[tuple[Side, Scored], ...] = (("a", a), ("b", b))
    verdict = Verdict(
        edge=edge,
        context=seed.prompt,
        a=a.answer.index,
        b=b.answer.index,
        outcome=outcome,
        winner=winner,
        margin=margin,
        ballots=tuple(
            _ballot(side, one)
            for side, scored in sides
            for one in scored.judgements
            if one.judge in names
        ),
        judging=JUDGING,
        related_judges=related(cast, a.answer, b.answer),
        reason=why,
    )
    if seed.checker is None or instead is not None:
        return verdict
    return (yield from _checked(cast, seed.checker, a.answer, b.answer, verdict))


def _checked(
    cast: Cast, checker: dict[str, Any], a: Turn, b: Turn, verdict: Verdict
) -> Play[Verdict]:
    """As `compare` does it: the checker alone, or the checker and the judges on the same side."""
    mode = cast.judging.checker
    if mode == "off" or (mode == "agrees" and verdict.outcome != "win"):
        return verdict
    checked = yield from check_both(checker, a, b, cast.judging)
    if mode == "decides" or checked.outcome != "win":
        return verdict_of(checked, verdict.edge, verdict.context, a.index, b.index)
    return agreed(checked, verdict)


def _call(seed: Seed, answer: Turn, judge: str, marking: Marking) -> Call:
    question, reference = shown(seed.prompt), seed.reference
    mark = fence(salt_for(seed.id, question, answer.text, reference or ""))
    parts = [PROMPTS.fill("grade", fence=mark, question=question, answer=answer.text)]
    if reference is not None:
        parts.append(PROMPTS.fill("reference", fence=mark, reference=reference))
    parts.append(PROMPTS.fill("points"))
    return Call(
        seat="judge",
        agent=judge,
        purpose="score",
        messages=(
            Message(role="system", content=PROMPTS.fill("system")),
            Message(role="user", content="\n\n".join(parts)),
        ),
        sampling=Sampling(
            temperature=marking.temperature, max_tokens=50 + marking.rationale_tokens
        ),
        shape=_SHAPE,
    )


def _read(turn: Turn) -> Points:
    """The points in a turn. Raises `Unreadable`."""
    points = parsed(turn, Points)
    check_stated(points.rationale, {points.score}, MOST)
    return points


def _error(turn: Turn) -> str | None:
    """Why there are no points in a turn, or `None`."""
    if turn.failure is not None:
        return f"{turn.failure.kind}: {turn.failure.message}"[:LONGEST_ERROR]
    try:
        _read(turn)
    except Unreadable as problem:
        return str(problem)[:LONGEST_ERROR]
    return None


def _judgement(judge: str, call: Call, turn: Turn) -> Judgement:
    error = _error(turn)
    points = _read(turn) if error is None else None
    return Judgement(
        judge=judge,
        turn=turn,
        asked=call.messages,
        score=points and points.score,
        rationale=points.rationale if points else "",
        error=error,
    )


def _found(
    a: Scored, b: Scored, judges: list[str]
) -> tuple[Outcome, Side | None, float | None, str]:
    """(outcome, winner, margin, reason) by the scores alone."""
    if not judges:
        return "abstain", None, None, "every judge is related to a contestant"
    of_a, of_b = a.score(judges), b.score(judges)
    if of_a is None or of_b is None:
        unread = a if of_a is None else b
        return "error", None, None, next((j.error for j in unread.judgements if j.error), "")
    told = f"points: a {of_a:.3g}, b {of_b:.3g}"
    if of_a == of_b:
        return "tie", None, 0.0, told
    return "win", "a" if of_a > of_b else "b", abs(of_a - of_b), told


def _ballot(side: Literal["a", "b"], one: Judgement) -> Ballot:
    return Ballot(
        judge=one.judge,
        order=side,
        turn=one.turn.index,
        scores=None if one.score is None else {side: float(one.score)},
        explanation=one.rationale,
        error=one.error,
    )
