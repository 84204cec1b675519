"""The same code on a cluster: two raylets on this machine, `RAY_ADDRESS`, actors on both nodes."""

import json
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import httpx
import psutil
import psycopg

from tests.acceptance.processes import AAA, Home, Process, provider, requests, started, until

ROOT = Path(__file__).parents[2]
SEEDS = 1000  # more than a test waits for


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


def actors_by_node(process: "subprocess.Popen[str]", line: str = "") -> dict[str, dict[str, int]]:
    """Node -> its actors, each with its process; with the line `kill` after all were killed for good."""
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()
    return cast("dict[str, dict[str, int]]", said(process))


def actors(process: "subprocess.Popen[str]", line: str = "") -> dict[str, int]:
    """Name -> process, of the living actors on all nodes."""
    return {n: pid for on in actors_by_node(process, line).values() for n, pid in on.items()}


def address(cluster: "subprocess.Popen[str]") -> str:
    """Where the cluster is joined: all of it is on this machine, the embedded database too."""
    return "127.0.0.1:" + str(said(cluster)["address"]).rpartition(":")[2]


def supervisor(serve: Process) -> psutil.Process:
    """The one that a command started."""
    children = psutil.Process(serve.process.pid).children()
    return next(child for child in children if "aaa.cluster" in child.cmdline())


def end_leads(home: Home) -> None:
    """End the connection through which a supervisor leads."""
    lines = (home.home / "postgres" / "postmaster.pid").read_text().splitlines()
    where = psycopg.connect(host=lines[4], port=lines[3], user="postgres", dbname="postgres")
    with where as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted"
        )


def test_a_round_on_two_nodes(home: Home) -> None:
    home.scenario("wide", seeds=12, judging={"play": "logprob"})
    with provider(home) as base_url, two_nodes(home) as cluster:
        home.cards(base_url)
        with started(
            [AAA, "serve", "--port", "0"], home, RAY_ADDRESS=address(cluster), AAA_RUNNERS="2"
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
            assert sum(map(len, by_node.values())) == 5  # three seats, two runners
            assert server.stop() == 0


def test_who_lost_the_lead_leaves_the_actors_to_who_has_it_and_dead_ones_are_noticed(
    home: Home,
) -> None:
    home.scenario("wide", seeds=SEEDS, judging={"play": "logprob"}, concurrency=4)
    with provider(home, faults="latency=fixed:300ms") as base_url, two_nodes(home) as cluster:
        home.cards(base_url)
        home.env["RAY_ADDRESS"] = address(cluster)
        with started([AAA, "serve", "--port", "0"], home) as first:
            url = first.wait_for(r"http://127\.0\.0\.1:\d+").group(0)
            httpx.post(f"{url}/v1/rounds", json={"scenario": "wide"}, timeout=60)
            until(lambda: len(requests(home)) > 10, "some calls")
            before = actors(cluster)

            def unseated() -> bool:
                """The lead is free once more; the other may be faster this time."""
                end_leads(home)
                time.sleep(2)
                return "another supervisor leads now" in "".join(first.said)

            with started([AAA, "serve", "--no-api"], home):
                until(unseated, "the other supervisor to lead")
                time.sleep(3)
                assert actors(cluster) == before
                assert repeated(home) == 0
                actors(cluster, "kill")
                until(lambda: actors(cluster).keys() == before.keys(), "all of them again")
                done = len(requests(home))
                until(lambda: len(requests(home)) > done + 10, "the round to go on")
    assert repeated(home) <= 4  # those in flight when all were killed


def repeated(home: Home) -> int:
    """Requests beyond the first of each."""
    asked = [request["key"] for request in requests(home)]
    return len(asked) - len(set(asked))


def test_what_a_killed_supervisor_left_is_stopped_when_nobody_needs_it(home: Home) -> None:
    home.scenario("wide", seeds=SEEDS, judging={"play": "logprob"}, concurrency=4)
    with provider(home, faults="latency=fixed:300ms") as base_url, two_nodes(home) as cluster:
        home.cards(base_url)
        home.env["RAY_ADDRESS"] = address(cluster)
        with started([AAA, "serve", "--port", "0"], home, AAA_RUNNERS="2") as server:
            url = server.wait_for(r"http://127\.0\.0\.1:\d+").group(0)
            made = httpx.post(f"{url}/v1/rounds", json={"scenario": "wide"}, timeout=60).json()
            until(lambda: len(requests(home)) > 10, "some calls")
            victim = supervisor(server)
            victim.suspend()
            server.stop(signal.SIGKILL)
            victim.kill()
        assert len(actors(cluster)) == 5
        home.aaa("rounds", "cancel", made["id"])
        with started([AAA, "serve", "--port", "0"], home):
            until(lambda: actors(cluster).keys() == {"runner-0"}, "the others' end")
