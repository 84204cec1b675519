"""SIGKILL in the middle, then the same round again: nothing recorded is asked again."""

import json
import re
import signal
from collections import Counter

from tests.acceptance.processes import AAA, Home, provider, requests, started, until

SEEDS = 30


def test_a_killed_round_goes_on_where_it_was(home: Home) -> None:
    home.scenario("long", seeds=SEEDS, judging={"play": "logprob"}, concurrency=8)
    with provider(home, faults="latency=fixed:200ms") as base_url:
        home.cards(base_url)
        with started([AAA, "run", "long", "--no-tui"], home) as run:
            round_id = run.wait_for(r"Round (long-\w+):").group(1)
            until(lambda: len(requests(home)) > SEEDS * 5 // 3, "a third of the calls")
            run.stop(signal.SIGKILL)
        in_flight = 8
        done = home.run("run", "long", "--resume", "last", "--no-tui")
        assert done.returncode == 0, done.stderr[-2000:]
        assert f"Round {round_id} goes on" in done.stderr
        found = json.loads(home.aaa("rounds", "show", round_id, "--json"))
    assert found["status"] == "completed"
    assert found["turns"] == 5 * SEEDS
    asked = Counter(request["key"] for request in requests(home))
    repeated = sum(count - 1 for count in asked.values())
    assert len(asked) == 5 * SEEDS
    assert repeated <= in_flight, f"{repeated} calls were asked twice"
    ids = re.findall(r'"id":"(p\w+)"', home.export(round_id).decode())
    assert len(ids) == len(set(ids)) == found["pairs"]


def test_ctrl_c_drains_and_says_how_to_go_on(home: Home) -> None:
    home.scenario("long", seeds=SEEDS, judging={"play": "logprob"}, concurrency=8)
    with provider(home, faults="latency=fixed:200ms") as base_url:
        home.cards(base_url)
        with started([AAA, "run", "long", "--no-tui"], home) as run:
            round_id = run.wait_for(r"Round (long-\w+):").group(1)
            until(lambda: len(requests(home)) > 20, "some calls")
            code = run.stop(signal.SIGINT)
            assert f"aaa run long --resume {round_id}" in "".join(run.said)
            assert code == 4
        before = json.loads(home.aaa("rounds", "show", round_id, "--json"))
        assert before["turns"] == len(requests(home))  # all that was asked came home
        assert (before["status"], before["reason"]) == ("paused", "asked")
        home.scenario("short", seeds=1, judging={"play": "logprob"})
        other = home.run("run", "short", "--no-tui")
        assert (other.returncode, round_id in other.stderr) == (0, False)
        after = json.loads(home.aaa("rounds", "show", round_id, "--json"))
        assert (after["turns"], after["spent_usd"]) == (before["turns"], before["spent_usd"])
        home.aaa("run", "long", "--resume", round_id, "--no-tui")
    assert len(requests(home)) == 5 * (SEEDS + 1)  # none twice
