"""What Prometheus is told: figures that add up with the rounds, labels that stay bounded."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from aaa.api import meter
from aaa.errors import ModelError
from aaa.gate import Standing
from aaa.store.database import Database
from aaa.store.gates import tell
from aaa.types import Call
from tests.playing import play_round, say

LABELS = {"agent", "status", "outcome", "kind", "direction", "state", "le"}


async def figures(api: httpx.AsyncClient) -> dict[str, float]:
    """`name{label=value,…}` -> value, without buckets."""
    response = await api.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    found = {}
    for family in text_string_to_metric_families(response.text):
        assert family.name.startswith("aaa_")
        for sample in family.samples:
            assert set(sample.labels) <= LABELS
            if not sample.name.endswith(("_bucket", "_created")):
                labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


async def started(api: httpx.AsyncClient) -> str:
    return str((await api.post("/v1/rounds", json={"scenario": "small"})).json()["id"])


async def test_figures_add_up_with_what_was_played(
    api: httpx.AsyncClient, database: Database
) -> None:
    before = await figures(api)  # from here on it counts
    assert before["aaa_rounds{status=queued}"] == 0
    round_id = await started(api)
    assert (await figures(api))["aaa_sessions{status=queued}"] == 3
    await play_round(database, round_id)
    now = await figures(api)
    done = (await api.get(f"/v1/rounds/{round_id}")).json()
    answered = sum(v for k, v in now.items() if k.startswith("aaa_calls_total"))
    assert answered == done["turns"] == 36
    assert now["aaa_calls_total{agent=teacher,outcome=answered}"] == 6
    assert now["aaa_call_seconds_count{agent=judge}"] == 18
    tokens = [v for k, v in now.items() if "direction=completion" in k]
    assert sum(tokens) == done["completion_tokens"]
    cost = sum(v for k, v in now.items() if k.startswith("aaa_cost_usd_total"))
    assert cost == pytest.approx(done["spent_usd"])
    assert now["aaa_spent_usd{}"] == pytest.approx(done["spent_usd"])
    assert {k: now[f"aaa_verdicts{{outcome={k}}}"] for k in done["verdicts"]} == done["verdicts"]
    assert now["aaa_sessions{status=completed}"] == 3
    assert now["aaa_pairs{}"] == done["pairs"]
    assert await figures(api) == now  # looking again counts nothing twice


async def test_pages_of_gates(api: httpx.AsyncClient, database: Database) -> None:
    standing = Standing("open", 1, 8, 0, 0.0, "")
    for seat, agent in (("b-2", "b"), ("a-1", "a"), ("b-1", "b")):
        await tell(database, seat, agent, standing)
    page = (await api.get("/v1/gates?limit=2")).json()
    assert [row["seat"] for row in page["items"]] == ["a-1", "b-1"]
    rest = (await api.get(f"/v1/gates?limit=2&cursor={page['next']}")).json()
    assert ([row["seat"] for row in rest["items"]], rest["next"]) == (["b-2"], None)
    wrong = await api.get("/v1/gates?cursor=nobody")
    assert (wrong.status_code, "is no `next`" in wrong.text) == (422, True)
    assert (await api.get("/v1/gates?round=nowhere&cursor=b-2")).status_code == 404


async def test_failures_are_counted_by_their_kind(
    api: httpx.AsyncClient, database: Database
) -> None:
    def refuse(call: Call) -> str:
        if call.agent == "peer":
            raise ModelError("content_filter", "no")
        return say(call)

    await figures(api)
    await play_round(database, await started(api), refuse)
    now = await figures(api)
    assert now["aaa_call_failures_total{agent=peer,kind=content_filter}"] >= 1
    assert not [key for key in now if key.startswith("aaa_call_retries")]


async def test_the_past_is_not_counted_and_others_are_summed(
    api: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter, "MOST_AGENTS", 1)
    await play_round(database, await started(api))
    now = await figures(api)
    assert not [key for key in now if key.startswith("aaa_calls_total")]
    await play_round(database, await started(api))
    now = await figures(api)
    agents = {key.split("agent=")[1].split(",")[0] for key in now if key.startswith("aaa_calls")}
    assert len(agents) == 2
    assert "other" in agents
