"""Whether a call costs the same in a large round as in a small one, and what a large one takes to go on.

`python benchmarks/scale.py --sessions 1000 10000 100000`: for each size a round through `aaa serve` against
the provider stub: CPU time a call and memory in each tenth of the round, how late a reader hears of events,
how long the round takes to be made, and, with half of it done, how long after a restart the first new call
begins. `--runners 1 2 3 4` plays one size with so many runners; `--in-flight 100 300 1000` with so many
sessions at once at a latency of a second.
"""

import argparse
import json
import signal
import statistics
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from stage import (
    AAA,
    CALLS,
    Home,
    Meter,
    machine,
    new_home,
    started,
    stub,
    table,
    tell,
    three_cards,
    write_json,
)


class Reader:
    """Follows a round's events, and keeps how late each came."""

    def __init__(self, url: str, round_id: str, after: int = 0) -> None:
        self.first_call_at = 0.0
        self._since = datetime.now(UTC)
        self.late_s: list[float] = []
        self.finished = 0
        self.last = after
        self.done = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(url, round_id), daemon=True)
        self._thread.start()

    def _read(self, url: str, round_id: str) -> None:
        while not self.done.is_set():
            try:
                self._stream(f"{url}/v1/rounds/{round_id}/events")
            except httpx.HTTPError:
                time.sleep(0.05)

    def _stream(self, url: str) -> None:
        with httpx.stream(
            "GET", url, headers={"Last-Event-ID": str(self.last)}, timeout=60
        ) as answer:
            kind = ""
            for line in answer.iter_lines():
                if line.startswith("id:"):
                    self.last = int(line[3:])
                elif line.startswith("event:"):
                    kind = line[6:].strip()
                elif line.startswith("data:"):
                    self._event(kind, line)

    def _at(self, line: str) -> datetime:
        return datetime.fromisoformat(json.loads(line[5:])["at"])

    def _event(self, kind: str, line: str) -> None:
        if kind == "call.started" and not self.first_call_at and self._at(line) > self._since:
            self.first_call_at = time.monotonic()  # one of before the restart is no new one
        self.finished += kind == "session.finished"
        if self.last % 20 == 0:  # a sample: the reader shares the machine with what it measures
            self.late_s.append((datetime.now(UTC) - self._at(line)).total_seconds())
        if kind in ("round.completed", "round.failed", "round.cancelled"):
            self.done.set()


@contextmanager
def served(home: Home, runners: int) -> Any:
    """`aaa serve`; its process, and its URL once it is ready."""
    with started([AAA, "serve", "--port", "0"], home, AAA_RUNNERS=str(runners)) as process:
        yield process, process.wait_for(r"http://127\.0\.0\.1:\d+").group(0)


def make_round(home: Home, url: str, sessions: int, at_once: int) -> tuple[str, float]:
    """(a new round's id, seconds it took to make)."""
    home.scenario("bench", sessions, judging={"play": "logprob"}, concurrency=at_once)
    began = time.monotonic()
    answer = httpx.post(f"{url}/v1/rounds", json={"scenario": "bench"}, timeout=600)
    answer.raise_for_status()
    return str(answer.json()["id"]), time.monotonic() - began


def watch(meter: Meter, reader: Reader, sessions: int, until: float) -> list[dict[str, Any]]:
    """CPU a call and memory in each tenth of a round, up to that share of it."""
    tenths: list[dict[str, Any]] = []
    before, at, done = meter.cpu(), time.monotonic(), reader.finished
    step = sessions / 10
    while not reader.done.is_set() and reader.finished < until * sessions:
        time.sleep(0.2)
        if reader.finished - done < step and not reader.done.is_set():
            continue
        now, cpu, count = time.monotonic(), meter.cpu(), reader.finished
        calls = max(1, count - done) * CALLS
        used = {k: 1000 * (v - before.get(k, 0.0)) / calls for k, v in cpu.items()}
        tenths.append(
            {
                "share": round(count / sessions, 2),
                "ramp": not tenths,
                "calls": calls,
                "s": now - at,
                "calls_per_s": calls / (now - at),
                "cpu_ms": sum(used.values()),
                "cpu_ms_by": {k: round(v, 3) for k, v in used.items()},
                "mib": {k: round(v) for k, v in meter.mib().items()},
            }
        )
        tell(f"{count}/{sessions}: {tenths[-1]['calls_per_s']:.0f} calls/s, "
             f"{tenths[-1]['cpu_ms']:.2f} ms a call, {tenths[-1]['mib']}")  # fmt: skip
        before, at, done = cpu, now, count
    return tenths


