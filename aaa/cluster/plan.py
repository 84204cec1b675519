"""The decision what to start and what to stop: pure, so that it can be read and tested without Ray."""

from collections.abc import Mapping
from typing import Literal

from aaa.scenario import AgentCard
from aaa.types import Value, fingerprint

Kind = Literal["seat", "runner"]

IDLE_S = 60.0
"""A seat is stopped when for so many seconds no round was live, and no call in flight, that needs it."""


class Desired(Value):
    """What should run."""

    seats: Mapping[str, AgentCard]
    """Actor name -> the card it wraps."""
    runners: int


class Action(Value):
    """One thing to do."""

    do: Literal["start", "stop"]
    kind: Kind
    name: str


def seat_name(card: AgentCard) -> str:
    """The actor that wraps exactly this card: a changed card is another seat."""
    return f"seat-{card.name}-{fingerprint(card)[:10]}"


def plan(
    desired: Desired, running: Mapping[str, Kind], idle_since: Mapping[str, float], now: float
) -> list[Action]:
    """Actions that lead from `running` (actor name -> kind) to `desired`; seats first.

    `idle_since`: seat -> when it was last needed, in the seconds of `now`.
    """
    runners = [f"runner-{number}" for number in range(desired.runners)]
    starts = [Action(do="start", kind="seat", name=n) for n in desired.seats if n not in running]
    starts += [Action(do="start", kind="runner", name=n) for n in runners if n not in running]
    stops = [
        Action(do="stop", kind=kind, name=name)
        for name, kind in running.items()
        if (kind == "runner" and name not in runners)
        or (
            kind == "seat"
            and name not in desired.seats
            and now - idle_since.get(name, now) >= IDLE_S
        )
    ]
    return starts + stops
