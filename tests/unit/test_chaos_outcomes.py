"""A proof that was smaller than its promise says is none."""

import pytest

from tests.chaos.fuzz import PROMISE, Outcome


@pytest.mark.parametrize(
    ("cases", "fewest", "failures", "holds"),
    [
        (10_000, 3_000, 0, True),
        (9_999, 3_000, 0, False),
        (10_000, 0, 0, False),
        (10_000, 3_000, 1, False),
    ],
)
def test_s2_holds_from_ten_thousand_requests_on(
    cases: int, fewest: int, failures: int, holds: bool
) -> None:
    assert PROMISE.sizes["least"] == 10_000
    least = int(PROMISE.sizes["least"])
    assert Outcome(cases, fewest, least, failures).holds is holds
