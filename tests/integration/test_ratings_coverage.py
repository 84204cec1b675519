"""Intervals hold the planted strengths at the rate they state: 200 tournaments. No services, but seconds."""

import math

from aaa.board import Method
from aaa.ratings import rate
from tests.tournaments import tournament

TOURNAMENTS = 200


def test_intervals_hold_planted_strengths_at_95_percent() -> None:
    """The players of one tournament are not independent, so the tolerance counts tournaments."""
    held = players = 0
    for n in range(TOURNAMENTS):
        made = tournament(n, ties=0.1)
        for r in rate(made.ledger, Method(replicates=100, anchor_value=0)).ratings:
            low = -math.inf if r.low is None else r.low
            high = math.inf if r.high is None else r.high
            held += low <= made.points[r.player] <= high
            players += 1
    error = math.sqrt(0.95 * 0.05 / TOURNAMENTS)
    assert 0.95 - 3 * error < held / players < 0.95 + 3 * error
