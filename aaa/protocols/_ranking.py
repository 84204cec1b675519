"""Ranking that accounts for every answer: what no judge is shown ends as a verdict as well.

`aaa.k_wise.rank` puts such answers last without a comparison; here each is held against the best, which costs
no call, so that its verdict says why it makes no pair (refused and empty answers: `no_content`).
"""

from collections.abc import Sequence

from aaa.judges import compare
from aaa.k_wise import Ranking, rank
from aaa.play import Play, note
from aaa.types import Cast, Message, Seed, Turn


def rank_all(
    cast: Cast,
    seed: Seed,
    turns: Sequence[Turn],
    *,
    edge: str,
    context: tuple[Message, ...] | None = None,
) -> Play[Ranking]:
    """Have two answers or more ranked; each is in at least one verdict, put on the record."""
    ranking = yield from rank(cast, seed, turns, edge=edge, context=context)
    verdicts = list(ranking.verdicts)
    by_index = {turn.index: turn for turn in turns}
    for index in ranking.order:
        if not any(index in (verdict.a, verdict.b) for verdict in verdicts):
            best = next(i for i in ranking.order if i != index)
            a, b = sorted((by_index[best], by_index[index]), key=lambda turn: turn.index)
            verdict = yield from compare(cast, seed, a, b, edge=edge, context=context)
            yield from note(verdict)
            verdicts.append(verdict)
    return Ranking(order=ranking.order, verdicts=tuple(verdicts))
