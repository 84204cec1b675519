"""D2: random SIGKILLs change nothing but the time it takes.

The same scenario twice on one control plane: calm, then under kills at seeded random times of runners, seats,
supervisor, API, and now and then Ray's own processes. Exports are compared byte by byte, and requests one by
one, counted from the provider's side. A victim is frozen before it dies, so that the calls in flight at its
death can be counted exactly.
"""

import random
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import psutil

from tests.acceptance.processes import until
from tests.chaos.classroom import CALLS, Kind, Stage, repeated, stage
from tests.chaos.promise import Promise, main, tell

VICTIMS: Mapping[Kind, int] = {
    "runner": 34,
    "seat": 34,
    "supervisor": 12,
    "api": 14,
    "raylet": 3,
    "gcs_server": 3,
}
"""Kind of process -> how often it is chosen, of a hundred."""
IN_FLIGHT = 16
"""Sessions at once."""


class Outcome(NamedTuple):
    """What a round under kills came to."""

    kills: int
    killed: str
    """How many of each kind."""
    identical: bool
    """The export is, byte for byte, that of the undisturbed round."""
    lost: int
    """Turns that should be on record and are not."""
    requests: int
    repeated: int
    """Requests beyond the first of each: paid for twice."""
    allowed: int
    """Calls that were in flight at the kills, which may be asked again."""
    unsettled: int
    """1: money is still reserved, or the sums are not those of the attempts."""
    calm_s: float
    disturbed_s: float

    @property
    def holds(self) -> bool:
        return (
            self.identical
            and self.kills > 0 == self.lost == self.unsettled
            and self.repeated <= self.allowed
        )


def disturb(
    sessions: int = 1000, kills: int = 200, seed: int = 0, latency_ms: int = 100
) -> Outcome:
    """Play calm, then under kills."""
    faults = f"latency=fixed:{latency_ms}ms"
    with stage(faults, sessions=sessions, concurrency=IN_FLIGHT) as on:
        began = time.monotonic()
        calm = on.start("chaos")
        on.finish(calm, 120 + sessions * 3)
        calm_s = time.monotonic() - began
        before = len(on.requests())
        began = time.monotonic()
        disturbed = on.start("chaos")
        killed, allowed = _kill(on, disturbed, kills, random.Random(seed))
        on.finish(disturbed, 300 + sessions * 3)
        disturbed_s = time.monotonic() - began
        books = on.books(disturbed)
        asked = on.requests(before)
        return Outcome(
            kills=len(killed),
            killed=", ".join(f"{killed.count(kind)} {kind}" for kind in VICTIMS),
            identical=on.export(calm) == on.export(disturbed) != b"",
            lost=abs(sessions * CALLS - books.turns) + abs(sessions * CALLS - repeated(asked)[0]),
            requests=len(asked),
            repeated=repeated(asked)[1],
            allowed=allowed,
            unsettled=books.unsettled,
            calm_s=round(calm_s, 1),
            disturbed_s=round(disturbed_s, 1),
        )


def _kill(on: Stage, round_id: str, kills: int, chance: random.Random) -> tuple[list[Kind], int]:
    """Kill while the round runs: (victims, calls in flight at their deaths, added up)."""
    killed: list[Kind] = []
    in_flight = 0
    until(lambda: on.round(round_id)["turns"] > 0, "the first turn")
    while len(killed) < kills:
        time.sleep(chance.uniform(0.3, 2.5))
        (kind,) = chance.choices(list(VICTIMS), list(VICTIMS.values()))
        victim = _victim(on, round_id, kind, chance)
        if victim is None:
            break
        with suppress(psutil.Error):
            victim.suspend()
            in_flight += on.in_flight(round_id)
            victim.kill()
            killed.append(kind)
            tell(f"D2: killed {kind} {victim.pid}")
    return killed, in_flight


def _victim(on: Stage, round_id: str, kind: Kind, chance: random.Random) -> psutil.Process | None:
    """One of that kind, as soon as there is one; `None` where the round ended first."""

    def look() -> list[psutil.Process | None]:
        there = on.processes().get(kind, [])
        return [*there] or ([None] if on.round(round_id)["status"] != "running" else [])

    found: list[psutil.Process | None] = until(look, f"a {kind} to kill")
    return chance.choice(found)


PROMISE = Promise(
    "D2",
    "random kills change nothing",
    disturb,
    {"sessions": 24, "kills": 3, "seed": 7},
)

if __name__ == "__main__":
    sys.exit(main(PROMISE))
