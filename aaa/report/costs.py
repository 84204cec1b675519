"""What rounds and trainings took: seconds, calls, tokens, dollars."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from aaa.types import Value

Json = Mapping[str, Any]


class Cost(Value):
    """What one thing took."""

    what: str
    kind: str
    """`round` or `training`."""
    seconds: float | None
    """From its first to its last moment, pauses included; `None`: unknown, or it has not ended."""
    calls: int | None
    tokens: int | None
    usd: float | None
    """`None`: unknown."""
    joules: float | None = None
    """`None`: nobody measured."""


def of_round(found: Json) -> Cost:
    """Of a round, as the API tells it."""
    return Cost(
        what=found["id"],
        kind="round",
        seconds=seconds(found["started_at"], found["finished_at"]),
        calls=found["calls"],
        tokens=found["prompt_tokens"] + found["completion_tokens"],
        usd=found["spent_usd"],
    )


def of_training(agent: str, seconds: float | None) -> Cost:
    """Of a training on a machine of one's own: it has no price."""
    return Cost(what=agent, kind="training", seconds=seconds, calls=None, tokens=None, usd=None)


def seconds(start: str | None, end: str | None) -> float | None:
    """Between two moments in ISO 8601; `None` where one is missing."""
    if not start or not end:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def total(costs: Iterable[Cost]) -> Cost:
    """Of all that is known."""
    every = list(costs)

    def known(values: Iterable[float | None]) -> float | None:
        there = [value for value in values if value is not None]
        return sum(there) if there else None

    calls, tokens = known(c.calls for c in every), known(c.tokens for c in every)
    return Cost(
        what="together",
        kind="",
        seconds=known(c.seconds for c in every),
        calls=None if calls is None else int(calls),
        tokens=None if tokens is None else int(tokens),
        usd=known(c.usd for c in every),
        joules=known(c.joules for c in every),
    )
