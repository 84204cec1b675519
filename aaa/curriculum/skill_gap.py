"""Where a student is behind, tag by tag, as weights for the next stage's seeds.

By each tag's board the best peer is found and how often it would beat the student. Few battles say
little: the boards' ridge draws them towards even, and an even tag keeps the weight 1. So the weight of a
tag is the odds of losing there to the best peer, within bounds: a tag where the peer wins three of four
weighs 3, one where the student wins three of four a third. Ours: WizardLM-2
says that each stage is made with the model learned before, and not how.
"""

from collections.abc import Iterable, Mapping

from aaa.board import Board
from aaa.curriculum.attributes import weight
from aaa.types import Seed, Value

LEAST, MOST = 0.25, 4.0
"""Bounds of a tag's weight; the lower one, so that nothing is forgotten."""


class Gap(Value):
    """A student against its best peer on the seeds of one tag."""

    tag: str
    peer: str
    battles: int
    """Of the student on this tag."""
    points: float
    """How far the peer is ahead; negative where the student is."""
    weight: float


def gaps(boards: Iterable[Board], student: str) -> tuple[Gap, ...]:
    """The student's gap on each tag where it met somebody, the widest first."""
    found = [gap for board in boards if (gap := _gap(board, student)) is not None]
    return tuple(sorted(found, key=lambda gap: (-gap.points, gap.tag)))


def _gap(board: Board, student: str) -> Gap | None:
    mine = next((rating for rating in board.ratings if rating.player == student), None)
    if mine is None or board.tag is None:
        return None
    peers = [r for r in board.ratings if r.player != student and r.group == mine.group]
    if not peers:
        return None
    best = max(peers, key=lambda rating: rating.rating)
    points = best.rating - mine.rating
    odds = 10 ** (points / 400)
    return Gap(
        tag=board.tag,
        peer=best.player,
        battles=mine.battles,
        points=points,
        weight=min(MOST, max(LEAST, odds)),
    )


def seed_weight(seed: Seed, found: Mapping[str, float], given: Mapping[str, float]) -> float:
    """A seed's weight: the mean over its tags that have a gap, times what the scenario gives its tags.

    The mean, since a seed with many weak tags is one seed all the same.
    """
    known = [found[tag] for tag in dict.fromkeys(seed.tags) if tag in found]
    return (sum(known) / len(known) if known else 1.0) * weight(seed, given)
