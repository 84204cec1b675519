"""From battles to training data: which verdicts a stage learns from, and why not from the others.

After Arena Learning (2407.10627, section 3): SFT on what beat the target, preference pairs of every clear
battle that it fought, reward-model pairs of every decided one. K is the least gap, in the unit of the judging
play that decided (points of `scores`, nats of `logprob`, votes of a debate); the paper found 3 of 10 points
best for SFT and 2 for DPO in its first iteration, 1 for SFT in the later ones.

Pure over `Transcript`: nothing is read or written. Every verdict of a transcript is kept or counted as
dropped, so the numbers add up. Left out: what no single session can know, such as near-duplicates across
sessions.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from aaa.battles import EDGES
from aaa.transcripts import Pair, Transcript, pairs
from aaa.types import Verdict

Reason = Literal[
    "other_edge",  # no battle: a revision against its draft, a judgement …
    "target_absent",  # two others fought it
    "tie",
    "flip",
    "error",
    "abstain",
    "target_won",  # SFT: nothing to learn from the one who lost
    "no_margin",  # a K is wanted, but the judging play does not say how clear its wins are
    "gap_below",  # a win by less than K
    "cut_off",  # the chosen answer hit its longest length: who learns it learns to stop anywhere
    "duplicate",  # the same words were kept before: two opponents may say the same
    "not_best",  # SFT: the prompt has its answers already, by wider margins
]
"""Why a verdict became no record."""


class Selected(NamedTuple):
    """What a rule took of a transcript; `len(kept) + dropped.total()` is its number of verdicts."""

    kept: tuple[Pair, ...]
    dropped: Counter[Reason]


def sft(
    transcript: Transcript,
    target: str,
    k: float,
    *,
    per_prompt: int | None = 1,
    edges: Sequence[str] = EDGES,
    cut_off: bool = False,
) -> Selected:
    """Battles that the target lost by `k` or more, widest margin first: `chosen` is what it is to say.

    An answer of its own that beat another of its own, such as a revision, is taken where `edges` names
    its edge.

    `per_prompt`: how many answers a prompt gets, `None` for all that are good enough. `cut_off`: take
    answers that hit their longest length, too.
    """

    def drops(pair: Pair) -> Reason | None:
        if pair.chosen.call.agent == target != pair.rejected.call.agent:
            return "target_won"
        return _narrow(pair, k) or _cut(pair, cut_off)

    kept, dropped = _select(transcript, target, edges, drops, lambda pair: pair.chosen.text)
    kept.sort(key=lambda pair: -(pair.verdict.margin or 0.0))
    most = len(kept) if per_prompt is None else per_prompt
    dropped["not_best"] += len(kept[most:])
    return Selected(tuple(kept[:most]), +dropped)


def dpo(
    transcript: Transcript,
    target: str,
    k: float,
    *,
    edges: Sequence[str] = EDGES,
    cut_off: bool = False,
) -> Selected:
    """Battles of the target that were decided by `k` or more, whoever won."""

    def drops(pair: Pair) -> Reason | None:
        return _narrow(pair, k) or _cut(pair, cut_off)

    kept, dropped = _select(transcript, target, edges, drops, _both)
    return Selected(tuple(kept), +dropped)


def reward(transcript: Transcript, *, edges: Sequence[str] = EDGES) -> Selected:
    """Every decided battle, whoever fought it; its margin is `verdict.margin`, `None` where it has none.

    An answer that was cut off is taken: a reward model is to know that it is worse.
    """
    kept, dropped = _select(transcript, None, edges, lambda _: None, _both)
    return Selected(tuple(kept), +dropped)


def _select(
    transcript: Transcript,
    target: str | None,
    edges: Sequence[str],
    drops: Callable[[Pair], Reason | None],
    words: Callable[[Pair], object],
) -> tuple[list[Pair], Counter[Reason]]:
    """(kept, reason -> how many were not), in the order in which they were decided."""
    made = pairs(transcript)  # one for each win, in the verdicts' order
    kept: dict[object, Pair] = {}
    dropped: Counter[Reason] = Counter()
    for verdict in transcript.recorded.verdicts:
        pair = next(made) if verdict.outcome == "win" else None
        reason = _no_candidate(transcript, verdict, target, edges)
        if reason is None and pair is not None:
            reason = drops(pair)
        if reason is None and pair is not None:
            reason = "duplicate" if words(pair) in kept else None
        if reason is not None or pair is None:
            assert reason is not None
            dropped[reason] += 1
        else:
            kept[words(pair)] = pair
    return list(kept.values()), dropped


def _no_candidate(
    transcript: Transcript, verdict: Verdict, target: str | None, edges: Sequence[str]
) -> Reason | None:
    """Why no rule looks at this verdict."""
    if verdict.edge not in edges:
        return "other_edge"
    fought = {transcript.turn(index).call.agent for index in (verdict.a, verdict.b)}
    if target is not None and target not in fought:
        return "target_absent"
    return None if verdict.outcome == "win" else verdict.outcome


def _narrow(pair: Pair, k: float) -> Reason | None:
    margin = pair.verdict.margin
    if margin is None:
        return "no_margin" if k > 0 else None
    return "gap_below" if margin < k else None


def _cut(pair: Pair, cut_off: bool) -> Reason | None:
    return "cut_off" if not cut_off and pair.chosen.reply.finish_reason == "length" else None


def _both(pair: Pair) -> object:
    return pair.chosen.text, pair.rejected.text
