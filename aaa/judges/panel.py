"""A panel: several judges, each concluding alone by some other judging play, and a declared rule over them.

`majority`: more than half of all judges; `unanimous`: every one of them; `weighted`: more than half of
all weight, a judge's weight being the log-odds of its calibrated accuracy, which is the best rule for
judges that err independently (Nitzan and Paroush, 1982). They rarely do: measure the effective number
of votes before more judges are paid for (Nine Judges, Two Effective Votes, 2605.29800). After PoLL
(2404.18796).

A judge that flips, ties or cannot be read counts against both sides. Each judge's conclusion stands in
the verdict's reason; the margin is the winning share of the votes less the losing one. Left out: judges
that talk (`meta`).
"""

from math import log
from typing import Literal

from pydantic import field_validator, model_validator

from aaa import plugins
from aaa.judges import decided, majority
from aaa.judges._inner import Inner
from aaa.play import Play, together
from aaa.plugins import Contest
from aaa.types import Agent, Outcome, Side, Verdict


class Options(Inner):
    rule: Literal["unanimous", "majority", "weighted"] = "majority"
    accuracy: dict[str, float] | None = None
    """Judge -> its calibrated accuracy, from 0 to 1; for `weighted`, and needed there for every judge."""

    @field_validator("accuracy")
    @classmethod
    def _shares(cls, accuracy: dict[str, float] | None) -> dict[str, float] | None:
        for judge, share in (accuracy or {}).items():
            if not 0 <= share <= 1:
                raise ValueError(f"accuracy of {judge!r} must be from 0 to 1, got {share!r}")
        return accuracy

    @model_validator(mode="after")
    def _has_weights(self) -> "Options":
        if (self.rule == "weighted") != (self.accuracy is not None):
            raise ValueError("`accuracy` goes with rule 'weighted', and only with it")
        return self


def lacks(options: Options, judges: tuple[str, ...]) -> str | None:
    """Judges whose weight is not known."""
    missing = [j for j in judges if options.accuracy is not None and j not in options.accuracy]
    return f"accuracy lacks {', '.join(map(repr, missing))}" if missing else None


def play(contest: Contest, judges: tuple[Agent, ...], options: Options) -> Play[Verdict]:
    """Every judge's own contest, side by side, then the rule."""
    missing = lacks(options, tuple(judge.name for judge in judges))
    if missing is not None:
        return decided(contest, "panel", (), ("error", None), reason=missing)
    inner = plugins.judging_play(options.play)
    chosen = inner.options(**options.options)
    verdicts = yield from together(inner.play(contest, (judge,), chosen) for judge in judges)
    names = [judge.name for judge in judges]
    conclusions = {
        name: verdict.winner or verdict.outcome
        for name, verdict in zip(names, verdicts, strict=True)
    }
    weights = {name: _weight(name, options) for name in names}
    return decided(
        contest,
        "panel",
        [ballot for verdict in verdicts for ballot in verdict.ballots],
        _ruled(conclusions, weights, options.rule),
        margin=_lead(conclusions, weights),
        reason=f"{options.rule}: " + ", ".join(f"{n} {c}" for n, c in conclusions.items()),
    )


def _weight(judge: str, options: Options) -> float:
    """1, or the log-odds of being right; who is no better than a coin has no weight."""
    if options.accuracy is None:
        return 1.0
    right = min(max(options.accuracy[judge], 0.5), 0.99)
    return log(right / (1 - right))


def _ruled(
    conclusions: dict[str, Side | Outcome], weights: dict[str, float], rule: str
) -> tuple[Outcome, Side | None]:
    """The rule's outcome; where nobody wins, what kept most of the judges from it."""
    found = majority(conclusions)
    if rule == "majority":
        return found
    all_weight = sum(weights.values())
    sides: tuple[Side, Side] = ("a", "b")
    for side in sides:
        votes = _votes(conclusions, weights, side)
        if rule == "weighted" and 2 * votes > all_weight:
            return "win", side
        if rule == "unanimous" and all(one == side for one in conclusions.values()):
            return "win", side
    return ("tie", None) if found[0] == "win" else found


def _votes(conclusions: dict[str, Side | Outcome], weights: dict[str, float], side: Side) -> float:
    return sum(weights[judge] for judge, one in conclusions.items() if one == side)


def _lead(conclusions: dict[str, Side | Outcome], weights: dict[str, float]) -> float | None:
    """How far the sides lie apart, as a share of all weight; `None` where nobody has any."""
    all_weight = sum(weights.values())
    if all_weight == 0:
        return None
    a, b = (_votes(conclusions, weights, side) for side in ("a", "b"))
    return abs(a - b) / all_weight
