"""D3: the database may go away.

Restarts as after a power cut, one after another, through a whole round; and one long outage that begins with
many calls in flight, whose answers all come home while there is nowhere to write them. In the second act the
seats are killed during the outage too. No answer that was read is asked for again.
"""

import random
import sys
import threading
import time
from contextlib import suppress
from typing import NamedTuple

import psutil

from tests.acceptance.processes import until
from tests.chaos.classroom import CALLS, Stage, repeated, stage
from tests.chaos.promise import Promise, main, tell
from tests.postgres import Server

SLOW = "latency=fixed:4s"
"""Before and after the long outage: time to stop the database with every call in flight."""
FAST = "latency=fixed:50ms"


class Outcome(NamedTuple):
    """What it came to."""

    restarts: int
    identical: bool
    """All exports are, byte for byte, that of the undisturbed round."""
    lost: int
    """Turns that should be on record and are not."""
    repeated: int
    """Requests beyond the first of each, in the round under restarts."""
    in_flight: int
    """Calls that were in flight when the long outage began; twice, once for each act."""
    spooled: int
    """Of their answers, those that lay on disk while the database was away."""
    repeated_after: int
    """Requests beyond the first of each, in the rounds with the long outage."""
    left_in_spool: int
    unsettled: int

    @property
    def holds(self) -> bool:
        wrong = (self.lost, self.repeated, self.repeated_after, self.left_in_spool, self.unsettled)
        return (
            self.identical
            and not any(wrong)
            and self.spooled == self.in_flight > 0 < (self.restarts)
        )


class _Act(NamedTuple):
    export: bytes
    lost: int
    repeated: int
    unsettled: int


def go_away(
    sessions: int = 5000,
    calls: int = 200,
    outage_s: float = 60.0,
    most_s: float = 40.0,
    concurrency: int = 64,
    seed: int = 0,
) -> Outcome:
    """`sessions` under restarts, every 5 s to `most_s`; then `outage_s` twice with `calls` in flight."""
    restarts, calm, under = _restarts(sessions, concurrency, most_s, random.Random(seed))
    began, spooled, left, acts = _outages(calls, outage_s)
    return Outcome(
        restarts=restarts,
        identical=calm == under.export and len({act.export for act in acts}) == 1,
        lost=under.lost + sum(act.lost for act in acts),
        repeated=under.repeated,
        in_flight=began,
        spooled=spooled,
        repeated_after=sum(act.repeated for act in acts),
        left_in_spool=left,
        unsettled=under.unsettled + sum(act.unsettled for act in acts),
    )


def _restarts(
    sessions: int, concurrency: int, most_s: float, chance: random.Random
) -> tuple[int, bytes, _Act]:
    """(restarts, calm export, the round under them)."""
    count = 0
    over = threading.Event()
    with stage("latency=fixed:200ms", sessions=sessions, concurrency=concurrency) as on:
        calm = on.start("chaos")
        on.finish(calm, 120 + sessions * 2)
        before = len(on.requests())
        server = Server(on.database_url)
        disturbed = on.start("chaos")

        def restart() -> None:
            nonlocal count
            while not over.wait(chance.uniform(min(5.0, most_s / 2), most_s)):
                server.away(chance.uniform(0, 2))
                count += 1
                tell(f"D3: restart {count}")

        restarting = threading.Thread(target=restart)
        restarting.start()
        try:
            on.finish(disturbed, 300 + sessions * 4)
        finally:
            over.set()
            restarting.join()
        return count, on.export(calm), _act(on, disturbed, sessions, before)


def _outages(calls: int, outage_s: float) -> tuple[int, int, int, list[_Act]]:
    """(calls in flight at the beginnings, answers on disk, left on disk in the end, calm and both acts)."""
    began = spooled = 0
    with stage(FAST, sessions=calls, concurrency=calls) as on:
        acts = []
        spool = on.home.home / "spool"
        for kill in (None, False, True):
            before = len(on.requests())
            on.faults(FAST if kill is None else SLOW)
            round_id = on.start("chaos")
            if kill is not None:
                counts = _outage(on, Server(on.database_url), calls, outage_s, kill=kill)
                began, spooled = began + counts[0], spooled + counts[1]
            on.finish(round_id, 600)
            acts.append(_act(on, round_id, calls, before))
        left = len(list(spool.glob("*.json"))) if spool.exists() else 0
    return began, spooled, left, acts


def _outage(on: Stage, server: Server, calls: int, for_s: float, *, kill: bool) -> tuple[int, int]:
    """One outage: (calls in flight when it began, answers on disk before it ended)."""
    until(lambda: on.stats()["in_flight"] == calls, f"{calls} calls in flight", 120)
    sent = on.stats()["sent"]
    server.stop()
    ends = time.monotonic() + for_s
    until(lambda: on.stats()["sent"] == sent + calls, "every answer", 60)
    spool = on.home.home / "spool"
    with suppress(AssertionError):  # then the figures tell
        until(lambda: len(list(spool.glob("*.json"))) >= calls, "every answer on disk", 30)
    found = len(list(spool.glob("*.json")))
    if kill:
        for seat in on.processes().get("seat", []):
            with suppress(psutil.Error):
                seat.kill()
    time.sleep(max(0.0, ends - time.monotonic()))
    server.start()
    until(lambda: on.stats()["sent"] >= sent + 2 * calls, "the answers of after it", 120)
    on.faults(FAST)  # what is asked right after it is slow, too: who asks twice has time to
    tell(f"D3: {calls} calls were in flight, {found} answers on disk, seats killed: {kill}")
    return calls, found


def _act(on: Stage, round_id: str, sessions: int, before: int) -> _Act:
    asked = on.requests(before)
    books = on.books(round_id)
    lost = abs(sessions * CALLS - books.turns) + abs(sessions * CALLS - repeated(asked)[0])
    return _Act(on.export(round_id), lost, repeated(asked)[1], books.unsettled)


PROMISE = Promise(
    "D3",
    "the database may go away: no answer that was read is lost or asked for again",
    go_away,
    {"sessions": 20, "calls": 8, "outage_s": 4.0, "most_s": 3.0, "concurrency": 4},
)

if __name__ == "__main__":
    sys.exit(main(PROMISE))
