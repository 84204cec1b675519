"""D2: random SIGKILLs on runners and seats change nothing but the time it takes.

`python -m tests.chaos.kills --sessions 1000 --kills 200` plays the same scenario twice against the
provider stub, once undisturbed and once under kills, and compares exports byte by byte and requests one
by one, counted from the provider's side. `make test` runs a small size of it.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from typing import NamedTuple

import httpx
import psutil

from tests.acceptance.processes import AAA, new_home, provider, requests, started, until

VICTIMS = ("ray::RunnerActor", "ray::Seat")
CALLS = 5
"""Calls of one session: draft, critique, revision, two ballots."""
IN_FLIGHT = 16
"""Sessions at once, hence calls in flight at most: each session waits for a batch of at most two."""


class Outcome(NamedTuple):
    """What a run under kills came to."""

    sessions: int
    kills: int
    identical: bool
    """The export is, byte for byte, that of the undisturbed run."""
    turns: int
    distinct: int
    """Different requests that the provider saw."""
    repeated: int
    """Requests beyond the first of each: paid for twice."""
    allowed: int
    """Calls that were in flight at the kills, which may be asked again."""
    calm_s: float
    disturbed_s: float

    @property
    def holds(self) -> bool:
        return self.identical and self.distinct == self.turns and self.repeated <= self.allowed


def disturb(sessions: int, kills: int, *, seed: int = 0, latency_ms: int = 100) -> Outcome:
    """Play calm, then under kills, each in a home of its own."""
    calm, _, calm_s, _ = _play(sessions, 0, seed, latency_ms)
    export, seen, disturbed_s, allowed = _play(sessions, kills, seed, latency_ms)
    return Outcome(
        sessions=sessions,
        kills=kills,
        identical=calm == export,
        turns=sessions * CALLS,
        distinct=len(seen),
        repeated=sum(count - 1 for count in seen.values()),
        allowed=allowed,
        calm_s=calm_s,
        disturbed_s=disturbed_s,
    )


def _play(
    sessions: int, kills: int, seed: int, latency_ms: int
) -> tuple[bytes, Counter[str], float, int]:
    """(export, requests by key, seconds, calls in flight at the kills)."""
    with new_home() as home:
        home.scenario("chaos", seeds=sessions, judging={"play": "logprob"}, concurrency=IN_FLIGHT)
        with provider(home, faults=f"latency=fixed:{latency_ms}ms", judge="noise=0.3") as base_url:
            home.cards(base_url)
            with started([AAA, "serve", "--port", "0"], home, AAA_RUNNERS="2") as server:
                url = server.wait_for(r"http://127\.0\.0\.1:\d+").group(0)
                with httpx.Client(base_url=url, timeout=120) as client:
                    made = client.post("/v1/rounds", json={"scenario": "chaos"}).json()
                    began = time.monotonic()
                    allowed = _kill(client, made["id"], server.process.pid, base_url, kills, seed)
                    _wait(client, made["id"], sessions)
                    took = time.monotonic() - began
                    export = client.get(f"/v1/rounds/{made['id']}/pairs").content
        return export, Counter(str(request["key"]) for request in requests(home)), took, allowed


def _kill(
    client: httpx.Client, round_id: str, server: int, base_url: str, kills: int, seed: int
) -> int:
    """Kill at seeded random times while the round runs; calls in flight at each kill, added up."""
    chance = random.Random(seed)
    in_flight = 0
    until(lambda: client.get(f"/v1/rounds/{round_id}").json()["turns"] > 0, "the first turn")
    for _ in range(kills):
        time.sleep(chance.uniform(0.5, 3.0))
        if client.get(f"/v1/rounds/{round_id}").json()["status"] != "running":
            break
        found = [p for p in psutil.Process(server).children(recursive=True) if _is_victim(p)]
        if found:
            stats = httpx.get(f"{base_url.removesuffix('/v1')}/_stats", timeout=20).json()
            in_flight += max(1, stats["in_flight"])
            chance.choice(sorted(found, key=lambda p: p.pid)).kill()
    return in_flight


def _is_victim(process: psutil.Process) -> bool:
    try:
        return " ".join(process.cmdline()).startswith(VICTIMS)
    except psutil.Error:
        return False


def _wait(client: httpx.Client, round_id: str, sessions: int) -> None:
    done = until(
        lambda: (
            (found := client.get(f"/v1/rounds/{round_id}").json())["status"]
            in ("completed", "failed", "paused")
            and found
        ),
        "the round's end",
        within_s=120 + sessions * 2,
    )
    assert done["sessions"]["completed"] == sessions, json.dumps(done, indent=1)


def main() -> int:
    """Exit code 0 when the promise held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--latency-ms", type=int, default=100)
    given = parser.parse_args()
    outcome = disturb(given.sessions, given.kills, seed=given.seed, latency_ms=given.latency_ms)
    print(json.dumps({**outcome._asdict(), "holds": outcome.holds}, indent=2))
    return 0 if outcome.holds else 1


if __name__ == "__main__":
    sys.exit(main())
