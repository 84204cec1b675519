"""K-wise ranking: n answers in order by as few comparisons as an order needs, shared by protocols.

Merge insertion (Ford and Johnson, 1959) needs the fewest comparisons that are known for small n: 5 for
4 answers, 7 for 5, 13 for 7, where all pairs would be 6, 10 and 21. Each comparison is a `compare`: both
orders, every judge, on the record as any other. Nectar ranks its 7 answers by a whole list from one
judge, which two orders cannot check.

A comparison that is not won leaves two answers in the order in which they were given: the ranking is then
one of several that fit, and `beats` tells what is known. Left out: repeating comparisons, ratings over
many seeds.
"""

from collections.abc import Sequence
from itertools import pairwise

from aaa.judges import compare, unfit
from aaa.play import Play, note, together
from aaa.types import Cast, Message, Seed, Turn, Value, Verdict


class Ranking(Value):
    """Answers in order, and the comparisons that it rests on."""

    order: tuple[int, ...]
    """Turn indices, best first; answers that no judge is shown come last."""
    verdicts: tuple[Verdict, ...]
    """Every comparison made, in the order in which they were put on the record."""

    def beats(self, better: int, worse: int) -> bool:
        """Whether a chain of won comparisons leads from one answer to the other (turn indices)."""
        won: dict[int, set[int]] = {}
        for verdict in self.verdicts:
            if verdict.chosen is not None and verdict.rejected is not None:
                won.setdefault(verdict.chosen, set()).add(verdict.rejected)
        known, open_ = {better}, [better]
        while open_:
            new = won.get(open_.pop(), set()) - known
            known |= new
            open_ += new
        return better != worse and worse in known

    @property
    def strict(self) -> bool:
        """Whether every place is decided: each answer beats the next one."""
        return all(self.beats(one, two) for one, two in pairwise(self.order))


def rank(
    cast: Cast,
    seed: Seed,
    turns: Sequence[Turn],
    *,
    edge: str = "k_wise",
    context: tuple[Message, ...] | None = None,
) -> Play[Ranking]:
    """Have the answers in these turns ranked; each verdict is put on the record."""
    games = _Games(cast, seed, edge, context)
    asked = seed.prompt if context is None else context
    fit = [turn for turn in turns if unfit(turn, seed, asked, cast.judging) is None]
    ranked = yield from _sorted(fit, games)
    rest = [turn for turn in turns if turn not in fit]
    return Ranking(
        order=tuple(turn.index for turn in [*ranked, *rest]), verdicts=tuple(games.verdicts)
    )


def rank_all(
    cast: Cast,
    seed: Seed,
    turns: Sequence[Turn],
    *,
    edge: str,
    context: tuple[Message, ...] | None = None,
) -> Play[Ranking]:
    """The same for two answers or more, each of which is then in at least one verdict.

    What no judge is shown is held against the best, which costs no call: its verdict says why it makes
    no pair.
    """
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


class _Games:
    """Comparisons of one ranking, as they are made."""

    def __init__(
        self, cast: Cast, seed: Seed, edge: str, context: tuple[Message, ...] | None
    ) -> None:
        self._given = cast, seed, edge, context
        self.verdicts: list[Verdict] = []

    def first(self, one: Turn, two: Turn) -> Play[bool]:
        """Whether `one` goes before `two`: it won, or nobody did and it was given earlier."""
        cast, seed, edge, context = self._given
        a, b = sorted((one, two), key=lambda turn: turn.index)
        verdict = yield from compare(cast, seed, a, b, edge=edge, context=context)
        yield from note(verdict)
        self.verdicts.append(verdict)
        return a is one if verdict.chosen is None else verdict.chosen == one.index


def _sorted(turns: list[Turn], games: _Games) -> Play[list[Turn]]:
    """Best first. Pairs are played side by side, their winners sorted, their losers inserted."""
    if len(turns) < 2:
        return turns
    halves = list(zip(turns[::2], turns[1::2], strict=False))
    firsts = yield from together(games.first(one, two) for one, two in halves)
    beaten = {}
    for (one, two), first in zip(halves, firsts, strict=True):
        winner, loser = (one, two) if first else (two, one)
        beaten[winner.index] = winner, loser
    winners = yield from _sorted([winner for winner, _ in beaten.values()], games)
    # worst first from here on, as merge insertion is written: the loser of the worst winner is free
    chain = winners[::-1]
    pending = [(beaten[turn.index][1], turn) for turn in chain]
    chain.insert(0, pending[0][0])
    odd: list[tuple[Turn, Turn | None]] = [(turns[-1], None)] if len(turns) % 2 else []
    for beaten_one, by in _insertion_order([*pending[1:], *odd]):
        end = len(chain) if by is None else chain.index(by)
        yield from _insert(beaten_one, chain, end, games)
    return chain[::-1]


def _insertion_order(
    pending: list[tuple[Turn, Turn | None]],
) -> list[tuple[Turn, Turn | None]]:
    """Groups of 2, 2, 6, 10, 22 …, each from its end: so that each search is among 2^k - 1 answers."""
    ordered: list[tuple[Turn, Turn | None]] = []
    size, power = 2, 2
    while pending:
        ordered += pending[:size][::-1]
        pending = pending[size:]
        size, power = 2 ** (power) - size, power + 1
    return ordered


def _insert(turn: Turn, chain: list[Turn], end: int, games: _Games) -> Play[None]:
    """Put it among the first `end` of the chain (worst first), by halving.

    The longer way is up, which a dry run takes: there the newest answer always wins.
    """
    start = 0
    while start < end:
        middle = (start + end - 1) // 2
        if (yield from games.first(turn, chain[middle])):
            start = middle + 1
        else:
            end = middle
    chain.insert(start, turn)
