"""curl follows a round while the API is killed and started again: with the last id, nothing is missed.

What was written when the connection broke may be half an event; it is not one, so it is asked for again.
"""

import json
import re
import shutil
import signal
import subprocess
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.acceptance.processes import AAA, Home, provider, started, until

CURL = shutil.which("curl")
EVENT = re.compile(r"id: (\d+)\nevent: (\S+)\ndata: (.+)\n\n")
LIVES = (15, 35, None)
"""Events that each API lives to tell; `None`: to the round's end."""


def events(written: Path) -> list[tuple[int, str]]:
    """(id, kind) of the whole events that curl wrote."""
    found = EVENT.findall(written.read_text("utf-8") if written.exists() else "")
    assert all(json.loads(data) for _, _, data in found)
    return [(int(number), kind) for number, kind, _ in found]


def has(written: Path, wanted: int) -> bool:
    return len(events(written)) >= wanted


@pytest.mark.skipif(CURL is None, reason="curl is not installed")
def test_curl_misses_nothing_through_two_kills_of_the_api(home: Home) -> None:
    assert CURL is not None
    heard: list[tuple[int, str]] = []
    codes, port, round_id = [], "0", ""
    home.scenario("small", seeds=6, judging={"play": "pairwise"}, concurrency=1)
    with provider(home, "latency=fixed:300ms") as base, started(
        [AAA, "serve", "--no-api"], home
    ):  # fmt: skip
        home.cards(base)
        for number, lives_for in enumerate(LIVES):
            with started([AAA, "serve", "--no-supervisor", "--port", port], home) as api:
                url, port = api.wait_for(r"http://127\.0\.0\.1:(\d+)").group(0, 1)
                if not round_id:
                    made = httpx.post(f"{url}/v1/rounds", json={"scenario": "small"}, timeout=60)
                    round_id = made.json()["id"]
                written = home.place / f"curl-{number}"
                last = ("-H", f"Last-Event-ID: {heard[-1][0]}") if heard else ()
                command = [CURL, "-sN", "-o", str(written), *last]
                command += [f"{url}/v1/rounds/{round_id}/events"]
                with subprocess.Popen(command) as curl:
                    if lives_for is not None:
                        until(partial(has, written, lives_for), "its events")
                        api.stop(signal.SIGKILL)
                    codes.append(curl.wait(timeout=120))
                heard += events(written)
                if lives_for is None:
                    found = httpx.get(f"{url}/v1/rounds/{round_id}", timeout=60).json()
    assert [number for number, _ in heard] == list(range(1, found["last_event"] + 1))
    assert heard[-1][1] == "round.completed"
    assert codes[:2] != [0, 0]
    assert codes[2] == 0
