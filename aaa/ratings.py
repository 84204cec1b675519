"""Battles become ratings with intervals: who is better, how sure that is, how many battles would tell.

Bradley-Terry by maximum likelihood, as Chatbot Arena and Arena Learning (2407.10627) rate models: ties are
half a win, style may be held constant, intervals come from drawing whole seeds again. Every generation is
a player of its own, so no strength moves while it is measured. `docs/ratings.md` has the formulas.
Left out: which verdicts are battles (`battles.py`), the fit (`bradley_terry.py`), the values (`board.py`).
"""

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from aaa import bradley_terry
from aaa.battles import Ledger
from aaa.board import LEVEL, Board, Matchup, Method, Rating, Report, StyleEffect
from aaa.bradley_terry import Flags, Floats, Games, Ints
from aaa.errors import InputError, NotFound
from aaa.style import FEATURES

POINTS = 400 / math.log(10)
"""Rating points in a unit of log-odds: 400 points are odds of 10 to 1, as in chess."""
Z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
FEW_SEEDS = 20
"""With fewer seeds than these, drawing them again says too little about a player: measured, it covers
92 % where 95 % is stated."""


class _Standing(NamedTuple):
    """Everything known of the players, as arrays by their number; strengths in log-odds."""

    names: list[str]
    point: Floats
    """Strength relative to the anchor, or to the mean of the player's group."""
    low: Floats
    high: Floats
    """Infinite where nothing bounds it."""
    group: Ints
    shaky: Flags
    """Drawing the seeds again says too little about this player."""
    won: Ints
    tied: Ints
    seeds: Ints
    variance: Floats
    """[i, j]: of the difference of two strengths."""


def report(
    ledger: Ledger, method: Method, tags: Sequence[str] | None = (), rounds: Sequence[str] = ()
) -> Report:
    """The boards of these tags; the overall one where none is named, and with every tag's for `None`.

    Without battles there are no boards. `rounds` are told, not filtered by.
    """
    overall: list[str | None] = [None]
    wanted = [*overall, *sorted(ledger.tags)] if tags is None else tags or overall
    return Report(
        rounds=tuple(rounds),
        method=method,
        verdicts=ledger.outcomes.total() + ledger.left_out.total(),
        battles=dict(sorted(ledger.outcomes.items())),
        left_out=dict(sorted(ledger.left_out.items())),
        tags={tag: len(rows) for tag, rows in sorted(ledger.tags.items())},
        boards=tuple(rate(ledger, method, tag) for tag in wanted) if len(ledger) else (),
    )


def rate(ledger: Ledger, method: Method, tag: str | None = None) -> Board:
    """The board of these battles, of all or of one tag's.

    Raises `InputError` where there is nothing to rate, `NotFound` for a tag or an anchor that never battled.
    """
    names, played = _games(ledger, tag, method.style_control)
    anchor = _anchor(ledger, method.anchor, names)
    fitted = bradley_terry.fit(played, method.ridge)
    drawn = bradley_terry.resample(
        played, method.ridge, method.replicates, method.random_seed, fitted.x
    )
    size = len(names)
    spread = np.linalg.inv(fitted.curvature)[:size, :size]
    standing = _standing(names, played, anchor, fitted.x[:size], drawn[:, :size], spread)
    order = np.lexsort((np.arange(size), -standing.point, standing.group))
    return Board(
        tag=tag,
        battles=len(played.pair),
        seeds=played.seeds,
        anchor=None if anchor is None else names[anchor],
        ratings=tuple(_rating(standing, int(i), method.anchor_value) for i in order),
        matchups=tuple(_matchups(standing, [int(i) for i in order])),
        style=tuple(_effects(fitted.x[size:], drawn[:, size:])),
        notes=tuple(_notes(standing, method, anchor)),
    )


