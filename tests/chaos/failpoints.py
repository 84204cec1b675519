"""D1: a kill at any named point loses no committed turn and duplicates none.

Each point of `aaa.failpoints` is armed while a small round runs; whichever process comes by dies there. Some
points are only passed in trouble, so the round is given it: a provider that fails, a database that goes away,
a pause.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from aaa.failpoints import NAMES, OF_COURSES
from tests.acceptance.processes import until
from tests.chaos.classroom import CALLS, Stage, repeated, stage
from tests.chaos.promise import Promise, main, tell
from tests.postgres import Server

POINTS = tuple(name for name in NAMES if name not in OF_COURSES)
"""A round passes these; those of courses are D6's."""
AWAY = ("spool.after", "spool.replayed")
"""Points that are only passed when the database went away."""
FAULTS = "latency=fixed:{}ms; 500=first:1,model=tutor"
AT_START, AT_PAUSE, AT_EXPORT = ("create.inside",), ("steer.inside",), ("export.row",)


class Outcome(NamedTuple):
    """What it came to."""

    points: int
    fired: int
    unfired: str
    """Points that no process came by."""
    identical: bool
    """Every export is, byte for byte, that of the undisturbed round."""
    lost: int
    """Turns that should be on record and are not, or are there twice."""
    repeated: int
    """Requests beyond the first successful one of each."""
    allowed: int
    """Attempts whose process died, or whose provider failed: these may be asked again."""
    unsettled: int

    @property
    def holds(self) -> bool:
        return (
            self.identical
            and self.fired == self.points > 0 == self.lost == self.unsettled
            and self.repeated <= self.allowed
        )


class _Act(NamedTuple):
    fired: Sequence[str]
    identical: bool
    lost: int
    repeated: int
    allowed: int
    unsettled: int


def die_at_each(sessions: int = 20, together: int = 1) -> Outcome:
    """A round of so many sessions for each group of `together` points, armed at once."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        with stage(
            FAULTS.format(60),
            sessions=sessions,
            concurrency=8,
            AAA_FAILPOINTS=folder,
            AAA_LEASE_S="4",
        ) as on:
            calm = on.start("chaos")
            on.finish(calm, 120 + sessions * 3)
            export = on.export(calm)
            others = [name for name in POINTS if name not in AWAY]
            groups = [AWAY, *(others[n : n + together] for n in range(0, len(others), together))]
            acts = [_act(on, Path(folder), group, sessions, export) for group in groups]
    fired = [name for act in acts for name in act.fired]
    return Outcome(
        points=len(POINTS),
        fired=len(fired),
        unfired=" ".join(name for name in POINTS if name not in fired) or "none",
        identical=all(act.identical for act in acts),
        lost=sum(act.lost for act in acts),
        repeated=sum(act.repeated for act in acts),
        allowed=sum(act.allowed for act in acts),
        unsettled=sum(act.unsettled for act in acts),
    )


def _act(on: Stage, folder: Path, points: Sequence[str], sessions: int, calm: bytes) -> _Act:
    """One round with these points armed."""
    on.client.post(f"{on.provider_url}/_reset")  # each key's first attempt fails again
    before = len(on.requests())
    on.processes()
    late = (*AT_PAUSE, *AT_EXPORT)
    _arm(folder, [name for name in points if name not in late])
    round_id = on.start("chaos")
    if set(points) & set(AT_PAUSE):
        until(lambda: on.round(round_id)["turns"] > 0, "the first turn")
        _arm(folder, AT_PAUSE)
        on.api("POST", f"/v1/rounds/{round_id}/pause")
        on.api("POST", f"/v1/rounds/{round_id}/resume")
    if points == AWAY:
        _take_the_database_away(on)
    on.finish(round_id, 180 + sessions * 3)
    if set(points) & set(AT_EXPORT):
        _arm(folder, AT_EXPORT)
    identical = on.export(round_id) == calm
    fired = [name for name in points if not _stays(folder, name)]
    books, asked = on.books(round_id), on.requests(before)
    failed = sum(request["status"] != 200 for request in asked)
    tell(f"D1: {' '.join(points)}: fired {len(fired)} of {len(points)}")
    return _Act(
        fired=fired,
        identical=identical,
        lost=abs(sessions * CALLS - books.turns) + abs(sessions * CALLS - repeated(asked)[0]),
        repeated=repeated(asked)[1],
        allowed=books.abandoned + failed,
        unsettled=books.unsettled,
    )


def _take_the_database_away(on: Stage) -> None:
    """For longer than calls take that are in flight then: their answers go to disk."""
    on.faults(FAULTS.format(1500))
    until(lambda: on.stats()["in_flight"] > 1, "slow calls")
    Server(on.database_url).away(6)
    on.faults(FAULTS.format(60))


def _arm(folder: Path, points: Sequence[str]) -> None:
    for name in points:
        (folder / name).touch()


def _stays(folder: Path, name: str) -> bool:
    """Whether the point is still armed a moment after the round's end; it is disarmed then."""
    for _ in range(20):
        if not (folder / name).exists():
            return False
        time.sleep(0.1)
    (folder / name).unlink(missing_ok=True)
    return True


PROMISE = Promise(
    "D1",
    "a kill at any named point loses no committed turn and duplicates none",
    die_at_each,
    {"sessions": 6, "together": 24},
)

if __name__ == "__main__":
    sys.exit(main(PROMISE))
