"""What the dashboard costs under load: CPU share of one core, and how soon a key is answered.

A control plane of our own on loopback plays a round of 10,000 sessions at 200 events a second without
end; `aaa watch` looks at it in a real terminal of each size. CPU is the watcher's alone, over the time
after it caught up; a key's answer is when what it brings was written to the terminal: help over the round,
the list of sessions, the session on stage, and the way back from each.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import uvicorn

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.acceptance.processes import AAA, until  # noqa: E402
from tests.acceptance.terminal import Terminal, terminal  # noqa: E402
from tests.helpers.classroom import CRITIQUE, DRAFT, REVISION, iso, round_json  # noqa: E402

SIZES = ((80, 24), (200, 60))
AGENTS = ("smollm2-135m", "qwen2.5-coder-1.5b", "granite-3.3-2b")
AT_ONCE = 64
"""Sessions under way."""
LISTED = 200
"""Sessions of a page."""
MOST_CPU, MOST_KEY_S = 0.25, 0.1
"""What the figures are held against."""
BACK = ("Esc", "\x1b", "q leaves")
KEYS = (
    ("?", "?", "cancel it for good"), BACK,
    ("s", "s", "seat:teacher"), BACK,
    ("t", "t", "keys · Esc"), BACK,
)  # fmt: skip
"""What is pressed, in turn: its name, what the terminal sends, and what is written then."""


def happenings() -> Iterator[tuple[str, dict[str, Any]]]:
    """Sessions without end, `AT_ONCE` of them interleaved, as the real system would tell them."""
    playing = {number: _session(number) for number in range(AT_ONCE)}
    for fresh in count(AT_ONCE):
        for number, session in list(playing.items()):
            said = next(session, None)
            if said is None:
                del playing[number]
                playing[fresh] = _session(fresh)
                break
            yield said


def _session(number: int) -> Iterator[tuple[str, dict[str, Any]]]:
    own = {"session": number, "seed": f"seed-{number}"}
    yield "session.started", own
    plan = (
        ("student", "smollm2-135m", "draft", DRAFT),
        ("teacher", "qwen2.5-coder-1.5b", "critique", CRITIQUE),
        ("student", "smollm2-135m", "revision", REVISION),
        ("judge", "granite-3.3-2b", "ballot", "A"),
        ("judge", "granite-3.3-2b", "ballot", "B"),
    )
    for index, (seat, agent, purpose, text) in enumerate(plan):
        who = {**own, "index": index, "seat": seat, "agent": agent, "purpose": purpose}
        yield "call.started", {**who, "attempt": 1}
        yield "turn", {**who, "text": text, "characters": len(text), "finish_reason": "stop",
                       "prompt_tokens": 200, "completion_tokens": 60, "cost_usd": 1e-5,
                       "latency_s": 1.5, "failure": None}  # fmt: skip
    ballots = [
        {"judge": "granite-3.3-2b", "order": o, "prefers": "b", "error": None} for o in ("ab", "ba")
    ]
    yield "verdict", {**own, "index": 0, "edge": "revision", "outcome": "win", "winner": "b",
                      "margin": 2.0, "judging": "logprob", "a": 0, "b": 2,
                      "agents": {"a": "smollm2-135m", "b": "smollm2-135m"}, "ballots": ballots,
                      "reason": "", "pair": f"p{number}"}  # fmt: skip
    yield "session.finished", {**own, "status": "completed", "reason": "", "message": ""}


class Plane:
    """Answers what a watcher asks."""

    def __init__(self, sessions: int, rate: float, past: int) -> None:
        self.sessions, self.rate, self.past = sessions, rate, past

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path.endswith("/events"):
            await self._stream(dict(scope["headers"]), send)
            return
        whole = round_json(self.sessions, last_event=self.past) | {
            "concurrency": AT_ONCE, "turns": self.past // 3, "spent_usd": 0.4,
        }  # fmt: skip
        whole["sessions"] |= {"completed": self.past // 14}
        answers: dict[str, Any] = {
            "/v1/rounds": {"items": [whole], "next": None},
            "/v1/gates": {"items": [_gate(agent) for agent in AGENTS]},
            "/v1/courses": {"items": [], "next": None},
        }
        if path.endswith("/sessions"):
            answer: Any = {"items": [_row(number) for number in range(LISTED)], "next": "next"}
        else:
            answer = answers.get(
                path, whole if path.startswith("/v1/rounds/") else _transcript(path)
            )
        await _reply(send, json.dumps(answer).encode())

    async def _stream(self, headers: dict[bytes, bytes], send: Any) -> None:
        kind = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": kind})
        said, last = happenings(), int(headers.get(b"last-event-id", b"0"))
        for _ in range(last):
            next(said)
        begun, number = time.monotonic() - (self.past - last) / self.rate, last
        while True:
            due, frames = last + int((time.monotonic() - begun) * self.rate), []
            while number < due and len(frames) < 500:
                number, (event, data) = number + 1, next(said)
                told = json.dumps({**data, "at": iso(time.time())})
                frames.append(f"id: {number}\nevent: {event}\ndata: {told}\n\n")
            chunk = "".join(frames).encode()
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(0.02)


def _row(number: int) -> dict[str, Any]:
    return {"id": number, "seed": f"seed-{number}", "status": "completed", "reason": None, "message": None,
            "started_at": iso(0), "finished_at": iso(60), "turns": 5, "verdicts": 1}  # fmt: skip


def _gate(agent: str) -> dict[str, Any]:
    return {"seat": f"seat-{agent}", "agent": agent, "state": "full", "concurrency": 24, "in_flight": 24,
            "waiting": 8, "opens_at": None, "why": "", "since": iso(0), "beat_at": iso(0)}  # fmt: skip


def _transcript(path: str) -> dict[str, Any]:
    number = path.rsplit("/", 1)[1]
    seed = {"id": f"seed-{number}", "prompt": [{"role": "user", "content": "Why is the sky blue?"}]}
    return {"id": number, "seed": seed, "status": "running", "started_at": None, "turns": [],
            "verdicts": [], "reason": "", "message": "", "finished_at": None}  # fmt: skip


async def _reply(send: Any, body: bytes) -> None:
    kind = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": kind})
    await send({"type": "http.response.body", "body": body})


def answered(screen: Terminal, key: str, with_: bytes) -> float:
    """Seconds from a key until what it brings was written to the terminal."""
    before, pressed = len(screen.written), time.monotonic()
    os.write(screen.keyboard, key.encode())
    while with_ not in screen.written[before:]:
        screen.read_raw(0.002)
        if time.monotonic() - pressed > 10:
            raise AssertionError(f"key {key!r} was not answered:\n{screen.text}")
    return time.monotonic() - pressed


def measured(
    url: str, size: tuple[int, int], seconds: float, presses: int
) -> tuple[float, dict[str, list[float]]]:
    """(share of one core, key -> seconds that each press took) of `aaa watch`."""
    env = {**os.environ, "AAA_URL": url, "AAA_HOME": "/nonexistent"}
    with terminal([AAA, "watch", "r_7k2m"], env, ROOT, *size) as screen:
        screen.wait_for(r"● running")
        screen.wait_for(r"q leaves +event [\d,]+")
        screen.read_raw(3)
        process = psutil.Process(screen.process.pid)
        before, began = process.cpu_times(), time.monotonic()
        while time.monotonic() - began < seconds:
            screen.read_raw(0.1)
        after, wall = process.cpu_times(), time.monotonic() - began
        share = (after.user + after.system - before.user - before.system) / wall
        keys: dict[str, list[float]] = {}
        for _ in range(presses):
            for name, key, brings in KEYS:
                keys.setdefault(name, []).append(answered(screen, key, brings.encode()))
                screen.read_raw(0.37)
    return share, keys


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--events", type=float, default=200, help="a second")
    parser.add_argument("--seconds", type=float, default=20, help="how long CPU is measured")
    parser.add_argument("--presses", type=int, default=20, help="of each key")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve is not None:
        plane = Plane(given.sessions, given.events, past=given.sessions * 7)
        uvicorn.run(plane, host="127.0.0.1", port=given.serve, log_level="warning", ws="none")
        return 0
    port = _free_port()
    command = [sys.executable, __file__, "--serve", str(port), "--sessions", str(given.sessions),
               "--events", str(given.events)]  # fmt: skip
    server = subprocess.Popen(command)
    url, missed = f"http://127.0.0.1:{port}", False
    try:
        until(lambda: _listens(url), "the control plane", 30)
        print(f"{given.sessions:,} sessions, {given.events:g} events/s, {given.seconds:g} s each")
        for size in SIZES:
            share, keys = measured(url, size, given.seconds, given.presses)
            print(f"{size[0]}x{size[1]}: {share:.1%} of one core (< {MOST_CPU:.0%})")
            missed |= share >= MOST_CPU
            for name, took in keys.items():
                p95 = statistics.quantiles(took, n=20)[-1]
                print(f"  {name} answered in {statistics.median(took) * 1000:.0f} ms, p95 {p95 * 1000:.0f}, "
                      f"at most {max(took) * 1000:.0f} ms (< {MOST_KEY_S * 1000:.0f} ms)")  # fmt: skip
                missed |= p95 >= MOST_KEY_S
    finally:
        server.kill()  # its streams have no end, so it would wait for ever
        server.wait()
    return int(missed)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as asking:
        return asking.connect_ex((str(parts.hostname), int(parts.port or 0))) == 0


if __name__ == "__main__":
    sys.exit(main())
