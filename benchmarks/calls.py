"""What a call costs beside its model: calls a second, CPU time, memory, start-up; four ways, in turn.

`make bench` plays the same sessions (draft, critique, revision, two ballots) against the provider stub on
loopback: through a plain aiohttp loop that records nothing, through plain LiteLLM that records nothing, and
through `aaa run` (PostgreSQL, Ray and API included) with our own adapter and with LiteLLM. The stub's own CPU
time is left out everywhere. Each way runs in every latency several times, in turn; medians.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from stage import (
    AAA,
    CALLS,
    Home,
    Meter,
    machine,
    median,
    new_home,
    started,
    stub,
    table,
    tell,
    three_cards,
    write_json,
)


class Figures(NamedTuple):
    """One run of one way."""

    wall_s: float
    """From the first call's start to the last one's end."""
    cpu_s: dict[str, float]
    """Kind of process -> CPU seconds, start-up left out."""
    peak_mib: float
    start_s: float
    """From the command to the first call."""


def through_aaa(adapter: str) -> Callable[[Home, str, int, int], Figures]:
    """`aaa run` to its end."""

    def play(home: Home, base_url: str, sessions: int, concurrency: int) -> Figures:
        three_cards(home, base_url, concurrency, adapter)
        home.scenario("bench", sessions, judging={"play": "logprob"}, concurrency=concurrency)
        began = time.monotonic()
        with started([AAA, "run", "bench", "--json"], home) as run:
            meter = Meter(home, run.process.pid)
            run.wait_for(r"call\.started")
            first = time.monotonic()
            meter.mark()
            run.wait_for(r"round\.completed")
            wall, cpu = time.monotonic() - first, meter.cpu()
            meter.end()
        return Figures(wall, cpu, meter.peak_mib, first - began)

    return play


SESSIONS = """
import asyncio, sys
async def session(call, n, room):
    async with room:
        draft = await call("pupil", f"What is {n} plus {n}?")
        critique = await call("tutor", f"Criticise: {draft}")
        revised = await call("pupil", f"{draft} {critique}")
        judge = {"max_tokens": 1, "logprobs": True, "top_logprobs": 20}
        await asyncio.gather(
            *(call("referee", f"Judge {o} {revised} {draft}", **judge) for o in ("ab", "ba"))
        )
async def main(call, sessions, concurrency):
    await call("pupil", "warm up")
    print("ready", flush=True)
    sys.stdin.readline()
    room = asyncio.Semaphore(concurrency)
    await asyncio.gather(*(session(call, n, room) for n in range(sessions)))
    print("done", flush=True)
    sys.stdin.readline()
"""
LITELLM = (
    SESSIONS
    + """
import os
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
base, sessions, concurrency = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
async def call(model, text, **more):
    r = await litellm.acompletion(model="openai/" + model, api_base=base, api_key="x", num_retries=0,
        messages=[{"role": "user", "content": text}], **({"max_tokens": 1024} | more))
    return r.choices[0].message.content
asyncio.run(main(call, sessions, concurrency))
"""
)
AIOHTTP = (
    SESSIONS
    + """
import aiohttp
base, sessions, concurrency = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
async def whole():
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        async def call(model, text, **more):
            chat = [{"role": "user", "content": text}]
            body = {"model": model, "messages": chat, "max_tokens": 1024} | more
            async with http.post(base + "/chat/completions", json=body) as answer:
                return (await answer.json())["choices"][0]["message"]["content"]
        await main(call, sessions, concurrency)
asyncio.run(whole())
"""
)


def by_itself(program: str) -> Callable[[Home, str, int, int], Figures]:
    """The same calls in one process with nothing recorded."""

    def play(home: Home, base_url: str, sessions: int, concurrency: int) -> Figures:
        began = time.monotonic()
        command = [sys.executable, "-c", program, base_url, str(sessions), str(concurrency)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=home.env
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.readline()
            meter = Meter(home, process.pid)
            meter.mark()
            first = time.monotonic()
            print("go", file=process.stdin, flush=True)
            process.stdout.readline()
            wall, cpu = time.monotonic() - first, meter.cpu()
            meter.end()
            print("end", file=process.stdin, flush=True)
        return Figures(wall, cpu, meter.peak_mib, first - began)

    return play


WAYS: dict[str, Callable[[Home, str, int, int], Figures]] = {
    "aiohttp": by_itself(AIOHTTP),
    "LiteLLM": by_itself(LITELLM),
    "AAA, direct": through_aaa("openai"),
    "AAA, LiteLLM": through_aaa("hosted_vllm"),
}


def row(way: str, latency_ms: float, sessions: int, runs: list[Figures]) -> dict[str, object]:
    """A line of the table."""
    calls = sessions * CALLS
    wall_s = median(runs, lambda run: run.wall_s)
    return {
        "latency ms": f"{latency_ms:g}",
        "way": way,
        "sessions/s": round(sessions / wall_s, 1),
        "calls/s": round(calls / wall_s),
        "CPU ms a call": round(1000 * median(runs, lambda run: sum(run.cpu_s.values())) / calls, 2),
        "peak MiB": round(median(runs, lambda run: run.peak_mib)),
        "start s": round(median(runs, lambda run: run.start_s), 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=128, help="sessions at once")
    parser.add_argument("--latency-ms", type=float, nargs="*", default=[0, 50, 1000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS), metavar="WAY")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    given = parser.parse_args()
    where = machine()
    tell(f"{where}; {given.sessions * CALLS} calls a run, {given.runs} runs each, in turn")
    rows, raw = [], {}
    for latency_ms in given.latency_ms:
        seen: dict[str, list[Figures]] = {way: [] for way in given.ways}
        concurrency = 1000 if latency_ms >= 1000 else given.concurrency
        for number in range(given.runs):
            for way in given.ways:
                with new_home() as home, stub(home, latency_ms) as base_url:
                    found = WAYS[way](home, base_url, given.sessions, concurrency)
                seen[way].append(found)
                raw[f"{latency_ms:g} ms, {way}, run {number}"] = found._asdict()
                rate = given.sessions * CALLS / found.wall_s
                tell(f"{latency_ms:g} ms, {way}: {rate:.0f} calls/s")
        rows += [row(way, latency_ms, given.sessions, runs) for way, runs in seen.items()]
    write_json(given.json, {"machine": where, "table": rows, "runs": raw})
    print(f"{where}\n\n{table(rows)}")
    last = {name: raw[name]["cpu_s"] for name in raw if "AAA" in name}
    print(f"\nCPU seconds by kind of process: {json.dumps(last)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
