"""Judging plays: one file each, `Options` and `play(contest, judges, options) -> Play[Verdict]`.

`compare` is what protocols call: it seats the judges that may judge, settles what needs no judge, has the
seed's checker applied where the scenario says so (`_checked.py`), and hands the rest to the judging play that
the scenario chose. A judge is a suspect throughout: both orders, blind labels, the student's text behind
delimiters it cannot hold, raw ballots kept. Why, and what that does not
stop: `docs/design/judging.md`.
"""

import hashlib
import random
from collections import Counter
from collections.abc import Iterable
from itertools import count
from statistics import fmean

from aaa import plugins
from aaa.judges._checked import ROUNDING, agreed, check_both, verdict_of
from aaa.judges._content import has_content
from aaa.judges._screen import suspicion
from aaa.play import Play
from aaa.plugins import Contest
from aaa.prompts import shown
from aaa.types import (
    Agent,
    Ballot,
    Cast,
    Judging,
    Message,
    Messages,
    Outcome,
    Seed,
    Side,
    Turn,
    Value,
    Verdict,
)

LABELS = "FGHJKLMNPQRSTVWXZ"
"""What answers may be called: none that suggests a rank."""
_CONTROL_WORDS = ("amber", "cobalt", "fennel", "garnet", "juniper", "marble", "saffron", "willow")


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
    settled = _without_a_judge(seed, context, a, b, judging)
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
        salt=salt_for(_asked_as(seed), shown(context), a.text, b.text, seed.reference or ""),
    )
    options = plugin.options(**judging.options)
    verdict = yield from plugin.play(contest, judges, options)
    if judging.control and verdict.outcome == "win":
        verdict = yield from _controlled(plugin, contest, judges, options, verdict)
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


def _asked_as(seed: Seed) -> str:
    """The id under which its answers were first judged, so that they are judged again in the same words."""
    source = None if seed.comparison is None else seed.comparison.source
    return (None if source is None else source.seed) or seed.id


def salt_for(*texts: str) -> str:
    """A salt whose delimiter stands in none of the texts: drawn from them, and again until that holds.

    So no text can close the block it stands in, whoever wrote it and whatever they knew.
    """
    for draw in count():
        parts = "\0".join([*(str(len(text)) for text in texts), *texts, str(draw)])
        salt = hashlib.sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()
        if not any(fence(salt) in text for text in texts):
            return salt
    raise AssertionError("unreachable")


def fence(salt: str) -> str:
    """The delimiter of a salt."""
    return "text-" + hashlib.sha256(f"fence/{salt}".encode()).hexdigest()[:10]


def labels_for(salt: str) -> tuple[str, str]:
    """Blind labels: the answer shown first, the answer shown second, whichever they are.

    A label belongs to the place, not to the answer: so a text that names a label or a place asks for
    one answer in one order and for the other in the other, and cannot win both.
    """
    first, second = random.Random(f"labels/{salt}").sample(LABELS, 2)
    return first, second


def decided(
    contest: Contest,
    judging: str,
    ballots: Iterable[Ballot],
    found: tuple[Outcome, Side | None],
    *,
    margin: float | None = None,
    reason: str = "",
) -> Verdict:
    """A judging play's verdict on its contest; an error takes its first bad ballot's reason."""
    ballots = tuple(ballots)
    outcome, winner = found
    if outcome == "error" and not reason:
        reason = next((ballot.error for ballot in ballots if ballot.error), "")
    return Verdict(
        edge=contest.edge,
        context=contest.context,
        a=contest.a.index,
        b=contest.b.index,
        outcome=outcome,
        winner=winner,
        margin=margin,
        ballots=ballots,
        judging=judging,
        reason=reason,
    )


def conclude(ballots: Iterable[Ballot]) -> dict[str, Side | Outcome]:
    """Judge -> the side it prefers in both orders, else `tie`, `flip`, `error` or `abstain`."""
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
    kinds: tuple[Outcome, ...] = ("error", "flip", "abstain")
    for outcome in kinds:
        if 2 * counts[outcome] >= len(conclusions):
            return outcome, None
    return "tie", None


def leader(lead: float | None, margin: float) -> Side | Outcome:
    """What a judge says that has a so far ahead of b: below `margin` a tie, `None` cannot be read."""
    if lead is None:
        return "error"
    if abs(lead) < margin - ROUNDING or lead == 0:
        return "tie"
    return "a" if lead > 0 else "b"


def with_lead(
    found: tuple[Outcome, Side | None], leads: Iterable[float | None]
) -> tuple[tuple[Outcome, Side | None], float | None]:
    """(outcome and winner, margin) from how far each judge has a ahead of b; `None`: it cannot be read.

    A win's margin is the mean lead towards the winner, and where the judges in the minority lean so far
    that it is not above 0, nobody won: a tie. Without a winner the margin is how far the answers lie apart.
    """
    known = [lead for lead in leads if lead is not None]
    if not known:
        return found, None
    mean = fmean(known)
    toward = mean if found[1] == "a" else -mean
    if found[1] is not None and toward <= 0:
        return ("tie", None), abs(mean)
    return found, abs(mean)


def _one(ballots: list[Ballot]) -> Side | Outcome:
    if any(ballot.error is not None for ballot in ballots):
        return "error"
    preferences = {ballot.prefers for ballot in ballots}
    if None in preferences:
        return "abstain"
    if len(preferences) == 1:
        return ballots[0].prefers or "error"
    return "flip" if {"a", "b"} <= preferences else "tie"


def unfit(turn: Turn, seed: Seed, context: Messages, judging: Judging) -> str | None:
    """Why no judge is shown this answer, or `None`: it says nothing, or it speaks to its judge."""
    if not has_content(turn.text, seed.reference):
        return "has no content"
    if judging.screen:
        asked = tuple(message for message in context if message.role != "assistant")
        found = suspicion(turn.text, f"{shown(asked)}\n{seed.reference or ''}")
        return None if found is None else f"speaks to its judge: {found}"
    return None


def _without_a_judge(
    seed: Seed, context: Messages, a: Turn, b: Turn, judging: Judging
) -> tuple[Outcome, str] | None:
    """What is known before anybody is asked, and why."""
    for side, turn in (("a", a), ("b", b)):
        why = unfit(turn, seed, context, judging)
        if why is not None:
            code = "no_content" if why == "has no content" else "suspect_text"
            return "abstain", f"{code}: answer {side} {why}"
    if a.text.strip() == b.text.strip():
        return "tie", "the answers are identical"
    return None


def _controlled(
    plugin: plugins.JudgingPlay,
    contest: Contest,
    judges: tuple[Agent, ...],
    options: Value,
    verdict: Verdict,
) -> Play[Verdict]:
    """The verdict, unless its winner also wins where both answers are equally useless."""
    texts = (contest.a.text, contest.b.text)
    free = [word for word in _CONTROL_WORDS if not any(word in text.casefold() for text in texts)]
    word = random.Random(f"control/{contest.salt}").choice(free or ["quartzite"])
    question = f"Reply with exactly this single word and nothing else: {word}"
    other = contest.model_copy(
        update={
            "context": (Message(role="user", content=question),),
            "reference": None,
            "salt": salt_for("control", question, *texts),
            "purpose": "control",
        }
    )
    control = yield from plugin.play(other, judges, options)
    if control.winner != verdict.winner:
        return verdict
    turns = ", ".join(str(ballot.turn) for ballot in control.ballots)
    reason = (
        f"suspect_text: answer {verdict.winner} also won on a question that neither answers "
        f"(turns {turns})"
    )
    return verdict.model_copy(update={"outcome": "abstain", "winner": None, "reason": reason})
