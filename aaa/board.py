"""What ratings look like: how they are computed, the boards they stand on, and what a reader must know.

Left out: computing them (`ratings.py`); nothing here needs numpy.
"""

from typing import Literal

from pydantic import Field, field_validator

from aaa.types import Value

LEVEL = 0.95
"""Of intervals, and of telling players apart."""
FEWEST_REPLICATES = 40
"""With fewer, a tail of 2.5 % holds less than one of them."""


class Method(Value):
    """How ratings are computed."""

    style_control: bool = False
    """Rate what is left when differences in length and markdown are held constant."""
    ridge: float = Field(0.1, ge=1e-6, le=1000)
    """A normal prior of variance 1 / ridge on each strength and style coefficient, in log-odds; 0.1 is
    a standard deviation of 549 points, and within 6 % FastChat's 0.5 in units of 400 points."""
    replicates: int = Field(200, ge=0, le=1000)
    """How often the seeds are drawn again; 0: intervals from the curvature of the likelihood alone."""
    anchor: str | None = None
    """The player whose rating is set to `anchor_value`; `None`: the mean of all players is."""
    anchor_value: float = Field(1000, ge=-1e6, le=1e6)
    random_seed: int = Field(0, ge=0)

    @field_validator("replicates")
    @classmethod
    def _enough(cls, replicates: int) -> int:
        if 0 < replicates < FEWEST_REPLICATES:
            raise ValueError(f"give 0, or {FEWEST_REPLICATES} or more")
        return replicates


class Rating(Value):
    """One player on a board. `low` and `high` bound its rating at 95 %."""

    player: str
    group: int
    """1, 2 …: players of one group met, if only through others. Ratings of two groups do not compare."""
    place: int
    """1 + how many of its group are better beyond both intervals."""
    rating: float
    low: float | None
    """`None`: no win of its own, or of those it beat or tied, bounds it from below."""
    high: float | None
    """`None`: no loss bounds it from above."""
    interval: Literal["bootstrap", "curvature"]
    """`curvature` where drawing the seeds again would say too little; the board's notes tell why."""
    battles: int
    wins: int
    ties: int
    losses: int
    seeds: int


class Matchup(Value):
    """Two players: what happened between them and how far apart they are; a cell of the win matrix."""

    player: str
    """The higher rated of the two."""
    opponent: str
    wins: int
    ties: int
    losses: int
    expected: float | None
    """Share of battles that `player` wins by the ratings; `None` for players of two groups."""
    difference: float | None
    """In points."""
    more: int | None
    """How many more battles between these two, each on a seed of its own, would tell them apart at 95 %
    if the ratings are right. 0: they are told apart. `None`: of two groups, or rated the same."""


class StyleEffect(Value):
    """What one root mean square more of a style difference adds to the log-odds of winning."""

    feature: str
    coefficient: float
    low: float | None
    """`None`, like `high`, without replicates."""
    high: float | None


class Board(Value):
    """Ratings of those who battled, overall or on the seeds of one tag."""

    tag: str | None
    """`None`: overall."""
    battles: int
    seeds: int
    anchor: str | None
    ratings: tuple[Rating, ...]
    """By group, the largest first; then best first."""
    matchups: tuple[Matchup, ...]
    """Every two players, in the order of `ratings`."""
    style: tuple[StyleEffect, ...]
    """Empty without style control."""
    notes: tuple[str, ...]
    """What a reader must know of these figures."""


class Report(Value):
    """Boards, and what became of every verdict."""

    rounds: tuple[str, ...]
    """Empty: all there are."""
    method: Method
    verdicts: int
    battles: dict[str, int]
    """Verdicts that are battles, by outcome; a `flip` counts as a tie."""
    left_out: dict[str, int]
    """Verdicts that are none, by the reason: another edge, one player, `error`, `abstain`."""
    tags: dict[str, int]
    """Tag -> its battles."""
    boards: tuple[Board, ...]
    """Empty where there are no battles."""


def win_matrix(board: Board) -> list[dict[str, object]]:
    """A row a player: opponent -> battles won against it, ties as half; pairs that never met are left out."""
    rows: dict[str, dict[str, object]] = {r.player: {"player": r.player} for r in board.ratings}
    for match in board.matchups:
        if match.wins + match.ties + match.losses:
            rows[match.player][match.opponent] = f"{match.wins + match.ties / 2:g}"
            rows[match.opponent][match.player] = f"{match.losses + match.ties / 2:g}"
    return list(rows.values())
