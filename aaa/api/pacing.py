"""How often a caller may ask: a bucket of requests for each, refilled steadily.

A guard of the server against its callers, not of callers against each other. Left out: who the caller is
(`guard`), and any state beyond this process.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

MOST_CALLERS = 10_000
"""Callers remembered; the one not heard of for longest is forgotten, and starts anew."""


class Pace(NamedTuple):
    """So many requests a second, and so many at once after a pause."""

    per_s: float
    burst: float


REQUESTS = Pace(per_s=100, burst=500)
"""Of one token."""
MISSES = Pace(per_s=5, burst=100)
"""Requests of one address with a token that lets nobody in: each costs a look into the database."""
UNHURRIED = Pace(per_s=1e6, burst=1e6)
"""Of who may ask as often as they like."""


class Buckets:
    """What each caller has left."""

    def __init__(self, pace: Pace, clock: Callable[[], float] = time.monotonic) -> None:
        self._pace, self._clock = pace, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Caller -> (requests left, as of when)."""

    def knows(self, caller: str) -> bool:
        """Whether that caller took a request not long ago."""
        return caller in self._left

    def forget(self, caller: str) -> None:
        self._left.pop(caller, None)

    def wait_s(self, caller: str, *, take: bool = True) -> float:
        """0, and one request is taken; or else the seconds until the next one may come."""
        now = self._clock()
        left, at = self._left.pop(caller, (self._pace.burst, now))
        left = min(self._pace.burst, left + (now - at) * self._pace.per_s)
        enough = left >= 1
        self._left[caller] = (left - (enough and take), now)
        while len(self._left) > MOST_CALLERS:
            self._left.popitem(last=False)
        return 0.0 if enough else (1 - left) / self._pace.per_s
