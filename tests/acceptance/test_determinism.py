"""Where every reply is deterministic, so is the export: to the byte, on one runner or on three."""

import json

from tests.acceptance.processes import Home, provider, requests

SEEDS = 200


def test_two_hundred_sessions_on_one_runner_and_on_three(home: Home) -> None:
    home.scenario("many", seeds=SEEDS, judging={"play": "logprob"}, concurrency=64)
    exports: dict[str, bytes] = {}
    with provider(home, judge="position=0.2,noise=0.2") as base_url:
        home.cards(base_url)
        for runners in ("1", "3"):
            home.aaa("run", "many", "--no-tui", AAA_RUNNERS=runners)
            newest = json.loads(home.aaa("rounds", "ls", "--json"))["items"][0]
            assert newest["sessions"]["completed"] == SEEDS
            exports[runners] = home.export(newest["id"])
            if runners == "3":
                listed = home.aaa("watch", newest["id"], "--json").splitlines()
                started = [json.loads(line) for line in listed if "session.started" in line]
                assert len({event["data"]["runner"] for event in started}) == 3
    assert len(exports["1"].splitlines()) > SEEDS / 4
    assert exports["1"] == exports["3"]
    assert len(requests(home)) == 2 * 5 * SEEDS  # each turn was asked exactly once a round
