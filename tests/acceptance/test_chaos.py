"""A small, seeded size of what `make chaos` does at length."""

from tests.chaos.kills import disturb


def test_random_kills_change_nothing() -> None:
    outcome = disturb(sessions=40, kills=4, seed=1)
    assert outcome.identical, outcome
    assert outcome.distinct == outcome.turns, outcome
    assert outcome.repeated <= outcome.allowed, outcome