def _games(ledger: Ledger, tag: str | None, style_control: bool) -> tuple[list[str], Games]:
    """(players by name, their battles)."""
    if tag is not None and tag not in ledger.tags:
        known = ", ".join(sorted(ledger.tags)) or "none"
        raise NotFound(f"no battle has the tag {tag!r}; there are: {known}")
    if not len(ledger):
        raise InputError("there are no battles to rate")
    if style_control and not ledger.styled:
        raise InputError("style control needs the style of every battle's answers")
    rows = slice(None) if tag is None else np.array(ledger.tags[tag])
    a, b, seed = (np.array(column)[rows] for column in (ledger.a, ledger.b, ledger.seed))
    style = np.array(ledger.style).reshape(len(ledger), len(FEATURES))[rows]
    every = list(ledger.players)
    there = sorted(np.unique([a, b]).tolist(), key=every.__getitem__)
    number = np.zeros(len(every), dtype=np.intp)
    number[there] = np.arange(len(there))
    played = bradley_terry.games(
        len(there),
        number[a],
        number[b],
        np.array(ledger.score)[rows],
        seed,
        style if style_control else style[:, :0],
    )
    return [every[n] for n in there], played


def _anchor(ledger: Ledger, name: str | None, names: Sequence[str]) -> int | None:
    """The anchor's number; `None` where there is none, or none on this tag."""
    if name is not None and name not in ledger.players:
        known = ", ".join(sorted(ledger.players))
        raise NotFound(f"no player {name!r} to anchor ratings on; there are: {known}")
    return None if name is None or name not in names else names.index(name)


def _standing(
    names: list[str], played: Games, anchor: int | None, x: Floats, drawn: Floats, spread: Floats
) -> _Standing:
    won, tied = bradley_terry.wins(played)
    beats = bradley_terry.reach((won + tied) > 0)  # chains of wins; a tie leads both ways
    group = _groups(bradley_terry.reach((won + won.T + tied) > 0))
    seeds = bradley_terry.seeds_of(played)
    relative = _relative(group, anchor)
    point, spans = relative @ x, drawn @ relative.T
    # battles on one seed may all be one: the curvature, which takes them as independent, is widened
    crowd = (won + won.T + tied).sum(axis=1) / seeds
    only_ties = (won + won.T).sum(axis=1) == 0
    doubtful = only_ties | (seeds < FEW_SEEDS) | (not len(drawn))
    bottomless, topless = _open_ends(beats, group, anchor)
    shaky = doubtful | bottomless | topless
    reach = Z * np.sqrt(np.diag(relative @ spread @ relative.T) * crowd)
    low, high = percentile_interval(spans) if len(drawn) else (point, point)
    unsure = doubtful[:, None] | doubtful | ~(beats & beats.T)
    between = np.where(
        unsure,
        _differences(spread) * np.maximum(crowd[:, None], crowd),
        _differences(np.cov(drawn.T)) if len(drawn) else 0.0,
    )
    return _Standing(
        names=names,
        point=point,
        low=np.where(bottomless, -np.inf, np.where(shaky, point - reach, low)),
        high=np.where(topless, np.inf, np.where(shaky, point + reach, high)),
        group=group,
        shaky=shaky,
        won=won,
        tied=tied,
        seeds=seeds,
        variance=between,
    )


def _groups(met: Flags) -> Ints:
    """Player -> its group: 0 is the largest; of the same size, the one with the first player."""
    leader = met.argmax(axis=1)
    order = sorted(set(leader.tolist()), key=lambda one: (-(leader == one).sum(), one))
    return np.array([order.index(one) for one in leader.tolist()])


def _relative(group: Ints, anchor: int | None) -> Floats:
    """The matrix that takes strengths to strengths relative to the anchor, or to the group's mean."""
    same = group[:, None] == group
    reference: Floats = same / same.sum(axis=1, keepdims=True)
    if anchor is not None:
        reference[group == group[anchor]] = np.eye(len(group))[anchor]
    relative: Floats = np.eye(len(group)) - reference
    return relative


def _open_ends(beats: Flags, group: Ints, anchor: int | None) -> tuple[Flags, Flags]:
    """(nothing bounds it from below, … from above): no likelihood tells how far such a player is away."""
    above: Flags = np.any(beats.T & ~beats, axis=1)
    below: Flags = np.any(beats & ~beats.T, axis=1)
    bottomless, topless = above & ~below, below & ~above
    if anchor is not None:
        mine = group == group[anchor]
        bottomless[mine], topless[mine] = ~beats[mine, anchor], ~beats[anchor, mine]
    return bottomless, topless


