"""Made-up tournaments with planted strengths, for tests and benchmarks of ratings."""

from typing import NamedTuple

import numpy as np

from aaa.battles import Battle, Ledger
from aaa.ratings import POINTS


class Tournament(NamedTuple):
    ledger: Ledger
    points: dict[str, float]
    """Player -> its planted rating, where the mean of all is 0."""


def tournament(
    random_seed: int,
    *,
    players: int = 5,
    seeds: int = 60,
    battles: int = 4,
    copies: int = 1,
    ties: float = 0.0,
    effects: tuple[float, ...] = (),
) -> Tournament:
    """`battles` on each of `seeds`, each recorded `copies` times: copies say nothing new.

    `ties`: share of ties; `effects`: what a unit of each style difference adds to the log-odds.
    """
    chance = np.random.default_rng(random_seed)
    strength = chance.normal(0, 0.5, players)
    strength -= strength.mean()
    names = [f"p{n:02}" for n in range(players)]
    ledger = Ledger()
    for number in range(seeds):
        for _ in range(battles):
            a, b = chance.choice(players, 2, replace=False)
            style = tuple(chance.uniform(-1, 1, len(effects)))
            gap = strength[a] - strength[b] + np.dot(style, effects)
            won = float(chance.random() < 1 / (1 + np.exp(-gap)))
            score = 0.5 if chance.random() < ties else won
            for _ in range(copies):
                ledger.add(Battle(names[a], names[b], score, f"s{number}", (), style))
    return Tournament(ledger, dict(zip(names, POINTS * strength, strict=True)))
