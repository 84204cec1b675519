"""How long a round takes to obey: seconds from the request to the last or first call that shows it.

`python benchmarks/steering.py --times 20` plays a long round against the provider stub on loopback and, again
and again, narrows it, pauses it (calls come home), resumes it, and pauses it at once (calls are cut off).
Seen from the provider: a pause is obeyed when its last request has come in, a resume when the first one
has, a narrowing when no more calls are under way than allowed. The last step cancels it.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.acceptance.processes import until
from tests.chaos.classroom import Stage, stage

WIDE, NARROW = 16, 2
QUIET_S = 3.0
"""A pause is over when nothing has come in for so long."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--latency-ms", type=int, default=200)
    given = parser.parse_args()
    took: dict[str, list[float]] = {}
    sessions = 400 * given.times
    faults = f"latency=fixed:{given.latency_ms}ms"
    with stage(faults, sessions=sessions, concurrency=WIDE) as on:
        round_id = on.start("chaos")
        for turn in range(given.times):
            until(lambda: on.stats()["in_flight"] >= WIDE // 2, "calls in flight", 60)
            for name, step in _steps(on, round_id):
                took.setdefault(name, []).append(step())
            print(f"{turn + 1} of {given.times}", file=sys.stderr, flush=True)
        took["cancel"] = [_until_quiet(on, lambda: on.api("POST", _path(round_id, "cancel")))]
    print(f"seconds, {given.times} times, provider latency {given.latency_ms} ms")
    for name, values in took.items():
        print(f"{name:12} median {statistics.median(values):.2f}  most {max(values):.2f}")
    return 0


def _steps(on: Stage, round_id: str) -> list[tuple[str, Callable[[], float]]]:
    def move(verb: str) -> Callable[[], object]:
        return lambda: on.api("POST", _path(round_id, verb))

    def retune(concurrency: int) -> Callable[[], object]:
        body = {"concurrency": concurrency}
        return lambda: on.api("PATCH", _path(round_id), json=body)

    return [
        ("narrow", lambda: _until_at_most(on, NARROW, retune(NARROW))),
        ("widen", lambda: _until_at_least(on, NARROW + 1, retune(WIDE))),
        ("pause", lambda: _until_quiet(on, move("pause"))),
        ("resume", lambda: _until_asked(on, move("resume"))),
        ("pause now", lambda: _until_quiet(on, move("pause?now=true"))),
        ("resume now", lambda: _until_asked(on, move("resume"))),
    ]


def _path(round_id: str, verb: str = "") -> str:
    return f"/v1/rounds/{round_id}{'/' if verb else ''}{verb}"


def _until_quiet(on: Stage, act: Callable[[], object]) -> float:
    """Seconds until the last request came in, to 20 ms."""
    asked = time.monotonic()
    act()
    count, last = on.stats()["requests"], time.monotonic()
    while time.monotonic() - last < QUIET_S:
        time.sleep(0.02)
        now = on.stats()["requests"]
        if now != count:
            count, last = now, time.monotonic()
    return last - asked


def _until_asked(on: Stage, act: Callable[[], object]) -> float:
    before = on.stats()["requests"]
    return _until(act, lambda: on.stats()["requests"] > before)


def _until_at_most(on: Stage, most: int, act: Callable[[], object]) -> float:
    return _until(act, lambda: on.stats()["in_flight"] <= most)


def _until_at_least(on: Stage, least: int, act: Callable[[], object]) -> float:
    return _until(act, lambda: on.stats()["in_flight"] >= least)


def _until(act: Callable[[], object], look: Callable[[], bool]) -> float:
    asked = time.monotonic()
    act()
    while not look():
        time.sleep(0.02)
    return time.monotonic() - asked


if __name__ == "__main__":
    sys.exit(main())
