"""A judge of judgements: other judges write theirs, a meta-judge decides which one holds.

After Meta-Rewarding (2407.19594), where a meta-judge compares judgements to train the judge; here it
decides the contest. It sees the question, both answers and every readable ballot with its words, twice:
once in one order, once with the answers and the judgements in the other. A win needs the same side both
times. Its ballots are kept after the others'; what they prefer is what the judgement that holds
prefers.

The meta-judge is the last of the judges, or the one that `judge` names; a judge alone judges its own
judgements. Left out: training data about judgements.
"""

import random
from collections.abc import Mapping

from pydantic import Field, model_validator

from aaa import plugins
from aaa.judges import LABELS, conclude, decided, fence, labels_for, majority, salt_for
from aaa.judges._inner import Inner
from aaa.judges._written import (
    Asked,
    Order,
    Unreadable,
    Written,
    ballot_call,
    closed,
    in_both_orders,
    material,
    parsed,
    poll,
    sides,
)
from aaa.play import Play
from aaa.plugins import Contest
from aaa.prompts import prompts_beside
from aaa.types import Agent, Ballot, Call, JsonShape, Turn, Verdict

PROMPTS = prompts_beside(__file__)
COMPARING = ("pairwise", "scores", "five_label", "reference")
"""Plays whose ballots each prefer a side and say why."""
NONE = "none"


class Options(Inner):
    judge: str | None = None
    """Name of the meta-judge; `None`: the last of the judges."""
    explanation_tokens: int = Field(400, ge=20, le=4000)
    """Room for the meta-judge's reply, in tokens."""

    @model_validator(mode="after")
    def _compares(self) -> "Options":
        if self.play not in COMPARING:
            raise ValueError(f"{self.play!r} writes no judgements; valid: {', '.join(COMPARING)}")
        return self


class Holding(Written):
    """What the meta-judge must return."""

    explanation: str
    holds: str


def lacks(options: Options, judges: tuple[str, ...]) -> str | None:
    """A meta-judge that is none of the judges."""
    if options.judge in (None, *judges):
        return None
    return f"judge {options.judge!r} is not seated; there are: {', '.join(judges)}"


def play(contest: Contest, judges: tuple[Agent, ...], options: Options) -> Play[Verdict]:
    """The inner play, then two calls to the meta-judge in one batch."""
    metas = [judge for judge in judges if options.judge in (None, judge.name)][-1:]
    if not metas:
        reason = f"the meta-judge {options.judge!r} may not judge these contestants, or is no judge"
        return decided(contest, "meta", (), ("abstain", None), reason=reason)
    inner = plugins.judging_play(options.play)
    jurors = tuple(judge for judge in judges if judge not in metas) or judges
    heard = yield from inner.play(contest, jurors, inner.options(**options.options))
    readable = tuple(ballot for ballot in heard.ballots if ballot.prefers is not None)
    if not readable:
        return heard.model_copy(update={"judging": "meta"})
    anew = _anew(contest, readable)
    labels = _other_labels(anew, labels_for(contest.salt))

    def call(asked: Asked) -> Call:
        text = _text(anew, asked.order, labels, labels_for(contest.salt), readable)
        texts = (PROMPTS.fill("system"), text)
        return ballot_call(
            anew, asked.judge, texts, _shape(len(readable)), options.explanation_tokens
        )

    def read(asked: Asked, turn: Turn) -> Ballot:
        return _read(asked, turn, readable)

    ballots = (yield from poll(in_both_orders(metas), call, read)).values()
    found = majority(conclude(ballots))
    reason = next((b.error for b in ballots if b.error), "") if found[0] == "error" else ""
    return decided(contest, "meta", [*heard.ballots, *ballots], found, reason=reason)


def _anew(contest: Contest, ballots: tuple[Ballot, ...]) -> Contest:
    """The contest with a delimiter that no judgement holds: a judge may have quoted the old one."""
    salt = salt_for(
        contest.salt, contest.a.text, contest.b.text, *(ballot.explanation for ballot in ballots)
    )
    return contest.model_copy(update={"salt": salt})


def _other_labels(contest: Contest, taken: tuple[str, str]) -> tuple[str, str]:
    """Labels that the judgements do not use already, each of a place."""
    free = [label for label in LABELS if label not in taken]
    first, second = random.Random(f"labels/{contest.salt}").sample(free, 2)
    return first, second


def _shown(order: Order, ballots: tuple[Ballot, ...]) -> tuple[Ballot, ...]:
    """The judgements as they are numbered in that order."""
    return ballots if order == "ab" else ballots[::-1]


def _text(
    contest: Contest,
    order: Order,
    labels: tuple[str, str],
    theirs: tuple[str, str],
    ballots: tuple[Ballot, ...],
) -> str:
    here: dict[str | None, str] = {side: label for label, side in sides(labels, order).items()}
    parts = [material(contest, order, labels)]
    for number, ballot in enumerate(_shown(order, ballots), 1):
        named = sides(theirs, ballot.order)
        preferred = here.get(ballot.prefers)
        blanks = {
            "number": str(number),
            "finding": PROMPTS.fill("neither")
            if preferred is None
            else PROMPTS.fill("better", label=preferred),
            "scores": _scores(ballot, here),
        }
        if ballot.explanation.strip():
            names = " and ".join(f"{old} is answer {here[side]}" for old, side in named.items())
            blanks |= {"names": names, "words": ballot.explanation}
            parts.append(PROMPTS.fill("judgement", fence=fence(contest.salt), **blanks))
        else:
            parts.append(PROMPTS.fill("no_words", **blanks))
    numbers = ", ".join(f'"{number}"' for number in range(1, len(ballots) + 1))
    parts.append(PROMPTS.fill("decide", numbers=numbers))
    return "\n\n".join(parts)


def _scores(ballot: Ballot, here: Mapping[str | None, str]) -> str:
    if ballot.scores is None:
        return ""
    scores = {here[side]: score for side, score in ballot.scores.items()}
    return " It gives " + " and ".join(f"{k} {scores[k]:g}" for k in sorted(scores)) + "."


def _shape(judgements: int) -> JsonShape:
    numbers = [str(number) for number in range(1, judgements + 1)]
    holds = {"type": "string", "enum": [*numbers, NONE]}
    return closed("holding", {"explanation": {"type": "string"}, "holds": holds})


def _read(asked: Asked, turn: Turn, ballots: tuple[Ballot, ...]) -> Ballot:
    """The meta-judge's ballot; where no judgement holds it prefers nothing. Raises `Unreadable`."""
    written = parsed(turn, Holding)
    shown = {str(number): b for number, b in enumerate(_shown(asked.order, ballots), 1)}
    if written.holds != NONE and written.holds not in shown:
        raise Unreadable(f"there is no judgement {written.holds!r}")
    held = shown.get(written.holds)
    return Ballot(
        judge=asked.judge,
        order=asked.order,
        turn=turn.index,
        prefers=None if held is None else held.prefers,
        explanation=written.explanation,
    )
