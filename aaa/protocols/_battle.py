"""Shared: several answer one question, some of them refused by their provider; two turns are compared.

A refusal of one is no reason to lose the others: who answered goes on, and each comparison that the refused
one misses is on the record with `refused` as its reason. Left out: who meets whom (each protocol's).
"""

from collections.abc import Iterable, Sequence

from aaa.judges import compare, unfit
from aaa.play import CallRefused, Play, note, try_all
from aaa.types import Call, Cast, Messages, Seed, Turn, Verdict

LEAST = 2
"""Answers without which there is nothing to compare."""


def ask_most(calls: Iterable[Call]) -> Play[tuple[Turn, ...]]:
    """All calls at once; refused ones come back with their `failure`.

    Raises `CallRefused` where fewer than `LEAST` were answered.
    """
    turns = yield from try_all(calls)
    refused = [turn for turn in turns if turn.failure is not None]
    if refused and len(turns) - len(refused) < LEAST:
        raise CallRefused(refused[0])
    return turns


def battle(
    cast: Cast, seed: Seed, a: Turn, b: Turn, *, edge: str, context: Messages | None = None
) -> Play[Verdict]:
    """`compare`, put on the record; where a provider refused one of the two, nobody is asked."""
    why = refusal(a, b)
    if why is None:
        verdict = yield from compare(cast, seed, a, b, edge=edge, context=context)
    else:
        verdict = Verdict(
            edge=edge,
            context=seed.prompt if context is None else context,
            a=a.index,
            b=b.index,
            outcome="abstain",
            judging=cast.judging.play,
            reason=why,
        )
    yield from note(verdict)
    return verdict


def distinct(seed: Seed, cast: Cast, turns: Sequence[Turn]) -> list[Turn]:
    """What is worth a judge's time: each text once, and none that no judge is shown."""
    firsts: dict[str, Turn] = {}
    for turn in turns:
        if unfit(turn, seed, seed.prompt, cast.judging) is None:
            firsts.setdefault(turn.text.strip(), turn)
    return list(firsts.values())


def the_rest(
    cast: Cast, seed: Seed, turns: Sequence[Turn], chosen: Sequence[Turn], *, edge: str
) -> Play[None]:
    """A verdict for each turn that is not among `distinct` ones: against its twin, else against the first.

    No judge is asked: the verdict says that it is the same, says nothing, or was refused.
    """
    for turn in turns:
        if turn in chosen:
            continue
        twins = [one for one in chosen if one.text.strip() == turn.text.strip()]
        other = (twins or list(chosen) or list(turns))[0]
        if other is not turn:
            yield from battle(cast, seed, other, turn, edge=edge)


def refusal(a: Turn, b: Turn) -> str | None:
    """Which of two turns a provider refused, and how; `None` where it answered both."""
    for side, turn in (("a", a), ("b", b)):
        if turn.failure is not None:
            return f"refused: answer {side} by {turn.call.agent!r}: {turn.failure.kind}"
    return None


def related(cast: Cast, *turns: Turn) -> bool:
    """Whether a judge is related to one of the authors, because the scenario allowed it."""
    return not cast.judging.exclude_family and any(
        judge.related_to(cast.agent(turn.call.agent)) for judge in cast["judge"] for turn in turns
    )