def percentile_interval(drawn: Floats) -> tuple[Floats, Floats]:
    """The ends of the percentile interval. Weibull's positions: the usual ones cover 93 % for 100 draws."""
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0, method="weibull")
    return low, high


def _differences(covariance: Floats) -> Floats:
    """[i, j]: variance of the difference of two strengths."""
    own = np.diag(covariance)
    found: Floats = np.maximum(own[:, None] + own - 2 * covariance, 0)
    return found


def _rating(of: _Standing, i: int, value: float) -> Rating:
    rivals = of.group == of.group[i]
    wins, ties, losses = (int(n[i].sum()) for n in (of.won, of.tied, of.won.T))
    return Rating(
        player=of.names[i],
        group=int(of.group[i]) + 1,
        place=1 + int((of.low[rivals] > of.high[i]).sum()),
        rating=value + POINTS * float(of.point[i]),
        low=_points(value, of.low[i]),
        high=_points(value, of.high[i]),
        interval="curvature" if of.shaky[i] else "bootstrap",
        battles=wins + ties + losses,
        wins=wins,
        ties=ties,
        losses=losses,
        seeds=int(of.seeds[i]),
    )


def _points(value: float, strength: float) -> float | None:
    return value + POINTS * float(strength) if math.isfinite(strength) else None


def _matchups(of: _Standing, order: list[int]) -> Iterator[Matchup]:
    for n, i in enumerate(order):
        for j in order[n + 1 :]:
            comparable = of.group[i] == of.group[j]
            gap = float(of.point[i] - of.point[j])
            yield Matchup(
                player=of.names[i],
                opponent=of.names[j],
                wins=int(of.won[i, j]),
                ties=int(of.tied[i, j]),
                losses=int(of.won[j, i]),
                expected=1 / (1 + math.exp(-gap)) if comparable else None,
                difference=POINTS * gap if comparable else None,
                more=battles_to_separate(gap, float(of.variance[i, j])) if comparable else None,
            )


def battles_to_separate(gap: float, variance: float = math.inf) -> int | None:
    """How many battles more tell two players apart at 95 %; `None` where their strengths are the same.

    `gap`: difference of strengths in log-odds; `variance`: of what is known of it, infinite for nothing.
    A battle between them adds p (1 - p) to 1 / variance; apart means |gap| = 1.96 standard deviations.
    """
    if abs(gap) < 1e-9:
        return None
    known = 1 / variance if variance > 0 else math.inf
    lacking = max(0.0, (Z / gap) ** 2 - known)
    chance = 1 / (1 + math.exp(-min(abs(gap), 30.0)))
    return math.ceil(lacking / (chance * (1 - chance)))


def _effects(x: Floats, drawn: Floats) -> Iterator[StyleEffect]:
    low, high = percentile_interval(drawn) if len(drawn) else (x, x)
    for n, feature in enumerate(FEATURES[: len(x)]):
        ends = (float(low[n]), float(high[n])) if len(drawn) else (None, None)
        yield StyleEffect(feature=feature, coefficient=float(x[n]), low=ends[0], high=ends[1])


def _notes(of: _Standing, method: Method, anchor: int | None) -> Iterator[str]:
    groups = of.group.max() + 1
    if groups > 1:
        yield (
            f"the players fall into {groups} groups that never met, directly or through others: "
            "ratings of different groups cannot be compared"
        )
    if method.anchor is not None and anchor is None:
        yield f"{method.anchor!r} has no battles here: ratings are centred on {method.anchor_value:g}"
    kinds = {
        "no loss bounds from above": np.isposinf(of.high),
        "no win bounds from below": np.isneginf(of.low),
        "only ties": (of.won + of.won.T).sum(axis=1) == 0,
        f"fewer than {FEW_SEEDS} seeds": of.seeds < FEW_SEEDS,
    }
    for what, flags in kinds.items():
        if flags.any():
            who = ", ".join(name for name, flag in zip(of.names, flags, strict=True) if flag)
            yield f"{what}: {who} (interval from the curvature of the likelihood, a rough guide)"
