"""Pace, stepped by hand: rates, 429 episodes, Retry-After, dead providers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.errors import FailureKind, ModelError
from aaa.pace import CALM_CALLS, CALM_S, OPEN_AFTER, Bucket, Pace, Ticket
from aaa.scenario import Limits

TOO_MANY = ModelError("rate_limited", "429")
GONE = ModelError("unreachable", "connection refused")


def pace(**limits: float) -> Pace:
    return Pace(Limits.model_validate({"concurrency": 100} | limits))


def begin(p: Pace, now: float, count: int) -> list[float]:
    """When each of so many calls began, each as soon as it might, none ever ending."""
    times = []
    for _ in range(count):
        wait = p.wait(now, 10)
        assert math.isfinite(wait.s)
        now += wait.s
        p.began(now, 10)
        times.append(now)
    return times


def test_an_idle_gate_is_open() -> None:
    assert pace().wait(0, 1).state == "open"


def test_no_more_at_once_than_the_card_allows() -> None:
    p = pace(concurrency=3)
    tickets = [p.began(0, 1) for _ in range(3)]
    assert p.wait(0, 1) == (math.inf, "full")
    p.ended(1, tickets[0], "call", None, None)
    assert p.wait(1, 1).s == 0


@pytest.mark.parametrize("rpm", [1, 30, 60, 600, 2000])
def test_a_rate_is_used_and_not_passed(rpm: int) -> None:
    """Of what is allowed in ten minutes, 95 % and never more than all of it, in any window."""
    times = begin(pace(rpm=rpm, concurrency=100_000), 0.0, 10 * rpm)
    assert times[-1] <= 600 / 0.95
    for first, time in enumerate(times):
        in_a_minute = sum(time <= later < time + 60 for later in times[first : first + 2 * rpm])
        assert in_a_minute <= rpm + max(1, rpm // 60)


def test_tokens_are_counted_as_they_turn_out() -> None:
    p = pace(tpm=6000)
    ticket = p.began(0, 10)
    p.ended(0, ticket, "call", None, 1000)  # a hundred times more than thought
    assert p.wait(0, 10).state == "rate"
    assert 9 < p.wait(0, 10).s < 12


def test_a_call_larger_than_the_burst_begins_from_a_full_bucket() -> None:
    bucket = Bucket(600)
    assert bucket.wait_s(0, 10_000) == 0
    bucket.take(0, 10_000)
    assert bucket.wait_s(0, 1) > 900


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 50)), max_size=40))
def test_a_bucket_never_gives_more_than_its_rate(steps: list[tuple[float, float]]) -> None:
    bucket, now, taken, most = Bucket(600), 0.0, 0.0, 0.0
    for pause_s, amount in steps:
        now += pause_s
        if bucket.wait_s(now, amount) == 0:
            bucket.take(now, amount)
            taken, most = taken + amount, max(most, amount)
        assert taken <= bucket.burst + now * bucket.rate + most + 1e-6


def test_one_episode_of_429s_is_one_decrease() -> None:
    p = pace()
    tickets = [p.began(0, 1) for _ in range(40)]
    for ticket in tickets[:30]:
        p.ended(1, ticket, "call", TOO_MANY, None)
    assert p.concurrency.limit == pytest.approx(28)  # 40 * 0.7, once
    late = p.began(2, 1)
    p.ended(3, late, "call", TOO_MANY, None)  # begun after the cut: another episode
    assert p.concurrency.limit < 28 * 0.7


def settle(allowed: int, seconds: float) -> tuple[Pace, list[float]]:
    """A provider that takes `allowed` calls at once, each 0.1 s; when it refused one."""
    p, now, refused = pace(concurrency=64), 0.0, []
    running: list[tuple[float, Ticket]] = []
    while now < seconds:
        while p.wait(now, 1).s == 0:
            ticket = p.began(now, 1)
            if len(running) >= allowed:
                refused.append(now)
                p.ended(now, ticket, "call", ModelError("rate_limited", "", retry_after_s=1), None)
                break
            running.append((now + 0.1, ticket))
        now += 0.01
        for done in [one for one in running if one[0] <= now]:
            p.ended(now, done[1], "call", None, None)
            running.remove(done)
    return p, refused


@pytest.mark.parametrize("allowed", [1, 4, 8, 20, 64])
def test_it_settles_just_below_what_a_provider_takes_at_once(allowed: int) -> None:
    p, refused = settle(allowed, 400)
    assert allowed - 2 <= p.concurrency.limit < allowed + 2
    assert sum(when > 60 for when in refused) <= 1 + 340 / CALM_S


@pytest.mark.parametrize("kind", ["server", "timeout", "dropped"])  # 503, 504, 502
def test_growth_waits_after_a_failure_of_the_providers(kind: FailureKind) -> None:
    p = pace()
    p.ended(0, p.began(0, 1), "call", TOO_MANY, None)
    low = p.concurrency.limit
    p.ended(1, p.began(1, 1), "call", ModelError(kind, "5xx"), None)
    p.ended(2, p.began(2, 1), "call", None, None)
    assert p.concurrency.limit == low


def test_the_ceiling_is_tried_again_after_a_calm() -> None:
    p = pace(concurrency=10)
    tickets = [p.began(0, 1) for _ in range(5)]
    for ticket in tickets:
        p.ended(0.1, ticket, "call", TOO_MANY, None)
    for n in range(3 * CALM_CALLS):
        p.ended(1 + n, p.began(1 + n, 1), "call", None, None)
    assert p.concurrency.limit > 4


def test_nothing_begins_before_retry_after() -> None:
    p = pace()
    p.ended(5, p.began(0, 1), "call", ModelError("rate_limited", "", retry_after_s=7200), None)
    assert p.wait(6, 1) == (7199, "holding")
    assert p.wait(7205, 1).s == 0


def refuse(p: Pace, now: float, error: ModelError = TOO_MANY) -> float:
    """Seconds nobody may begin after a call that began now was refused."""
    p.ended(now, p.began(now, 1), "call", error, None)
    return p.wait(now, 1).s


def test_429s_that_say_nothing_hold_everybody_for_ever_longer() -> None:
    p, now, waits = pace(), 0.0, []
    for asked_s in (None, 0.0, 0.4, None, None, None, None, None, None, None):
        told = ModelError("rate_limited", "429", retry_after_s=asked_s)
        waits.append(refuse(p, now, told))
        assert p.wait(now, 1).state == "holding"
        now += waits[-1]
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert p.backoff.past_s(now) == sum(waits)
    p.ended(now, p.began(now, 1), "call", None, None)
    assert refuse(p, now) == 0.5


def test_429s_of_one_episode_hold_once() -> None:
    p = pace()
    tickets = [p.began(0, 1) for _ in range(8)]
    for ticket in tickets:
        p.ended(1, ticket, "call", TOO_MANY, None)
    assert p.wait(1, 1) == (0.5, "holding")
    late = p.began(1.5, 1)
    p.ended(2, late, "call", TOO_MANY, None)
    assert p.wait(2, 1).s == 1


def test_an_answer_to_an_older_call_ends_no_storm() -> None:
    p = pace()
    slow = p.began(0, 1)
    assert refuse(p, 0) == 0.5
    p.ended(0.4, slow, "call", None, None)
    assert refuse(p, 0.5) == 1


def test_a_time_to_come_back_is_no_wait_of_ours() -> None:
    p = pace()
    assert refuse(p, 0, ModelError("rate_limited", "429", retry_after_s=30)) == 30
    assert p.backoff.past_s(30) == 0


def fail(p: Pace, now: float, calls: list[object]) -> None:
    for call in calls:
        p.ended(now, p.began(now, 1), call, GONE, None)


def test_failures_in_a_row_of_several_calls_mean_dead() -> None:
    p = pace()
    fail(p, 0, [1, 2, 3, 1])
    assert p.wait(0, 1).s == 0
    fail(p, 0, [2])
    assert p.wait(0, 1).state == "down"
    assert p.breaker.why == "connection refused"


def test_one_call_that_fails_is_not_a_dead_provider() -> None:
    p = pace()
    fail(p, 0, [1] * 20)
    assert p.wait(0, 1).state == "open"


def test_an_answer_between_starts_the_count_again() -> None:
    p = pace()
    fail(p, 0, [1, 2, 3, 4])
    p.ended(0, p.began(0, 1), 5, None, None)
    fail(p, 0, [1, 2, 3, 4])
    assert p.wait(0, 1).state == "open"


def test_a_dead_provider_is_tried_by_one_call_ever_less_often() -> None:
    p, now, waits = pace(), 0.0, []
    fail(p, 0, list(range(OPEN_AFTER)))
    for probe in range(8):
        waits.append(p.wait(now, 1).s)
        now += waits[-1]
        ticket = p.began(now, 1)
        assert p.wait(now, 1).s == math.inf  # one at a time
        p.ended(now, ticket, probe, GONE, None)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    now += p.wait(now, 1).s
    p.ended(now, p.began(now, 1), "probe", None, None)
    assert p.wait(now, 1).s == 0


@pytest.mark.parametrize("end", ["fails", "is broken off", "asks nothing"])
def test_an_older_call_that_ends_says_nothing_of_the_one_that_tries(end: str) -> None:
    p = pace()
    older = p.began(0, 1)
    fail(p, 0, list(range(OPEN_AFTER)))
    probe = p.began(1, 1)
    if end == "fails":
        p.ended(1, older, "older", GONE, None)
    elif end == "is broken off":
        p.gone(older)
    else:
        p.unused(1, older)
    assert p.wait(100, 1).s == math.inf  # one at a time
    p.ended(100, probe, "probe", GONE, None)
    assert p.wait(100, 1).s == 2
    again = p.began(102, 1)
    p.gone(again)
    assert p.wait(102, 1).s == 0  # it told nothing: the next may try


def test_an_older_call_that_is_answered_ends_the_wait() -> None:
    p = pace()
    older = p.began(0, 1)
    fail(p, 0, list(range(OPEN_AFTER)))
    p.began(1, 1)
    p.ended(1, older, "older", None, None)
    assert p.wait(1, 1).s == 0


def test_patience_depends_on_whether_it_ever_answered() -> None:
    p = pace()
    fail(p, 0, list(range(OPEN_AFTER)))
    assert not p.breaker.given_up(10, 900)
    assert p.breaker.given_up(30, 900)
    p = pace()
    p.ended(0, p.began(0, 1), 0, None, None)
    fail(p, 0, list(range(OPEN_AFTER)))
    assert not p.breaker.given_up(30, 900)
    assert p.breaker.given_up(901, 900)


def test_what_asked_nothing_gives_everything_back() -> None:
    p = pace(rpm=60, tpm=600)
    before = p.wait(0, 10)
    p.unused(0, p.began(0, 10))
    assert p.wait(0, 10) == before
    assert p.concurrency.in_flight == 0
