"""When a call of one model may begin: how many at once, how many a minute, and not while its provider asks
us to hold off or does not answer at all.

Pure: the time comes in as an argument, in seconds of any clock that never runs back, so every rule is tested
by stepping it by hand. The asynchronous side, who waits and who goes first, is `gate.py`. Additive increase
and multiplicative decrease are TCP's (Chiu and Jain, 1989); to stay below the last ceiling for a while is
CUBIC's (RFC 9438); the breaker is Nygard's ("Release It!").
"""

import math
from typing import Literal, NamedTuple

from aaa.errors import ModelError
from aaa.scenario import Limits

SLACK = 0.98
"""Share of a rate limit that is used: two calls spaced evenly here arrive unevenly there."""
DECREASE = 0.7
"""What is left of the concurrency after a 429."""
CALM_S = 30.0
"""After a 429 the concurrency stays below the ceiling it met for at least so long, and so many calls."""
CALM_CALLS = 200
PAUSE_S = 10.0
"""After a failure of the provider's the concurrency does not grow for so long."""
OPEN_AFTER, OF_CALLS = 5, 3
"""Failures in a row, of so many calls at least, after which a provider counts as dead."""
DEAD = frozenset({"unreachable", "dropped", "server", "timeout"})
"""Kinds of failure that a dead provider shows."""
FIRST_PROBE_S, LONGEST_PROBE_S = 1.0, 60.0
"""A dead provider is tried again by one call after so long, then after twice as long, and so on."""
NEVER_ANSWERED_S = 20.0
"""A provider that has not answered once, dead for so long, is rather a mistake than an outage."""

SHORTEST_HEEDED_S = 1.0
"""A shorter Retry-After says no more than that it is too early: `0`, or a date that is gone by."""
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 0.5, 60.0
"""After a 429 without a time to come back nobody begins for so long, after the next for twice as long, …"""

State = Literal["open", "full", "rate", "holding", "down"]
"""Why the next call waits: it does not; all slots are taken; a limit a minute; 429s; dead."""


class Wait(NamedTuple):
    """How long the next call has to wait, and for what."""

    s: float
    """0 is not at all, infinity until a call in flight ends."""
    state: State


class Ticket(NamedTuple):
    """A call that has begun."""

    at: float
    tokens: int
    """Tokens it was counted as, until its real usage is known."""


class Bucket:
    """A token bucket: so much a minute, evenly, with half a second's worth at once. It may go into debt."""

    def __init__(self, per_minute: int) -> None:
        self.rate = per_minute * SLACK / 60
        self.burst = max(1.0, self.rate / 2)
        self._left = self.burst
        self._at = -math.inf

    def wait_s(self, now: float, amount: float) -> float:
        """Seconds until `amount` may be taken; more than the burst waits for a full bucket."""
        missing = min(amount, self.burst) - self._level(now)
        return max(0.0, missing / self.rate)

    def take(self, now: float, amount: float) -> None:
        """Take it, or give it back where `amount` is negative."""
        self._left, self._at = self._level(now) - amount, now

    def _level(self, now: float) -> float:
        if self._at == -math.inf:
            return self.burst
        return min(self.burst, self._left + (now - self._at) * self.rate)


