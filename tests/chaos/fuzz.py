"""S2: no input breaks the API, for any role: no 5xx, no status and no shape that its description lacks.

Schemathesis calls every route of `/openapi.json` with what the description allows and with what it
forbids, alone and in sequences (a round is started, then paused, retuned, listed …), with a token of each
role. Left out: the event streams, which do not end (E1 and E2 have them), and `/readyz`, whose 503 is
right here, since no supervisor runs.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.acceptance.processes import AAA, Home, new_home, started
from tests.chaos.promise import Promise, main

ROLES = ("viewer", "operator", "admin")
SCHEMATHESIS = str(Path(sys.executable).parent / "schemathesis")
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance",
    "response_headers_conformance", "response_schema_conformance",
)  # fmt: skip
LEFT_OUT = ("/v1/rounds/{round_id}/events", "/readyz")
A_SECOND = 90
"""Requests, below what a token may ask: a 429 would say nothing about the route behind it."""


class Outcome(NamedTuple):
    """What it came to."""

    cases: int
    """Requests that were made."""
    fewest: int
    """Of these, by the role that made the fewest."""
    least: int
    """So many had to be made."""
    failures: int
    """Ways in which an answer was not as described, or a 5xx."""

    @property
    def holds(self) -> bool:
        return self.failures == 0 and self.fewest > 0 and self.cases >= self.least


def fuzz(examples: int = 60, least: int = 10_000, seed: int = 1) -> Outcome:
    """So many examples of each operation, for each role; fewer requests than `least` prove too little."""
    with new_home() as home:
        home.cards("http://127.0.0.1:9/v1")
        home.scenario("small", 3, judging={"play": "pairwise"})
        tokens = {
            role: home.aaa("tokens", "create", "--role", role, "--name", role).strip()
            for role in ROLES
        }
        with started([AAA, "serve", "--port", "0", "--no-supervisor"], home) as process:
            url = process.wait_for(r"http://127\.0\.0\.1:\d+").group(0)
            headers = {"Authorization": f"Bearer {tokens['admin']}"}
            asked = {"scenario": "small"}
            httpx.post(f"{url}/v1/rounds", json=asked, headers=headers).raise_for_status()
            found = [_run(home, url, tokens[role], examples, seed) for role in ROLES]
    cases = [number for number, _ in found]
    return Outcome(sum(cases), min(cases), least, sum(failures for _, failures in found))


def _run(home: Home, url: str, token: str, examples: int, seed: int) -> tuple[int, int]:
    """(requests, failures) of one role; what failed is printed."""
    phases = "coverage,fuzzing,stateful" if examples > 1 else "fuzzing,stateful"
    command = [
        SCHEMATHESIS, "run", f"{url}/openapi.json", "-H", f"Authorization: Bearer {token}",
        "--max-examples", str(examples), "--checks", ",".join(CHECKS), "--phases", phases,
        "--rate-limit", f"{A_SECOND}/s", "--seed", str(seed), "--suppress-health-check", "all",
        "--request-timeout", "60", "--continue-on-failure", "--no-color", "--warnings", "off",
    ]  # fmt: skip
    for path in LEFT_OUT:
        command += ["--exclude-path", path]
    env = {**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(home.place / "hypothesis")}
    done = subprocess.run(
        command, cwd=home.place, env=env, capture_output=True, text=True, check=False
    )
    told = re.search(r"([\d,]+) generated(?:, ([\d,]+) found)?", done.stdout)
    assert told is not None, done.stdout[-3000:] + done.stderr[-3000:]
    if done.returncode:
        print(done.stdout[-12_000:], file=sys.stderr)
    failed = int((told[2] or "0").replace(",", ""))
    return int(told[1].replace(",", "")), max(failed, int(done.returncode != 0))


PROMISE = Promise("S2", "no input breaks the API", fuzz, {"examples": 1, "least": 100})

if __name__ == "__main__":
    sys.exit(main(PROMISE))
