"""D5: a frozen owner does no harm.

A runner is stopped by SIGSTOP past its sessions' lease, while their calls are under way; the other runner
takes the sessions over and asks again what has not come; then the first one goes on. Each session has one
outcome, answers that came too late are kept and priced, and nobody sees an error of the database as it is.
"""

import random
import sys
import time
from contextlib import suppress
from typing import NamedTuple

import psutil

from tests.acceptance.processes import until
from tests.chaos.classroom import CALLS, Stage, repeated, stage
from tests.chaos.promise import Promise, main, tell
from tests.chaos.rows import connect

LEASE_S = 3


class Outcome(NamedTuple):
    """What it came to."""

    freezes: int
    taken_over: int
    """Sessions that the other runner took from a frozen one."""
    identical: bool
    """The export is, byte for byte, that of the undisturbed round."""
    lost: int
    """Turns that should be on record and are not."""
    repeated: int
    """Requests beyond the first of each: what the frozen runner waited for was asked again."""
    late: int
    """Answers that came after another had become the turn: kept, with their cost."""
    unowned: int
    """Calls asked again though nobody had claimed their session since: by two owners, or by a lost one."""
    unpriced: int
    unsettled: int
    raw_errors: int
    """Lines in any log that show an error of the database as it is."""

    @property
    def holds(self) -> bool:
        wrong = (self.lost, self.unowned, self.unpriced, self.unsettled, self.raw_errors)
        return (
            self.identical
            and not any(wrong)
            and self.taken_over > 0
            and (self.repeated == self.late)
        )


def freeze(
    sessions: int = 200, freezes: int = 20, latency_ms: int = 4000, seed: int = 0
) -> Outcome:
    """Calm, then with so many freezes, each longer than the lease; calls take longer than it, too."""
    with stage("", sessions=sessions, concurrency=64, AAA_LEASE_S=str(LEASE_S)) as on:
        calm = on.start("chaos")
        on.finish(calm, 120 + sessions)
        before = len(on.requests())
        on.faults(f"latency=fixed:{latency_ms}ms")
        frozen = on.start("chaos")
        taken = _freeze(on, frozen, freezes, random.Random(seed))
        on.finish(frozen, 300 + sessions * latency_ms / 1000)
        _last_home(on)
        books = on.books(frozen)
        asked = on.requests(before)
        raw = on.raw_errors()
        for line in raw[:5]:
            tell(f"D5: {line}")
        return Outcome(
            freezes=freezes,
            taken_over=taken,
            identical=on.export(calm) == on.export(frozen) != b"",
            lost=abs(sessions * CALLS - books.turns),
            repeated=repeated(asked)[1],
            late=books.late,
            unowned=_unowned(on, frozen),
            unpriced=books.unpriced,
            unsettled=books.unsettled,
            raw_errors=len(raw),
        )


def _freeze(on: Stage, round_id: str, freezes: int, chance: random.Random) -> int:
    """Freeze one runner after the other; sessions that were taken over."""
    until(lambda: on.round(round_id)["turns"] > 0, "the first turn")
    taken = 0
    for _ in range(freezes):
        if on.round(round_id)["status"] != "running":
            break
        runners = on.processes().get("runner", [])
        driving = [runner for runner in runners if _driven(on, round_id, runner)]
        if len(runners) == 2 and driving:
            taken += _frozen(on, round_id, chance.choice(driving))
        time.sleep(chance.uniform(0.5, 2))
    return taken


def _driven(on: Stage, round_id: str, runner: psutil.Process) -> int:
    """Sessions that this runner owns."""
    owned = "SELECT count(*) AS n FROM sessions WHERE round_id = %s AND status = 'running' AND "
    owned += "runner LIKE %s"
    with connect(on.database_url) as connection:
        row = connection.execute(owned, (round_id, f"%:{runner.pid}")).fetchone()
    return int((row or {})["n"])


def _frozen(on: Stage, round_id: str, victim: psutil.Process) -> int:
    """Freeze it until nothing of it is left to it, but not for ever; how many sessions it lost."""
    victim.suspend()
    had = _driven(on, round_id, victim)
    with suppress(AssertionError):
        until(
            lambda: not _driven(on, round_id, victim), "the sessions to be taken over", LEASE_S * 4
        )
    left = _driven(on, round_id, victim)
    victim.resume()
    tell(f"D5: froze {victim.pid}, which drove {had} sessions and lost {had - left}")
    return had - left


def _unowned(on: Stage, round_id: str) -> int:
    """Attempts after the first of their call that follow no new claim of their session."""
    with connect(on.database_url) as connection:
        row = connection.execute(UNOWNED, (round_id,)).fetchone()
    return int((row or {})["n"])


UNOWNED = """
SELECT count(*) AS n
FROM attempts AS again
JOIN attempts AS before ON before.session_id = again.session_id AND before.index = again.index
    AND before.attempt = again.attempt - 1
JOIN sessions AS s ON s.id = again.session_id
WHERE s.round_id = %s AND NOT EXISTS (
    SELECT FROM events AS e WHERE e.round_id = s.round_id AND e.kind = 'session.started'
    AND (e.data->>'session')::bigint = s.id AND e.at BETWEEN before.started_at AND again.started_at)
"""


def _last_home(on: Stage) -> None:
    """Answers to the frozen may come home after the round's end."""
    until(lambda: on.stats()["in_flight"] == 0, "the last answer", 60)
    time.sleep(2)


PROMISE = Promise(
    "D5",
    "a frozen owner does no harm: one outcome, late answers kept and priced",
    freeze,
    {"sessions": 6, "freezes": 1},
)

if __name__ == "__main__":
    sys.exit(main(PROMISE))
