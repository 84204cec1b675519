"""Steering a round through real processes: pause, halt, cancel, retune, dead providers, wrong keys."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.acceptance.processes import Home, new_home, provider, requests, serving, until

SEEDS = 24


class Stage:
    """A control plane and a provider, shared by the tests of this file: seats stay warm between them."""

    def __init__(self, home: Home, api: httpx.Client, stub: httpx.Client) -> None:
        self.home, self.api, self.stub = home, api, stub
        self.before = 0

    @property
    def asked(self) -> list[dict[str, Any]]:
        """What the provider was asked in this test."""
        return requests(self.home)[self.before :]

    def faults(self, line: str) -> None:
        self.stub.post("/_faults", content=line).raise_for_status()

    def play(self, faults: str = "", **scenario: Any) -> str:
        """Start a round and wait until it asks; its id."""
        self.faults(faults)
        self.before = len(requests(self.home))
        plain: dict[str, Any] = {"seeds": SEEDS, "judging": {"play": "logprob"}, "concurrency": 8}
        self.home.scenario("steered", **(plain | scenario))
        made = self.api.post("/v1/rounds", json={"scenario": "steered"}).json()
        until(lambda: self.asked, "the first request")
        return str(made["id"])

    def in_flight(self) -> int:
        return int(self.stub.get("/_stats").json()["in_flight"])


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with new_home() as home, provider(home) as base, serving(home) as url:
        home.cards(base)
        stub = httpx.Client(base_url=base.removesuffix("/v1"), timeout=30)
        with httpx.Client(base_url=url, timeout=60) as api, stub:
            yield Stage(home, api, stub)


def shown(api: httpx.Client, round_id: str) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/v1/rounds/{round_id}").json()
    return found


def status(api: httpx.Client, round_id: str, wanted: str) -> dict[str, Any]:
    """The round, once it is in that state."""

    def look() -> dict[str, Any] | None:
        found = shown(api, round_id)
        return found if found["status"] == wanted else None

    found: dict[str, Any] = until(look, f"{wanted}, but: {shown(api, round_id)}")
    return found


def test_a_paused_round_lets_its_calls_come_home_and_a_resumed_one_asks_nothing_twice(
    stage: Stage,
) -> None:
    api, round_id = stage.api, stage.play("latency=fixed:300ms")
    assert api.post(f"/v1/rounds/{round_id}/pause").json()["status"] == "paused"
    until(lambda: stage.in_flight() == 0, "calls to come home")
    before = until(lambda: _settled(api, round_id), "what was reserved to be free")
    assert before["turns"] == before["calls"] == len(stage.asked)
    time.sleep(2)
    assert len(stage.asked) == before["calls"]
    api.post(f"/v1/rounds/{round_id}/resume")
    done = status(api, round_id, "completed")
    assert done["turns"] == done["calls"] == len(stage.asked) == 5 * SEEDS


def _settled(api: httpx.Client, round_id: str) -> dict[str, Any] | None:
    found = shown(api, round_id)
    quiet = not found["reserved_tokens"] and not found["sessions"]["running"]
    return found if quiet else None


@pytest.mark.parametrize(
    ("command", "then"), [("pause?now=true", "paused"), ("cancel", "cancelled")]
)
def test_calls_that_hang_are_broken_off(stage: Stage, command: str, then: str) -> None:
    api, round_id = stage.api, stage.play("hang=1")
    until(lambda: stage.in_flight() == 8, "eight calls to hang")
    assert api.post(f"/v1/rounds/{round_id}/{command}").json()["status"] == then
    until(lambda: stage.in_flight() == 0, "the provider to be left alone")
    found = until(lambda: _settled(api, round_id), "what was reserved to be settled")
    assert found["calls"] == len(stage.asked)
    assert found["spent_tokens"] > 0  # nobody knows what was billed: the worst counts
    assert found["turns"] == 0
    if then == "paused":
        stage.faults("")
        api.post(f"/v1/rounds/{round_id}/resume")
        assert status(api, round_id, "completed")["turns"] == 5 * SEEDS


def test_a_round_with_hanging_calls_can_be_halted_after_it_was_paused(stage: Stage) -> None:
    api, round_id = stage.api, stage.play("hang=1")
    until(lambda: stage.in_flight() == 8, "eight calls to hang")
    api.post(f"/v1/rounds/{round_id}/pause")
    assert stage.in_flight() == 8
    stage.home.aaa("rounds", "pause", round_id, "--now", AAA_URL=str(api.base_url))
    until(lambda: stage.in_flight() == 0, "the provider to be left alone")


def test_less_and_more_at_once(stage: Stage) -> None:
    api, round_id = stage.api, stage.play("latency=fixed:400ms", seeds=2 * SEEDS)
    until(lambda: shown(api, round_id)["sessions"]["running"] == 8, "eight sessions")
    api.patch(f"/v1/rounds/{round_id}", json={"concurrency": 1})
    until(lambda: shown(api, round_id)["sessions"]["running"] <= 1, "one session")
    api.patch(f"/v1/rounds/{round_id}", json={"concurrency": 12})
    until(lambda: shown(api, round_id)["sessions"]["running"] > 8, "more sessions")
    done = status(api, round_id, "completed")
    assert done["turns"] == done["calls"] == 5 * 2 * SEEDS


def test_at_a_budget_the_round_pauses_and_a_raised_one_finishes_it(stage: Stage) -> None:
    api, round_id = stage.api, stage.play(seeds=6, budget_calls=11)
    paused = status(api, round_id, "paused")
    assert paused["reason"] == "budget_reached"
    assert f"aaa rounds set {round_id} budget_calls=" in paused["message"]
    found = until(lambda: _settled(api, round_id), "calls to come home")
    assert found["calls"] == len(stage.asked) == 11
    url = str(api.base_url)
    stage.home.aaa("rounds", "set", round_id, "budget_calls=1000", AAA_URL=url)
    stage.home.aaa("rounds", "resume", round_id, AAA_URL=url)
    done = status(api, round_id, "completed")
    assert done["calls"] == done["turns"] == len(stage.asked) == 30


def test_a_budget_that_suffices_is_used_to_its_end(stage: Stage) -> None:
    """Towards its end eight calls at once could cost more than what is left of it, and do not."""
    free = status(stage.api, stage.play(), "completed")
    worst = 2000  # tokens of a call, about
    round_id = stage.play(budget_tokens=free["spent_tokens"] + 2 * worst)
    done = until(lambda: _at_rest(stage.api, round_id), "the round to end")
    assert (done["status"], done["message"]) == ("completed", "")
    assert done["spent_tokens"] == free["spent_tokens"]


def _at_rest(api: httpx.Client, round_id: str) -> dict[str, Any] | None:
    found = shown(api, round_id)
    return found if found["status"] in ("completed", "paused") else None


def test_a_dead_provider_is_waited_for_and_its_return_needs_nobody(stage: Stage) -> None:
    api, round_id = stage.api, stage.play("latency=fixed:200ms")
    until(lambda: shown(api, round_id)["turns"] > 10, "some turns")
    stage.faults("503=1")
    gate = until(lambda: _down(api, round_id), "a gate to close")
    assert "503" in gate["why"]
    assert 'aaa_gate_state{agent="' in api.get("/metrics").text
    asked = len(stage.asked)
    time.sleep(2)
    assert len(stage.asked) - asked <= 12  # tried by one call at a time, not by all
    assert shown(api, round_id)["sessions"]["failed"] == 0
    stage.faults("")
    done = status(api, round_id, "completed")
    assert done["turns"] == 5 * SEEDS
    assert done["sessions"]["failed"] == 0


def _down(api: httpx.Client, round_id: str) -> dict[str, Any] | None:
    rows = api.get("/v1/gates", params={"round": round_id}).json()["items"]
    return next((row for row in rows if row["state"] == "down"), None)


def test_a_wrong_key_pauses_the_round_and_burns_no_session(stage: Stage) -> None:
    api, round_id = stage.api, stage.play("401=1,model=tutor")
    paused = status(api, round_id, "paused")
    assert paused["reason"] == "auth"
    assert "401" in paused["message"]
    assert f"aaa rounds resume {round_id}" in paused["message"]
    stage.faults("")
    until(lambda: _settled(api, round_id), "calls to come home")
    api.post(f"/v1/rounds/{round_id}/resume")
    done = status(api, round_id, "completed")
    assert done["sessions"]["failed"] == 0
    refused = [r for r in stage.asked if r["model"] == "tutor" and r["status"] == 401]
    assert 1 <= len(refused) <= 8


def test_what_fails_for_good_ends_its_session_and_the_round_says_so(stage: Stage) -> None:
    """About every third request of the teacher is refused for its content, for good."""
    api, round_id = stage.api, stage.play("filter=0.3,model=tutor")
    done = status(api, round_id, "completed")
    rows = api.get(f"/v1/rounds/{round_id}/sessions", params={"limit": 100}).json()["items"]
    failed = [row for row in rows if row["status"] == "failed"]
    assert len(failed) == done["sessions"]["failed"] > 0
    assert {row["reason"] for row in failed} == {"content_filter"}
    assert f"{len(failed)} of {SEEDS} sessions failed" in done["message"]


def test_events_of_a_steered_round_have_no_gap(stage: Stage) -> None:
    api, round_id = stage.api, stage.play("latency=fixed:200ms")
    api.post(f"/v1/rounds/{round_id}/pause")
    api.post(f"/v1/rounds/{round_id}/resume")
    api.patch(f"/v1/rounds/{round_id}", json={"seat_budgets": {"judge": {"calls": 1000}}})
    status(api, round_id, "completed")
    lines = api.get(f"/v1/rounds/{round_id}/events").text.splitlines()
    ids = [int(line.removeprefix("id: ")) for line in lines if line.startswith("id: ")]
    assert ids == list(range(1, len(ids) + 1))
    retuned = [line for line in lines if line.startswith("data: ") and "seat_budgets" in line]
    told = json.loads(retuned[0].removeprefix("data: "))
    assert told["seat_budgets"] == {"judge": {"calls": 1000}}
