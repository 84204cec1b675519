"""Buckets of requests, on a clock of the test's own."""

from aaa.api.pacing import MOST_CALLERS, Buckets, Pace


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_empties_and_fills_again() -> None:
    clock = Clock()
    buckets = Buckets(Pace(per_s=2, burst=3), clock)
    assert [buckets.wait_s("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.wait_s("b") == 0  # another caller's is full
    clock.now += 0.5
    assert [buckets.wait_s("a") for _ in range(2)] == [0, 0.5]
    clock.now += 1000
    assert [buckets.wait_s("a") for _ in range(4)] == [0, 0, 0, 0.5]


def test_looking_takes_nothing() -> None:
    buckets = Buckets(Pace(per_s=1, burst=1), Clock())
    assert [buckets.wait_s("a", take=False) for _ in range(3)] == [0, 0, 0]
    assert [buckets.wait_s("a"), buckets.wait_s("a", take=False)] == [0, 1]


def test_callers_are_forgotten_in_their_order() -> None:
    buckets = Buckets(Pace(per_s=1, burst=1), Clock())
    buckets.wait_s("first")
    for number in range(MOST_CALLERS - 1):
        buckets.wait_s(str(number))
    assert buckets.wait_s("first", take=False) == 1  # still known, and heard of anew
    buckets.wait_s("one more")
    assert buckets.wait_s("first", take=False) == 1
    assert buckets.wait_s("0") == 0  # forgotten, so full again