class Concurrency:
    """How many calls may be in flight: what the card allows, less after a 429, then slowly more again."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = float(most)
        self.in_flight = 0
        self._ceiling = math.inf
        self._cut_at = -math.inf
        self._calls_since = 0
        self._paused_until = -math.inf

    @property
    def full(self) -> bool:
        return self.in_flight >= max(1, int(self.limit))

    def ended(self, now: float, began: float, error: ModelError | None) -> None:
        """Learn from a call that ended."""
        if error is None:
            self._calls_since += 1
            self._grow(now)
        elif error.kind == "rate_limited" and began > self._cut_at:  # once an episode
            self._ceiling = self.in_flight + 1.0
            self.limit = max(1.0, min(self.limit, self._ceiling) * DECREASE)
            self._cut_at, self._calls_since = now, 0
        elif error.kind in DEAD:
            self._paused_until = now + PAUSE_S

    def _grow(self, now: float) -> None:
        if now < self._paused_until or self.limit >= self.most:
            return
        below = self._ceiling - 1
        if self.limit + 1 <= below:
            self.limit += 1 / max(1.0, self.limit / 4)
        elif self.limit < below:
            self.limit = below
        elif now - self._cut_at >= CALM_S and self._calls_since >= max(CALM_CALLS, 10 * self.limit):
            self._ceiling += 1
            self._calls_since = 0
        self.limit = min(self.limit, self.most)


class Breaker:
    """Whether the provider answers at all. While it does not, one call at a time tries it."""

    def __init__(self) -> None:
        self.since: float | None = None
        """When it was found dead; `None`: it answers."""
        self.why = ""
        """What it said last, or what was said of it."""
        self.answered = False
        self._failed: list[object] = []
        self._probe: Ticket | None = None
        """The call that tries it."""
        self._probe_at = 0.0
        self._probe_every = FIRST_PROBE_S

    def wait_s(self, now: float) -> float:
        """Seconds until a call may try; infinity while another tries."""
        if self.since is None:
            return 0.0
        return math.inf if self._probe is not None else max(0.0, self._probe_at - now)

    def began(self, ticket: Ticket) -> None:
        if self.since is not None:
            self._probe = ticket

    def unused(self, ticket: Ticket) -> None:
        """A call told nothing: where it was the one that tries, another may."""
        if ticket is self._probe:
            self._probe = None

    def ended(self, now: float, ticket: Ticket, call: object, error: ModelError | None) -> None:
        """Learn from a call that ended; `call` tells calls apart, each of which may have had several tickets.

        While one tries, those that began before it may still come home: they say nothing of the next.
        """
        if error is None or error.kind not in DEAD:
            self.since, self._failed, self._probe = None, [], None
            self.answered = True
            return
        self.why = str(error)
        self._failed = [*self._failed, call][-OPEN_AFTER:]
        if self.since is None:
            if len(self._failed) == OPEN_AFTER and len(set(self._failed)) >= OF_CALLS:
                self.forgive(now + FIRST_PROBE_S)
                self.since = now
        elif ticket is self._probe:
            self._probe = None
            self._probe_every = min(LONGEST_PROBE_S, self._probe_every * 2)
            self._probe_at = now + self._probe_every

    def forgive(self, now: float) -> None:
        """Start over with patience: the next call tries it at once."""
        self.since, self._probe_at, self._probe = now, now, None
        self._probe_every = FIRST_PROBE_S

    def given_up(self, now: float, patience_s: float) -> bool:
        """Whether it has been dead for so long that a person should look."""
        if self.since is None:
            return False
        return now - self.since >= (patience_s if self.answered else NEVER_ANSWERED_S)


def heeded_s(error: ModelError) -> float | None:
    """For how long the provider asked to be left alone; `None` where it did not say, or not in earnest."""
    asked_s = error.retry_after_s
    return None if asked_s is None or asked_s < SHORTEST_HEEDED_S else asked_s


class Backoff:
    """How long we hold off by ourselves after 429s that do not say how long."""

    def __init__(self) -> None:
        self._until = -math.inf
        self._episodes = 0
        self._chosen_s = 0.0

    def wait_s(self, now: float) -> float:
        """Seconds until a call may begin."""
        return max(0.0, self._until - now)

    def past_s(self, now: float) -> float:
        """Seconds held off so far, over all episodes."""
        return self._chosen_s - self.wait_s(now)

    def ended(self, now: float, began: float, error: ModelError | None) -> None:
        """Learn from a call that ended."""
        if began < self._until:  # of an episode that was counted
            return
        if error is None:
            self._episodes = 0
        elif error.kind == "rate_limited" and heeded_s(error) is None:
            hold_s = min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** min(self._episodes, 10))
            self._until, self._chosen_s = now + hold_s, self._chosen_s + hold_s
            self._episodes += 1


class Pace:
    """All of it for one model."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.concurrency = Concurrency(limits.concurrency)
        self.breaker = Breaker()
        self.backoff = Backoff()
        self.hold_until = -math.inf
        """No call begins before: the provider asked for it (Retry-After)."""
        self._requests = None if limits.rpm is None else Bucket(limits.rpm)
        self._tokens = None if limits.tpm is None else Bucket(limits.tpm)

    def wait(self, now: float, tokens: int) -> Wait:
        """How long a call of so many tokens has to wait, and for what."""
        down_s = self.breaker.wait_s(now)
        if down_s > 0:
            return Wait(down_s, "down")
        if (held_s := self.held_s(now)) > 0:
            return Wait(held_s, "holding")
        rate_s = max(
            0.0 if self._requests is None else self._requests.wait_s(now, 1),
            0.0 if self._tokens is None else self._tokens.wait_s(now, tokens),
        )
        if self.concurrency.full:
            return Wait(math.inf, "full")
        return Wait(rate_s, "rate" if rate_s > 0 else "open")

    def held_s(self, now: float) -> float:
        """Seconds until 429s allow a call: what the provider asked for, or our own wait."""
        return max(self.hold_until - now, self.backoff.wait_s(now))

    def began(self, now: float, tokens: int) -> Ticket:
        """Count a call in."""
        self.concurrency.in_flight += 1
        ticket = Ticket(now, tokens)
        self.breaker.began(ticket)
        self._take(now, 1, tokens)
        return ticket

    def unused(self, now: float, ticket: Ticket) -> None:
        """Count a call out that asked nothing."""
        self.concurrency.in_flight -= 1
        self.breaker.unused(ticket)
        self._take(now, -1, -ticket.tokens)

    def gone(self, ticket: Ticket) -> None:
        """Count a call out that was broken off: nothing is learnt from it."""
        self.concurrency.in_flight -= 1
        self.breaker.unused(ticket)

    def ended(
        self, now: float, ticket: Ticket, call: object, error: ModelError | None, tokens: int | None
    ) -> None:
        """Count a call out, and learn from how it went; `tokens`: what it really used."""
        self.concurrency.in_flight -= 1
        self.concurrency.ended(now, ticket.at, error)
        self.breaker.ended(now, ticket, call, error)
        self.backoff.ended(now, ticket.at, error)
        if error is not None and error.retry_after_s is not None:
            self.hold_until = max(self.hold_until, now + error.retry_after_s)
        if tokens is not None:
            self._take(now, 0, tokens - ticket.tokens)

    def _take(self, now: float, requests: int, tokens: int) -> None:
        if self._requests is not None and requests:
            self._requests.take(now, requests)
        if self._tokens is not None:
            self._tokens.take(now, tokens)
