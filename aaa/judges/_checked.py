"""What the checks of two answers say about them: the part of judging that asks no model.

The checks of both answers are ballots like a judge's, each of one contestant alone. A program that could not
tell makes the verdict an `error`; it never counts as a fail.
"""

from typing import Any

from aaa.play import Play, check_all
from aaa.types import (
    CHECKER,
    Ballot,
    Check,
    CheckFailure,
    Judging,
    Message,
    Outcome,
    Side,
    Turn,
    Value,
    Verdict,
)

ROUNDING = 1e-9
"""So much below a margin is at it: 2.3 - 1.8 is less than 0.5."""


class Checked(Value):
    """What follows from the checks of two answers."""

    outcome: Outcome
    winner: Side | None = None
    margin: float | None = None
    """How far the winner is ahead, as a share of what was checked."""
    ballots: tuple[Ballot, Ballot]
    reason: str


def check_both(checker: dict[str, Any], a: Turn, b: Turn, judging: Judging) -> Play[Checked]:
    """Have both answers checked: pass beats fail; two fails are told apart by their scores, if far enough."""
    kind = str(checker["kind"])
    judge = CHECKER + kind
    checks = yield from check_all(checker, (a, b), recorded_as=judge)
    found_a, found_b = checks[a.index], checks[b.index]
    ballots = (_ballot(judge, "a", a, found_a), _ballot(judge, "b", b, found_b))
    if isinstance(found_a, CheckFailure) or isinstance(found_b, CheckFailure):
        reason = next(b.error or "" for b in ballots if b.error)
        return Checked(outcome="error", ballots=ballots, reason=f"checker {kind!r}: {reason}")
    winner = _winner(found_a, found_b, judging.checker_margin)
    return Checked(
        outcome="tie" if winner is None else "win",
        winner=winner,
        margin=abs(found_a.score - found_b.score) if winner is not None else None,
        ballots=ballots,
        reason=f"checker {kind!r}: a {_mark(found_a)}, b {_mark(found_b)}",
    )


def verdict_of(
    checked: Checked, edge: str, context: tuple[Message, ...], a: int, b: int
) -> Verdict:
    """The checks alone as the verdict."""
    return Verdict(
        edge=edge,
        context=context,
        a=a,
        b=b,
        outcome=checked.outcome,
        winner=checked.winner,
        margin=checked.margin,
        ballots=checked.ballots,
        judging="checker",
        reason=checked.reason,
    )


def agreed(checked: Checked, judged: Verdict) -> Verdict:
    """A judge's verdict where the checks name the same side; otherwise no win.

    Opposite sides are a `flip`: two looks at the same pair that contradict each other, as two orders can.
    """
    change: dict[str, Any] = {"ballots": (*checked.ballots, *judged.ballots)}
    if judged.outcome == "win" and judged.winner != checked.winner:
        change |= {
            "outcome": "flip",
            "winner": None,
            "margin": None,
            "reason": f"{checked.reason}; the judge prefers {judged.winner}",
        }
    return judged.model_copy(update=change)


def _winner(a: Check, b: Check, margin: float) -> Side | None:
    if a.passed == b.passed and abs(a.score - b.score) < margin - ROUNDING:
        return None
    return "a" if a.score > b.score else "b"


def _mark(check: Check) -> str:
    if check.passed:
        return "passes"
    return "fails" if check.score == 0 else f"fails at {check.score:.3g}"


def _ballot(judge: str, side: Side, turn: Turn, found: Check | CheckFailure) -> Ballot:
    if isinstance(found, CheckFailure):
        error = f"{found.kind}: {found.message}"
        return Ballot(judge=judge, order=side, turn=turn.index, error=error)
    scores = {side: found.score}
    return Ballot(judge=judge, order=side, turn=turn.index, scores=scores, explanation=found.why)


def finding(ballot: Ballot) -> Check | CheckFailure:
    """The finding that a checker's ballot holds: what was recorded need not be found out again."""
    if ballot.scores is None:
        kind, _, message = (ballot.error or "").partition(": ")
        return CheckFailure.model_validate({"kind": kind, "message": message})
    (score,) = ballot.scores.values()
    return Check(score=score, why=ballot.explanation)
