"""What the provider allows: requests a minute (a token bucket) and requests at a time, for each model.

Left out: tokens a minute, and any queue: what is too much is refused at once, as providers do.
"""

import math

from aaa.provider.faults import Limit, RetryAfter, fits


class Limiter:
    """The limits and what of them is used up."""

    def __init__(self, limits: tuple[Limit, ...]) -> None:
        self._limits = limits
        self._buckets: dict[tuple[int, str], tuple[float, float]] = {}
        """(limit, model) -> requests left, and when that was, in seconds."""
        self._running: dict[str, int] = {}

    def admit(self, model: str, now_s: float) -> RetryAfter | None:
        """Take a place for one request, or say when to come back."""
        limits = [(n, one) for n, one in enumerate(self._limits) if fits(one.model, model)]
        for n, limit in limits:
            wait_s = self._wait_s(n, limit, model, now_s)
            if wait_s > 0:
                return limit.retry_after or RetryAfter(form="seconds", s=float(math.ceil(wait_s)))
        for n, limit in limits:
            if limit.kind == "rpm":
                self._buckets[n, model] = (self._left(n, limit, model, now_s) - 1, now_s)
        self._running[model] = self._running.get(model, 0) + 1
        return None

    def release(self, model: str) -> None:
        """An admitted request is over."""
        self._running[model] -= 1

    def _wait_s(self, n: int, limit: Limit, model: str, now_s: float) -> float:
        """Seconds until this limit allows another request; 0 is now."""
        if limit.kind == "concurrency":
            return 1.0 if self._running.get(model, 0) >= limit.allowed else 0.0
        return max(0.0, 1 - self._left(n, limit, model, now_s)) * 60 / limit.allowed

    def _left(self, n: int, limit: Limit, model: str, now_s: float) -> float:
        burst = float(limit.burst or max(1, limit.allowed // 60))
        left, then_s = self._buckets.get((n, model), (burst, now_s))
        return min(burst, left + (now_s - then_s) * limit.allowed / 60)
