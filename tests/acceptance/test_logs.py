"""Log lines of a control plane and its cluster as a user asks for them: objects, wherever they go."""

import json
from pathlib import Path

from tests.acceptance.processes import AAA, Home, provider, started


def _lines(text: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in text.splitlines()]


def test_every_process_tells_objects(home: Home) -> None:
    home.env["AAA_LOG"] = "json"
    with provider(home) as base:
        home.cards(base)
        home.scenario("small", 2, judging={"play": "pairwise"})
        with started([AAA, "serve", "--port", "0"], home) as process:
            url = process.wait_for(r"http://127\.0\.0\.1:\d+").group(0)
            made = json.loads(home.aaa("rounds", "start", "small", AAA_URL=url))
            home.aaa("watch", made["id"], "--no-tui", AAA_URL=url)
    said = _lines("".join(process.said))
    assert {"aaa", "supervisor"} == {line["process"] for line in said}
    started_ = {line["message"] for line in said if line["process"] == "supervisor"}
    assert any(message.startswith("start runner") for message in started_)


def test_seats_and_runners_write_into_the_home_with_round_and_session(home: Home) -> None:
    home.env |= {"AAA_LOG": "json"}
    with provider(home) as base:
        home.cards(base)
        home.scenario("small", 2, judging={"play": "pairwise"})
        home.aaa("run", "small", "--no-tui")
    found = _lines(Path(home.home, "logs", "cluster.log").read_text("utf-8"))
    (round_,) = json.loads(home.aaa("rounds", "ls", "--json"))["items"]
    driven = [line for line in found if "is driven" in line["message"]]
    assert {line["process"] for line in driven} == {"runner-0"}
    assert {line["round"] for line in driven} == {round_["id"]}
    assert len({line["session"] for line in driven}) == 2
