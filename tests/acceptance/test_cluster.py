"""The same code on a cluster: two raylets on this machine, `RAY_ADDRESS`, actors on both nodes."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.acceptance.processes import AAA, Home, provider, started, until

ROOT = Path(__file__).parents[2]


@contextmanager
def two_nodes(home: Home) -> Iterator["subprocess.Popen[str]"]:
    """A cluster in token mode; every process of `home` from now on has its token."""
    token = home.place / "token"
    token.write_text(secrets.token_hex(32))
    token.chmod(0o600)
    home.env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.acceptance.two_nodes"],
        env=home.env,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(timeout=60)


def said(process: "subprocess.Popen[str]") -> dict[str, object]:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            found: dict[str, object] = json.loads(line)
            return found
    raise AssertionError("the cluster ended")


def actors_by_node(process: "subprocess.Popen[str]") -> dict[str, object]:
    assert process.stdin is not None
    process.stdin.write("?\n")
    process.stdin.flush()
    return said(process)


def test_a_round_on_two_nodes(home: Home) -> None:
    home.scenario("wide", seeds=12, judging={"play": "logprob"})
    with provider(home) as base_url, two_nodes(home) as cluster:
        home.cards(base_url)
        port = str(said(cluster)["address"]).rpartition(":")[2]
        address = f"127.0.0.1:{port}"  # all of it is on this machine, the embedded database too
        with started(
            [AAA, "serve", "--port", "0"], home, RAY_ADDRESS=address, AAA_RUNNERS="2"
        ) as server:
            url = server.wait_for(r"http://127\.0\.0\.1:\d+").group(0)
            with httpx.Client(base_url=url, timeout=60) as client:
                made = client.post("/v1/rounds", json={"scenario": "wide"}).json()
                until(
                    lambda: client.get(f"/v1/rounds/{made['id']}").json()["status"] == "completed",
                    "the round's end",
                )
            by_node = actors_by_node(cluster)
            assert len(by_node) == 2, by_node
            assert (
                sum(int(str(count)) for count in by_node.values()) == 5
            )  # three seats, two runners
            assert server.stop() == 0
