"""What a round costs beside its model calls: calls a second and CPU seconds a call, over the whole tree.

`make bench` plays the same sessions (draft, critique, revision, two ballots) against the provider stub on
loopback through plain LiteLLM in one asyncio loop, and through AAA (PostgreSQL, Ray and API included),
in turn, and prints the figures with their ratios. The stub's own CPU time is left out of both.
"""

import argparse
import json
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.acceptance.processes import AAA, Home, new_home, provider, started

CALLS = 5


class Figures(NamedTuple):
    """One run of one way."""

    wall_s: float
    """From the first call's start to the last one's end."""
    cpu_s: float
    """Of every process involved but the stub, from the way's own start."""
    peak_mib: float
    """Resident memory of them together, sampled twice a second."""
    start_s: float
    """From the command to the first call."""


class Meter:
    """CPU seconds and memory of a process and all it started, also of those that ended."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._cpu: dict[int, float] = {}
        self.peak_mib = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.is_set():
            self._look()
            self._stop.wait(0.5)

    def _look(self) -> None:
        resident = 0
        for process in self._tree():
            try:
                times = process.cpu_times()
                resident += process.memory_info().rss
            except psutil.Error:
                continue
            self._cpu[process.pid] = times.user + times.system
        self.peak_mib = max(self.peak_mib, resident / 2**20)

    def _tree(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.Error:
            return []

    def cpu_s(self) -> float:
        self._look()
        return sum(self._cpu.values())

    def end(self) -> None:
        self._stop.set()
        self._thread.join()


def through_aaa(home: Home, sessions: int, concurrency: int) -> Figures:
    """`aaa run` to its end."""
    home.scenario("bench", seeds=sessions, judging={"play": "logprob"}, concurrency=concurrency)
    began = time.monotonic()
    with started([AAA, "run", "bench", "--json"], home) as run:
        meter = Meter(run.process.pid)
        run.wait_for(r'"kind": ?"call.started"|call\.started')
        first, idle = time.monotonic(), meter.cpu_s()
        run.wait_for(r"round\.completed")
        wall, cpu = time.monotonic() - first, meter.cpu_s() - idle
        meter.end()
        peak = meter.peak_mib
    return Figures(wall, cpu, peak, first - began)


PLAIN = """
import asyncio, os, sys, time
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
base, sessions, concurrency = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
async def call(text):
    r = await litellm.acompletion(model="openai/stub", api_base=base, api_key="x", num_retries=0,
        messages=[{"role": "user", "content": text}], max_tokens=1024)
    return r.choices[0].message.content
async def session(n, room):
    async with room:
        draft = await call(f"What is {n} plus {n}?")
        critique = await call(f"Criticise: {draft}")
        revised = await call(f"{draft} {critique}")
        await asyncio.gather(*(call(f"Judge {o} {revised} {draft}") for o in ("ab", "ba")))
async def main():
    await call("warm up")
    print("ready", flush=True)
    sys.stdin.readline()
    room = asyncio.Semaphore(concurrency)
    await asyncio.gather(*(session(n, room) for n in range(sessions)))
    print("done", flush=True)
    sys.stdin.readline()
asyncio.run(main())
"""


def through_litellm(home: Home, base_url: str, sessions: int, concurrency: int) -> Figures:
    """The same calls in one process with nothing recorded."""
    import subprocess

    began = time.monotonic()
    command = [sys.executable, "-c", PLAIN, base_url, str(sessions), str(concurrency)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=home.env
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        meter = Meter(process.pid)
        idle, first = meter.cpu_s(), time.monotonic()
        process.stdin.write("go\n")
        process.stdin.flush()
        process.stdout.readline()
        wall, cpu = time.monotonic() - first, meter.cpu_s() - idle
        meter.end()
        process.stdin.write("end\n")
        process.stdin.flush()
    return Figures(wall, cpu, meter.peak_mib, first - began)


def median(runs: list[Figures], of: Callable[[Figures], float]) -> float:
    return statistics.median(of(run) for run in runs)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--latency-ms", type=int, nargs="*", default=[0, 50])
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    calls = given.sessions * CALLS
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {calls} calls a run, "
          f"{given.runs} runs each, in turn; medians", file=sys.stderr)  # fmt: skip
    rows = []
    for latency in given.latency_ms:
        ways: dict[str, list[Figures]] = {"litellm": [], "aaa": []}
        for _ in range(given.runs):
            with (
                new_home() as home,
                provider(home, faults=f"latency=fixed:{latency}ms") as base_url,
            ):
                home.cards(base_url)
                ways["litellm"].append(
                    through_litellm(home, base_url, given.sessions, given.concurrency)
                )
                ways["aaa"].append(through_aaa(home, given.sessions, given.concurrency))
        for name, runs in ways.items():
            rows.append(
                {
                    "latency_ms": latency,
                    "way": name,
                    "calls_per_s": round(calls / median(runs, lambda r: r.wall_s), 1),
                    "cpu_ms_per_call": round(1000 * median(runs, lambda r: r.cpu_s) / calls, 2),
                    "peak_mib": round(median(runs, lambda r: r.peak_mib)),
                    "start_s": round(median(runs, lambda r: r.start_s), 1),
                }
            )
    print(json.dumps(rows, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
