"""The decision what to start and what to stop: pure, so that it can be read and tested without Ray."""

from collections.abc import Collection, Mapping
from typing import Literal

from aaa.catalogue import Script
from aaa.scenario import AgentCard
from aaa.types import Value, fingerprint

Kind = Literal["seat", "runner"]

IDLE_S = 60.0
"""A seat that no live round needs is stopped after so many seconds."""


class Desired(Value):
    """What should run."""

    seats: Mapping[str, AgentCard]
    """Actor name -> the card it wraps; the first is started first."""
    runners: int


class Action(Value):
    """One thing to do."""

    do: Literal["start", "stop"]
    kind: Kind
    name: str


def seat_name(card: AgentCard) -> str:
    """The actor that wraps exactly this card: a changed card is another seat."""
    return f"seat-{card.name}-{fingerprint(card)[:10]}"


def asked_first(scripts: Collection[Script]) -> list[AgentCard]:
    """The cards of rounds; last those who only judge, since they are asked about what others said."""
    casts = [script.scenario.seats for script in scripts]
    others = {n for seats in casts for seat in seats if seat != "judge" for n in seats[seat]}
    cards = [card for script in scripts for card in script.cards.values()]
    return sorted(cards, key=lambda card: card.name not in others)


def plan(
    desired: Desired, running: Mapping[str, Kind], idle_since: Mapping[str, float], now: float
) -> list[Action]:
    """Actions that lead from `running` (actor name -> kind) to `desired`, in the order of their need.

    A runner and the first seats make the first call; Ray starts as many workers at a time as there are cores.

    `idle_since`: seat -> when it was last needed, in the seconds of `now`.
    """
    runners = [f"runner-{number}" for number in range(desired.runners)]
    wanted: list[tuple[str, Kind]] = [(name, "runner") for name in runners]
    wanted[1:1] = [(name, "seat") for name in desired.seats]
    starts = [Action(do="start", kind=k, name=n) for n, k in wanted if n not in running]
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
