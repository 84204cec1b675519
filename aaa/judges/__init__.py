"""Judging plays: one file each, `Options` and `play(contest, judges, options) -> Play[Verdict]`.

`compare` is what protocols call: it seats the judges that may judge, settles what needs no judge, has the
seed's checker applied where the scenario says so (`_checked.py`), and hands the rest to the judging play that
the scenario chose. A judge is a suspect throughout: both orders, blind labels, the student's text behind
delimiters it cannot guess, raw ballots kept.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable

from aaa import plugins
from aaa.judges._checked import agreed, check_both, verdict_of
from aaa.play import Play
from aaa.plugins import Contest
from aaa.types import Agent, Ballot, Cast, Message, Outcome, Seed, Side, Turn, Verdict


def compare(
    cast: Cast,
    seed: Seed,
    a: Turn,
    b: Turn,
    *,
    edge: str,
    context: tuple[Message, ...] | None = None,
) -> Play[Verdict]:
    """Have turn `a` judged against turn `b`, both answers to `context` (default: the seed's prompt)."""
    context = seed.prompt if context is None else context
    judging = cast.judging
    related = not judging.exclude_family and any(
        judge.related_to(cast.agent(turn.call.agent)) for judge in cast["judge"] for turn in (a, b)
    )
    settled = _without_a_judge(a, b)
    checked = None
    if settled is None and seed.checker is not None and judging.checker != "off":
        checked = yield from check_both(seed.checker, a, b, judging)
        if judging.checker == "decides" or checked.outcome != "win":
            return verdict_of(checked, edge, context, a.index, b.index)
    judges = eligible(cast, (a.call.agent, b.call.agent))
    if settled is None and not judges:
        settled = ("abstain", "every judge is related to a contestant")
    if settled is not None:
        outcome, reason = settled
        return Verdict(
            edge=edge,
            context=context,
            a=a.index,
            b=b.index,
            outcome=outcome,
            judging=judging.play,
            reason=reason,
        )
    plugin = plugins.judging_play(judging.play)
    contest = Contest(
        edge=edge,
        context=context,
        a=a,
        b=b,
        reference=seed.reference,
        salt=f"{seed.id}/{a.index}/{b.index}",
    )
    verdict = yield from plugin.play(contest, judges, plugin.options(**judging.options))
    if checked is not None:
        verdict = agreed(checked, verdict)
    return verdict.model_copy(update={"related_judges": related})


def eligible(cast: Cast, contestants: Iterable[str]) -> tuple[Agent, ...]:
    """The judges that may judge these agents: not themselves, their family or their lineage."""
    judges = cast["judge"]
    if not cast.judging.exclude_family:
        return judges
    agents = [cast.agent(name) for name in contestants]
    return tuple(j for j in judges if not any(j.related_to(agent) for agent in agents))


def fence(salt: str) -> str:
    """A delimiter that text written before the judging cannot hold, except by a 1 in 2^40 chance."""
    return "text-" + hashlib.sha256(f"fence/{salt}".encode()).hexdigest()[:10]


def conclude(ballots: Iterable[Ballot]) -> dict[str, Side | Outcome]:
    """Judge -> the side it prefers in both orders, else `tie`, `flip` or `error`."""
    by_judge: dict[str, list[Ballot]] = {}
    for ballot in ballots:
        by_judge.setdefault(ballot.judge, []).append(ballot)
    return {judge: _one(own) for judge, own in by_judge.items()}


def majority(conclusions: dict[str, Side | Outcome]) -> tuple[Outcome, Side | None]:
    """More than half of all judges must prefer the same side; else what kept most of them from it."""
    counts = Counter(conclusions.values())
    sides: tuple[Side, Side] = ("a", "b")
    for side in sides:
        if 2 * counts[side] > len(conclusions):
            return "win", side
    kinds: tuple[Outcome, ...] = ("error", "flip")
    for outcome in kinds:
        if 2 * counts[outcome] >= len(conclusions):
            return outcome, None
    return "tie", None


def _one(ballots: list[Ballot]) -> Side | Outcome:
    preferences = {ballot.prefers for ballot in ballots}
    if None in preferences:
        return "error"
    if len(preferences) == 1:
        return ballots[0].prefers or "error"
    return "flip" if {"a", "b"} <= preferences else "tie"


def _without_a_judge(a: Turn, b: Turn) -> tuple[Outcome, str] | None:
    empty = [side for side, turn in (("a", a), ("b", b)) if not has_content(turn.text)]
    if empty:
        return "abstain", f"answer {' and '.join(empty)} has no content"
    if a.text.strip() == b.text.strip():
        return "tie", "the answers are identical"
    return None


def has_content(text: str) -> bool:
    """Whether there is a letter or a digit in it: ":" and "\\n" are not answers."""
    return any(character.isalnum() for character in text)
