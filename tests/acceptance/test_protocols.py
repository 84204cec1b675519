"""Every shipped scenario against the stub, as it stands: its agents' names on cards that reach the stub."""

import json
from typing import Any

import httpx
import pytest
import yaml

from aaa.catalogue import shipped
from tests.acceptance.processes import Home, provider, serving, until

LOCAL = {"smollm2-135m": "smollm", "qwen2.5-coder-0.5b": "qwen", "qwen2.5-coder-1.5b": "qwen"}
SEEDS = 3


def rounds_to_play() -> list[str]:
    """Names of the shipped scenarios that are played as one round."""
    files = sorted(shipped("scenarios").glob("*.yaml"))
    return [file.stem for file in files if "stages" not in yaml.safe_load(file.read_text("utf-8"))]


@pytest.mark.timeout(600)
def test_every_protocol_is_played_to_its_end_and_accounts_for_what_it_made(home: Home) -> None:
    with provider(home) as base_url:
        for name, family in LOCAL.items():
            home.card(
                name, base_url, family, price={"input_usd_per_mtok": 0, "output_usd_per_mtok": 0}
            )
        with serving(home) as url, httpx.Client(base_url=url, timeout=60) as api:
            rounds = {}
            for name in rounds_to_play():
                body = {"scenario": name, "overrides": {"seeds.limit": SEEDS}}
                made = api.post("/v1/rounds", json=body)
                assert made.status_code == 202, (name, made.text)
                rounds[name] = str(made.json()["id"])

            def ended() -> bool:
                found = (api.get(f"/v1/rounds/{id}").json() for id in rounds.values())
                return all(one["status"] not in ("queued", "running") for one in found)

            until(ended, "the end of every round", 400)
            for name, id in rounds.items():
                check(name, api.get(f"/v1/rounds/{id}").json(), api, id)
    assert len(rounds) >= 17


def check(name: str, found: dict[str, Any], api: httpx.Client, id: str) -> None:
    """It completed; its pairs are its wins, kept or dropped notes are all there."""
    assert found["status"] == "completed", (name, found["message"])
    sessions = found["sessions"]
    assert sessions["completed"] == sessions["total"] in (1, SEEDS), (name, found)
    wins = found["verdicts"]["win"]
    rows = lines(api, id, "canonical")
    assert len(rows) == found["pairs"], name
    assert found["pairs"] <= wins, name  # the same pair won twice is one
    verdicts = lines(api, id, "verdicts")
    assert len(verdicts) == sum(found["verdicts"].values()), name
    told = [api.get(f"/v1/sessions/{one['id']}").json() for one in sessions_of(api, id)]
    notes = [note for one in told for note in one["notes"]]
    if name != "auto_evol":  # the stub's words fail in no way that a method could mend
        assert len(verdicts) + len(notes) > 0, name
    evolved = [note for note in notes if note["kind"] in ("evolved", "labels")]
    kept = [
        note for note in evolved if not note.get("dropped") and note.get("operation") != "method"
    ]
    assert len(lines(api, id, "seeds")) == len(kept), name
    steps = [note for note in notes if note["kind"] == "steps"]
    assert len(lines(api, id, "trl-prm")) <= len(steps), name
    assert all(note["dropped"] for note in steps) or lines(api, id, "trl-prm"), name


def sessions_of(api: httpx.Client, id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"/v1/rounds/{id}/sessions").json()["items"]
    return found


def lines(api: httpx.Client, id: str, format: str) -> list[dict[str, Any]]:
    text = api.get(f"/v1/rounds/{id}/pairs?format={format}").raise_for_status().text
    return [json.loads(line) for line in text.splitlines()]
