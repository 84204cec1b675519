"""Steering a round through real processes: pause, halt, cancel, retune, dead providers, wrong keys."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.acceptance.processes import Home, provider, requests, serving, until

SEEDS = 24


@contextmanager
def playing(
    home: Home, faults: str, /, concurrency: int = 8, **env: str
) -> Iterator[tuple[httpx.Client, httpx.Client, str]]:
    """(control plane, provider, round) of a round that has begun to ask."""
    judging = {"play": "logprob"}
    home.scenario("steered", seeds=SEEDS, judging=judging, concurrency=concurrency)
    with provider(home, faults=faults) as base, serving(home, **env) as url:
        home.cards(base)
        stub = httpx.Client(base_url=base.removesuffix("/v1"), timeout=30)
        with httpx.Client(base_url=url, timeout=60) as api, stub:
            made = api.post("/v1/rounds", json={"scenario": "steered"}).json()
            until(lambda: stub.get("/_stats").json()["requests"] > 0, "the first request")
            yield api, stub, made["id"]


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


def in_flight(stub: httpx.Client) -> int:
    return int(stub.get("/_stats").json()["in_flight"])


def test_a_paused_round_lets_its_calls_come_home_and_a_resumed_one_asks_nothing_twice(
    home: Home,
) -> None:
    with playing(home, "latency=fixed:300ms") as (api, stub, round_id):
        assert api.post(f"/v1/rounds/{round_id}/pause").json()["status"] == "paused"
        until(lambda: in_flight(stub) == 0, "calls to come home")
        before = until(lambda: _settled(api, round_id), "what was reserved to be free")
        assert before["turns"] == before["calls"] == len(requests(home))
        time.sleep(2)
        assert len(requests(home)) == before["calls"]
        api.post(f"/v1/rounds/{round_id}/resume")
        done = status(api, round_id, "completed")
    assert done["turns"] == done["calls"] == len(requests(home)) == 5 * SEEDS


def _settled(api: httpx.Client, round_id: str) -> dict[str, Any] | None:
    found = shown(api, round_id)
    quiet = not found["reserved_tokens"] and not found["sessions"]["running"]
    return found if quiet else None


@pytest.mark.parametrize(
    ("command", "then"), [("pause?now=true", "paused"), ("cancel", "cancelled")]
)
def test_calls_that_hang_are_broken_off(home: Home, command: str, then: str) -> None:
    with playing(home, "hang=1") as (api, stub, round_id):
        until(lambda: in_flight(stub) == 8, "eight calls to hang")
        assert api.post(f"/v1/rounds/{round_id}/{command}").json()["status"] == then
        until(lambda: in_flight(stub) == 0, "the provider to be left alone")
        found = until(lambda: _settled(api, round_id), "what was reserved to be settled")
        assert found["calls"] == len(requests(home))
        assert found["spent_tokens"] > 0  # nobody knows what was billed: the worst counts
        assert found["turns"] == 0
        if then == "paused":
            stub.post("/_faults", content="")
            api.post(f"/v1/rounds/{round_id}/resume")
            assert status(api, round_id, "completed")["turns"] == 5 * SEEDS


def test_a_round_with_hanging_calls_can_be_halted_after_it_was_paused(home: Home) -> None:
    with playing(home, "hang=1") as (api, stub, round_id):
        until(lambda: in_flight(stub) == 8, "eight calls to hang")
        api.post(f"/v1/rounds/{round_id}/pause")
        assert in_flight(stub) == 8
        home.aaa("rounds", "pause", round_id, "--now", AAA_URL=str(api.base_url))
        until(lambda: in_flight(stub) == 0, "the provider to be left alone")


def test_less_and_more_at_once(home: Home) -> None:
    with playing(home, "latency=fixed:200ms") as (api, stub, round_id):
        until(lambda: shown(api, round_id)["sessions"]["running"] == 8, "eight sessions")
        api.patch(f"/v1/rounds/{round_id}", json={"concurrency": 1})
        until(lambda: shown(api, round_id)["sessions"]["running"] <= 1, "one session")
        until(lambda: in_flight(stub) <= 1, "one call")
        api.patch(f"/v1/rounds/{round_id}", json={"concurrency": 12})
        until(lambda: shown(api, round_id)["sessions"]["running"] > 8, "more sessions")
        done = status(api, round_id, "completed")
    assert done["turns"] == done["calls"] == 5 * SEEDS


def test_at_a_budget_the_round_pauses_and_a_raised_one_finishes_it(home: Home) -> None:
    home.scenario("capped", seeds=6, judging={"play": "logprob"}, budget_calls=11)
    with provider(home) as base, serving(home) as url, httpx.Client(base_url=url) as api:
        home.cards(base)
        round_id = api.post("/v1/rounds", json={"scenario": "capped"}).json()["id"]
        paused = status(api, round_id, "paused")
        assert paused["reason"] == "budget_reached"
        assert f"aaa rounds set {round_id} budget_calls=" in paused["message"]
        found = until(lambda: _settled(api, round_id), "calls to come home")
        assert found["calls"] == len(requests(home)) == 11
        home.aaa("rounds", "set", round_id, "budget_calls=1000", AAA_URL=url)
        home.aaa("rounds", "resume", round_id, AAA_URL=url)
        done = status(api, round_id, "completed")
    assert done["calls"] == done["turns"] == len(requests(home)) == 30


def test_a_dead_provider_is_waited_for_and_its_return_needs_nobody(home: Home) -> None:
    with playing(home, "latency=fixed:100ms") as (api, stub, round_id):
        until(lambda: shown(api, round_id)["turns"] > 10, "some turns")
        stub.post("/_faults", content="503=1")
        gate = until(lambda: _down(api, round_id), "a gate to close")
        assert "503" in gate["why"]
        asked = len(requests(home))
        time.sleep(2)
        assert len(requests(home)) - asked <= 12  # tried by one call at a time, not by all
        assert shown(api, round_id)["sessions"]["failed"] == 0
        assert 'aaa_gate_state{agent="' in api.get("/metrics").text
        stub.post("/_faults", content="")
        done = status(api, round_id, "completed")
    assert done["turns"] == 5 * SEEDS
    assert done["sessions"]["failed"] == 0


def _down(api: httpx.Client, round_id: str) -> dict[str, Any] | None:
    rows = api.get("/v1/gates", params={"round": round_id}).json()["items"]
    return next((row for row in rows if row["state"] == "down"), None)


def test_a_wrong_key_pauses_the_round_and_burns_no_session(home: Home) -> None:
    with playing(home, "401=1,model=tutor") as (api, stub, round_id):
        paused = status(api, round_id, "paused")
        assert paused["reason"] == "auth"
        assert "401" in paused["message"]
        assert f"aaa rounds resume {round_id}" in paused["message"]
        stub.post("/_faults", content="")
        until(lambda: _settled(api, round_id), "calls to come home")
        api.post(f"/v1/rounds/{round_id}/resume")
        done = status(api, round_id, "completed")
    assert done["sessions"]["failed"] == 0
    refused = [r for r in requests(home) if r["model"] == "tutor" and r["status"] == 401]
    assert 1 <= len(refused) <= 8


def test_what_fails_for_good_ends_its_session_and_the_round_says_so(home: Home) -> None:
    """Every third request of the teacher is refused for its content, for good."""
    with playing(home, "filter=0.3,model=tutor") as (api, _, round_id):
        done = status(api, round_id, "completed")
        rows = api.get(f"/v1/rounds/{round_id}/sessions", params={"limit": 100}).json()["items"]
    failed = [row for row in rows if row["status"] == "failed"]
    assert len(failed) == done["sessions"]["failed"] > 0
    assert {row["reason"] for row in failed} == {"content_filter"}
    assert f"{len(failed)} of {SEEDS} sessions failed" in done["message"]


def test_events_of_a_steered_round_have_no_gap(home: Home) -> None:
    with playing(home, "latency=fixed:100ms") as (api, _, round_id):
        api.post(f"/v1/rounds/{round_id}/pause")
        api.post(f"/v1/rounds/{round_id}/resume")
        api.patch(f"/v1/rounds/{round_id}", json={"seat_budgets": {"judge": {"calls": 1000}}})
        status(api, round_id, "completed")
        lines = api.get(f"/v1/rounds/{round_id}/events").text.splitlines()
    ids = [int(line.removeprefix("id: ")) for line in lines if line.startswith("id: ")]
    assert ids == list(range(1, len(ids) + 1))
    retuned = [line for line in lines if line.startswith("data: ") and "seat_budgets" in line]
    assert json.loads(retuned[0].removeprefix("data: "))["seat_budgets"] == {
        "judge": {"calls": 1000}
    }
