"""How fast things go, from the events' own clock: a sliding window of one-second buckets.

Left out: any clock of ours. The same events give the same rates, live or replayed.
"""

from dataclasses import dataclass
from itertools import pairwise

KEPT_S = 120
"""Seconds of history in a window: what the curve shows."""
RATE_S = 60
"""Seconds that a rate is averaged over."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What a window says about now."""

    calls_per_s: float
    tokens_per_s: float


@dataclass(frozen=True, slots=True)
class Window:
    """Answered calls and written tokens of the last two minutes. Cheap to replace, never grows."""

    head: int = 0
    """Epoch second of the newest bucket; 0: empty."""
    calls: tuple[float, ...] = (0.0,) * KEPT_S
    tokens: tuple[float, ...] = (0.0,) * KEPT_S

    def add(self, at: float, tokens: int, latency_s: float) -> "Window":
        """One call answered at `at`; its tokens are spread over the seconds it took."""
        head = max(self.head, int(at))
        calls, written = (
            list(_moved(self.calls, self.head, head)),
            list(_moved(self.tokens, self.head, head)),
        )
        last = KEPT_S - 1 - (head - int(at))
        if last < 0:
            return Window(head, tuple(calls), tuple(written))
        calls[last] += 1
        seconds = max(1, min(round(latency_s), KEPT_S))
        for place in range(max(0, last - seconds + 1), last + 1):
            written[place] += tokens / seconds
        return Window(head, tuple(calls), tuple(written))

    def rates(self, now: float, since: float | None) -> Rates:
        """Averages up to `now`, over at most a minute and no longer than it has run (`since`)."""
        span = RATE_S if since is None else max(1.0, min(RATE_S, now - since))
        calls = sum(_moved(self.calls, self.head, int(now))[-RATE_S:])
        tokens = sum(_moved(self.tokens, self.head, int(now))[-RATE_S:])
        return Rates(calls / span, tokens / span)

    def curve(self, now: float, points: int) -> tuple[float, ...]:
        """Tokens per second of the last two minutes in `points` equal steps, oldest first."""
        tokens = _moved(self.tokens, self.head, int(now))
        points = max(1, min(points, KEPT_S))
        edges = [KEPT_S * step // points for step in range(points + 1)]
        return tuple(sum(tokens[a:b]) / (b - a) for a, b in pairwise(edges))


NOTHING = Window()
"""A window in which nothing happened yet."""


def _moved(buckets: tuple[float, ...], head: int, to: int) -> tuple[float, ...]:
    """The buckets with the newest at second `to`, where that is later than `head`."""
    gone = min(max(0, to - head), KEPT_S) if head else 0
    return buckets[gone:] + (0.0,) * gone if gone else buckets
