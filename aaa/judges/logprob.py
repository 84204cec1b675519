"""Judging by log-probability: what the judge would say, not what it happens to sample.

`pairwise`: the judge is about to name the better of A and B; logP(A) - logP(B), averaged over both
orders, cancels its position bias. `pointwise`: is this a good answer, Yes or No; logP(Yes) - logP(No)
of each answer alone. It makes models of 0.5B to 1.5B usable judges that cannot write a verdict
(measured on 30 decidable pairs: 1.5B pairwise 100 %, 0.5B pointwise 93 %).

Scores and margins are in nats. Needs a provider that returns log-probabilities; the idea of reading
preferences off the next token is RankGPT's and G-Eval's, the swap is MT-Bench's (2306.05685, 3.4).
"""

from statistics import fmean
from typing import Literal

from pydantic import Field

from aaa.judges import decided, fence, leader, majority, with_lead
from aaa.play import Play, try_all
from aaa.plugins import Contest
from aaa.prompts import prompts_beside, shown
from aaa.types import (
    Agent,
    Ballot,
    Call,
    ChoiceShape,
    Message,
    Sampling,
    Side,
    Turn,
    Value,
    Verdict,
)

PROMPTS = prompts_beside(__file__)


class Options(Value):
    mode: Literal["pairwise", "pointwise"] = "pairwise"
    margin: float = Field(0.5, ge=0)
    """Below this many nats it is a tie."""


def play(contest: Contest, judges: tuple[Agent, ...], options: Options) -> Play[Verdict]:
    """Two one-token calls per judge, all in one batch; then arithmetic."""
    orders: tuple[Literal["ab", "ba", "a", "b"], ...]
    orders = ("ab", "ba") if options.mode == "pairwise" else ("a", "b")
    asked = [(judge, order) for judge in judges for order in orders]
    turns = yield from try_all(_call(contest, judge.name, order) for judge, order in asked)
    ballots = tuple(
        _ballot(turn, judge.name, order) for turn, (judge, order) in zip(turns, asked, strict=True)
    )
    leads = {j.name: _lead([b for b in ballots if b.judge == j.name]) for j in judges}
    conclusions = {name: leader(lead, options.margin) for name, lead in leads.items()}
    found, margin = with_lead(majority(conclusions), leads.values())
    return decided(contest, "logprob", ballots, found, margin=margin)


def _call(contest: Contest, judge: str, order: Literal["ab", "ba", "a", "b"]) -> Call:
    answers = {"a": contest.a.text, "b": contest.b.text}
    blanks = {"fence": fence(contest.salt), "question": shown(contest.context)}
    if len(order) == 2:
        text = PROMPTS.fill("pairwise", **blanks, one=answers[order[0]], two=answers[order[1]])
        choices: tuple[str, ...] = ("A", "B")
    else:
        text = PROMPTS.fill("pointwise", **blanks, answer=answers[order])
        choices = ("Yes", "No")
    return Call(
        seat="judge",
        agent=judge,
        purpose=contest.purpose,
        messages=(
            Message(role="system", content=PROMPTS.fill("system")),
            Message(role="user", content=text),
        ),
        sampling=Sampling(temperature=0, max_tokens=1),
        shape=ChoiceShape(choices=choices),
    )


def _ballot(turn: Turn, judge: str, order: Literal["ab", "ba", "a", "b"]) -> Ballot:
    """The first choice's lead over the second, given to the contestants it stands for."""
    lead, error = _difference(turn)
    if lead is None:
        return Ballot(judge=judge, order=order, turn=turn.index, error=error)
    if len(order) == 1:
        side: Side = "a" if order == "a" else "b"
        return Ballot(judge=judge, order=order, turn=turn.index, scores={side: lead})
    for_a = lead if order == "ab" else -lead
    return Ballot(
        judge=judge,
        order=order,
        turn=turn.index,
        prefers="tie" if for_a == 0 else "a" if for_a > 0 else "b",
        scores={"a": for_a, "b": -for_a},
    )


def _difference(turn: Turn) -> tuple[float | None, str | None]:
    """logP(first choice) - logP(second) in nats, or why there is none."""
    if turn.failure is not None:
        return None, f"{turn.failure.kind}: {turn.failure.message}"
    listed, floor = turn.reply.choice_logprobs, turn.reply.logprob_floor
    if listed is None:
        return (
            None,
            f"{turn.call.agent!r} returned no log-probabilities; choose another judging play",
        )
    if not listed or not isinstance(turn.call.shape, ChoiceShape):
        return None, f"{turn.call.agent!r} found none of the choices probable"
    first, second = (listed.get(choice, floor) for choice in turn.call.shape.choices)
    if first is None or second is None:
        return None, f"{turn.call.agent!r} listed only {sorted(listed)}"
    return first - second, None


def _lead(ballots: list[Ballot]) -> float | None:
    """How far a is ahead of b for one judge, in nats; `None` where a ballot could not be read."""
    if any(ballot.scores is None for ballot in ballots):
        return None
    scores = [ballot.scores or {} for ballot in ballots]
    if any(len(score) == 1 for score in scores):  # pointwise: one score a contestant
        both = {side: value for score in scores for side, value in score.items()}
        return both["a"] - both["b"]
    return fmean(score["a"] for score in scores)
