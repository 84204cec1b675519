"""Runners and seats are forked off a process that has everything loaded, and start as Ray does without."""

import json
import os
import signal
import sys
import time
from typing import Any

import psutil
import pytest

from tests.acceptance.processes import AAA, Home, Process, provider, requests, started, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
SEEDS = 12


def below(process: Process, name: str) -> list[psutil.Process]:
    """Processes of that command line below a command's, and those whose parent has ended."""
    session = psutil.Process(process.process.pid)
    supervisors = [p for p in session.children() if "aaa.cluster" in p.cmdline()]
    sessions = {os.getsid(p.pid) for p in supervisors}
    found = []
    for one in psutil.process_iter(["cmdline"]):
        try:
            if os.getsid(one.pid) in sessions and name in " ".join(one.info["cmdline"] or ()):
                found.append(one)
        except (psutil.Error, ProcessLookupError):
            continue
    return found


def fork_server(process: Process) -> psutil.Process | None:
    """The one of the supervisor's processes that is its child and looks like it; `None`: not yet."""
    there = below(process, "aaa.cluster")
    return next((one for one in there if one.ppid() in {p.pid for p in there}), None)


def test_workers_come_from_the_fork_server_and_also_without_it(home: Home) -> None:
    home.scenario("long", seeds=SEEDS, judging={"play": "logprob"}, concurrency=2)
    with provider(home, faults="latency=fixed:300ms") as base_url:
        home.cards(base_url)
        with started([AAA, "run", "long", "--no-tui"], home) as run:
            round_id = run.wait_for(r"Round (long-\w+):").group(1)
            until(lambda: len(requests(home)) > SEEDS, "some calls")
            server = fork_server(run)
            assert server is not None
            actors = below(run, "ray::Seat") + below(run, "ray::RunnerActor")
            assert {one.ppid() for one in actors} == {server.pid}
            assert all(os.getpgid(one.pid) == one.pid for one in actors)
            server.kill()
            for one in below(run, "ray::Seat"):
                one.kill()
            run.process.wait(timeout=100)
        found: dict[str, Any] = json.loads(home.aaa("rounds", "show", round_id, "--json"))
    assert found["status"] == "completed"
    assert found["turns"] == 5 * SEEDS


def test_who_was_killed_is_started_again_once(home: Home) -> None:
    home.scenario("long", seeds=1000, judging={"play": "logprob"}, concurrency=2)
    with provider(home, faults="latency=fixed:300ms") as base_url:
        home.cards(base_url)
        with started([AAA, "run", "long", "--no-tui"], home) as run:
            until(lambda: len(requests(home)) > SEEDS, "some calls")

            def actors() -> set[psutil.Process]:
                return {*below(run, "ray::Seat"), *below(run, "ray::RunnerActor")}

            before = actors()
            for one in before:
                one.kill()
            until(lambda: len(actors() - before) == len(before), "all of them again")
            after = actors()
            done = len(requests(home))
            until(lambda: len(requests(home)) > done + 10, "the round to go on")
            time.sleep(3)  # a second one would be there by now
            assert actors() == after


def test_the_fork_server_ends_with_its_supervisor(home: Home) -> None:
    with started([AAA, "serve", "--port", "0"], home) as serve:
        serve.wait_for(r"http://127\.0\.0\.1:\d+")
        server = until(lambda: fork_server(serve), "the fork server")
        supervisor = server.parent()
        assert supervisor is not None
        supervisor.send_signal(signal.SIGKILL)
        until(lambda: not server.is_running(), "its end")


def test_seats_that_need_litellm_are_forked_with_it_in_them(home: Home) -> None:
    """Loaded once. A LiteLLM that starts a thread when it is loaded ends the fork server: found here."""
    home.scenario("long", seeds=4, judging={"play": "logprob"})
    with provider(home, faults="latency=fixed:300ms") as base_url:
        for name, family in (("pupil", "birch"), ("tutor", "oak"), ("referee", "elm")):
            home.card(name, base_url, family, model=f"hosted_vllm/{name}")
        with started([AAA, "run", "long", "--no-tui"], home) as run:
            until(lambda: requests(home), "a call")
            server = fork_server(run)
            assert server is not None
            assert any(
                "tiktoken" in one.path for one in server.memory_maps()
            )  # LiteLLM alone has it
            seats = below(run, "ray::Seat")
            assert len(seats) == 3
            assert {one.ppid() for one in seats} == {server.pid}
            assert run.process.wait(timeout=100) == 0