def one_size(
    sessions: int, at_once: int, latency_ms: float, runners: int = 1, share: float = 1.0
) -> dict[str, Any]:
    """A round of that size, stopped and taken up again in the middle of the share of it that is played."""
    played = max(10, round(share * sessions))
    with new_home() as home, stub(home, latency_ms) as base_url:
        three_cards(home, base_url, at_once)
        found: dict[str, Any] = {"sessions": sessions, "at_once": at_once, "runners": runners}
        with served(home, runners) as (process, url):
            time.sleep(3)  # supervisor and Ray are no part of a call
            meter = Meter(home, process.process.pid)
            round_id, found["made_s"] = make_round(home, url, sessions, at_once)
            reader = Reader(url, round_id)
            tenths = watch(meter, reader, played, 0.5)
            meter.end()
            process.stop(signal.SIGTERM)
        reader.done.set()
        began = time.monotonic()
        with served(home, runners) as (process, url):
            found["ready_s"] = time.monotonic() - began
            again = Reader(url, round_id, after=reader.last)
            while not again.first_call_at:
                time.sleep(0.01)
            found["first_new_call_s"] = again.first_call_at - began
            again.finished = reader.finished
            meter = Meter(home, process.process.pid)
            tenths += watch(meter, again, played, 1.0)
            meter.end()
            late = sorted(reader.late_s + again.late_s)
        found["event_late_s"] = {"p50": statistics.median(late), "p95": late[int(0.95 * len(late))]}
        found["tenths"] = tenths
    return found


def line(found: dict[str, Any]) -> dict[str, object]:
    """A line of the table: the tenths in which nothing starts or stops, together.

    Sessions that began together end together, so one tenth alone says little.
    """
    tenths = found["tenths"]
    steady = [t for t in tenths if not t["ramp"] and t["share"] < 1] or tenths
    middle = steady[len(steady) // 2]
    calls = sum(t["calls"] for t in steady)
    return {
        "sessions": found["sessions"],
        "at once": found["at_once"],
        "runners": found["runners"],
        "calls/s": round(calls / sum(t["s"] for t in steady)),
        "CPU ms a call": round(sum(t["calls"] * t["cpu_ms"] for t in steady) / calls, 2),
        "runner MiB": middle["mib"].get("runner", 0),
        "seats MiB": middle["mib"].get("seat", 0),
        "supervisor MiB": middle["mib"].get("supervisor", 0),
        "API MiB": middle["mib"].get("command", 0),
        "events late p50 / p95 ms": " / ".join(
            f"{1000 * found['event_late_s'][p]:.0f}" for p in ("p50", "p95")
        ),
        "made in s": round(found["made_s"], 1),
        "restart: ready, first new call s": f"{found['ready_s']:.1f}, {found['first_new_call_s']:.1f}",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, nargs="*", default=[1000, 10_000])
    parser.add_argument("--at-once", type=int, default=128)
    parser.add_argument("--latency-ms", type=float, default=20)
    parser.add_argument("--runners", type=int, nargs="*", default=[1])
    parser.add_argument("--in-flight", type=int, nargs="*", default=[])
    parser.add_argument("--share", type=float, default=1.0, help="of each round that is played")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    given = parser.parse_args()
    where = machine()
    tell(where)
    if given.in_flight:
        runs = [one_size(max(2000, 10 * n), n, 1000) for n in given.in_flight]
    else:
        runs = [
            one_size(sessions, given.at_once, given.latency_ms, runners, given.share)
            for sessions in given.sessions
            for runners in given.runners
        ]
    write_json(given.json, {"machine": where, "runs": runs})
    print(f"{where}\n\n{table([line(found) for found in runs])}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
