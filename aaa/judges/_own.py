"""The judge's own answer, written before it sees any other: what it then holds the answers against.

With its own solution in hand a judge fails far less often on problems that can be solved: 3 of 20
against 14 of 20 in MT-Bench's mathematics (2306.05685, section 3.4); Arena-Hard has its judge answer
first as well. It is asked in a call of its own, so no answer can colour it, and once for both orders.
"""

from aaa.play import Play, try_all
from aaa.plugins import Contest
from aaa.types import Agent, Call, Sampling

PURPOSE = "own answer"


def own_answers(
    contest: Contest, judges: tuple[Agent, ...], tokens: int
) -> Play[dict[str, str | None]]:
    """Judge -> its answer to the question; `None` where it gave none."""
    turns = yield from try_all(
        Call(
            seat="judge",
            agent=judge.name,
            purpose=PURPOSE,
            messages=contest.context,
            sampling=Sampling(temperature=0, max_tokens=tokens),
        )
        for judge in judges
    )
    return {
        judge.name: turn.text.strip() or None for judge, turn in zip(judges, turns, strict=True)
    }
