"""Whether a trained student goes on: its battles against its parent on seeds that neither was taught with.

It is let in when it wins more often than the bound, and the interval says so too: the lower end must lie
above it. Ties and flips are half a win. An answer without content loses, though no judge is shown one: who
falls silent must not be let in on the few seeds where it speaks. Several comparisons on one seed count as
one, since they are not independent. The interval is Student's t over seeds, one-sided at `level`; for a
handful of seeds it is wide, and that is right. Ours; WizardLM-2 and Arena Learning publish no rule.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import mean, stdev

from pydantic import Field

from aaa.battles import SCORES
from aaa.checkers import grade
from aaa.judges._content import has_content
from aaa.transcripts import Transcript
from aaa.types import Check, Value, Verdict

FEWEST = 8
"""With fewer decided seeds than these, nobody goes on."""
MOST_UNDECIDED = 0.25
"""With a larger part of the comparisons undecided, nobody goes on."""


class Bound(Value):
    """What a student must show."""

    win_rate: float = Field(0.5, ge=0, lt=1)
    """It must win more often than this, ties as half."""
    level: float = Field(0.95, gt=0.5, lt=1)
    """With this confidence, one-sided."""


class Admission(Value):
    """What the battles said."""

    student: str
    parent: str
    seeds: int
    """Seeds with a decided comparison."""
    wins: int
    ties: int
    losses: int
    undecided: int
    """Comparisons that were not judged, or could not be read."""
    win_rate: float | None
    low: float | None
    """Lower end of the interval."""
    admitted: bool
    why: str


def admission(
    transcripts: Iterable[Transcript], student: str, parent: str, bound: Bound
) -> Admission:
    """Judge the student by its battles against its parent in these sessions."""
    scores: dict[str, list[float]] = {}
    undecided = 0
    for transcript in transcripts:
        for verdict in transcript.recorded.verdicts:
            agents = [transcript.turn(index).call.agent for index in (verdict.a, verdict.b)]
            if set(agents) != {student, parent}:
                continue
            a = _score(verdict, transcript)
            if a is None:
                undecided += 1
                continue
            scores.setdefault(transcript.seed.id, []).append(a if agents[0] == student else 1 - a)
    return decide(scores, student, parent, bound, undecided)


def _score(verdict: Verdict, transcript: Transcript) -> float | None:
    """1 where a won, 0 where b did, 0.5 for neither; `None`: it was not decided."""
    if verdict.outcome == "abstain":
        texts = [transcript.turn(index).text for index in (verdict.a, verdict.b)]
        one, other = (has_content(text, transcript.seed.reference) for text in texts)
        return None if one and other else (1 + one - other) / 2
    return None if verdict.outcome == "error" else SCORES[verdict.winner]


def decide(
    scores: Mapping[str, Sequence[float]], student: str, parent: str, bound: Bound, undecided: int
) -> Admission:
    """The same from scores: seed -> 1 (the student won), 0 (its parent did) or 0.5 of each comparison."""
    every = [score for own in scores.values() for score in own]
    rates = [mean(own) for own in scores.values()]
    rate = mean(rates) if rates else None
    low = lower_end(rates, bound.level) if len(rates) >= FEWEST else None
    open_ = undecided / max(1, undecided + len(every))
    admitted = low is not None and low > bound.win_rate and open_ <= MOST_UNDECIDED
    return Admission(
        student=student,
        parent=parent,
        seeds=len(rates),
        wins=every.count(1),
        ties=every.count(0.5),
        losses=every.count(0),
        undecided=undecided,
        win_rate=rate,
        low=low,
        admitted=admitted,
        why=_why(rates, rate, low, bound, open_),
    )


def _why(
    rates: Sequence[float], rate: float | None, low: float | None, bound: Bound, open_: float
) -> str:
    if rate is None or low is None:
        return f"only {len(rates)} seeds were decided; at least {FEWEST} are needed"
    if open_ > MOST_UNDECIDED:
        return (
            f"{open_:.0%} of the comparisons were not decided; at most {MOST_UNDECIDED:.0%} may be"
        )
    told = f"win rate {rate:.1%}, at least {low:.1%} with {bound.level:.0%} confidence"
    return f"{told}: {'above' if low > bound.win_rate else 'not above'} {bound.win_rate:.0%}"


class Passed(Value):
    """How an agent's answers fared with the seeds' checkers."""

    agent: str
    checked: int
    """Answers that a checker could read."""
    passed: int


def passed(transcripts: Iterable[Transcript]) -> tuple[Passed, ...]:
    """Each agent's answers to the seeds, checked: by name. Blocks where checkers run code."""
    found: dict[str, list[bool]] = {}
    for transcript in transcripts:
        checker = transcript.seed.checker
        for turn in transcript.recorded.turns if checker is not None else ():
            if turn.call.purpose == "answer" and turn.failure is None:
                finding = grade(checker or {}, turn.text)
                if isinstance(finding, Check):
                    found.setdefault(turn.call.agent, []).append(finding.passed)
    return tuple(
        Passed(agent=agent, checked=len(own), passed=sum(own))
        for agent, own in sorted(found.items())
    )


def lower_end(rates: Sequence[float], level: float) -> float:
    """The one-sided lower end of the mean of independent rates in [0, 1].

    Rates that are nearly alike have hardly a spread of their own. So it is never above what the best of them
    would give for all and one seed of the other kind: ten wins of ten do not count as certainty, and nine and
    a tie not as more.
    """
    best = max(rates)
    spread = [best] * len(rates) + [1 - best if best != 0.5 else 0]
    return max(0.0, min(_end(rates, level), _end(spread, level)))


def _end(rates: Sequence[float], level: float) -> float:
    """Student's lower end of the mean."""
    from scipy.special import stdtrit  # half a second to import

    error = stdev(rates) / math.sqrt(len(rates))
    return mean(rates) - float(stdtrit(len(rates) - 1, level)) * error
