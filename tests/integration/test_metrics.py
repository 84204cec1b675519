"""What Prometheus is told: figures that add up with the rounds, labels that stay bounded."""

import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from aaa.api import meter
from aaa.errors import ModelError
from aaa.gate import Standing
from aaa.store.database import Database
from aaa.store.events import append
from aaa.store.gates import tell
from aaa.store.steering import cancel_round
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


MANY = """INSERT INTO events (round_id, id, kind, data)
    SELECT :round, n, CASE n % 2 WHEN 0 THEN 'turn' ELSE 'call.started' END, jsonb_build_object(
        'agent', 'agent-' || n % 4, 'latency_s', n % 1000, 'prompt_tokens', 3, 'completion_tokens', 5,
        'cost_usd', 0.5, 'failure', NULL, 'text', repeat('x', 300))
    FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS n"""


async def says(database: Database, round_id: str, number: int) -> None:
    """So many events of a round at once; every second is a turn."""
    async with database.begin() as connection:
        last = (await connection.execute(text(TAKE), {"round": round_id, "n": number})).scalar_one()
        place = {"round": round_id, "first": last - number + 1, "last": last}
        await connection.execute(text(MANY), place)


TAKE = "UPDATE rounds SET last_event = last_event + :n WHERE id = :round RETURNING last_event"


async def test_a_busy_minute_is_counted_whole_and_beside_it_every_other_round(
    api: httpx.AsyncClient, database: Database
) -> None:
    """What 2,000 events a second come to between two looks, 60 s apart; and nobody waits long for it."""
    busy, quiet = await started(api), await started(api)
    await figures(api)
    await says(database, busy, 120_000)
    await says(database, quiet, 8)
    began = time.monotonic()
    now = await figures(api)
    assert time.monotonic() - began < 10  # Prometheus waits so long by default
    answered = {k: v for k, v in now.items() if k.startswith("aaa_calls_total")}
    assert sum(answered.values()) == 60_004
    assert len(answered) == 2
    assert sum(v for k, v in now.items() if "direction=prompt" in k) == 3 * 60_004
    assert sum(v for k, v in now.items() if k.startswith("aaa_cost_usd_total")) == 30_002
    assert sum(v for k, v in now.items() if k.startswith("aaa_call_seconds_count")) == 60_004
    assert await figures(api) == now


async def test_latencies_are_told_in_buckets(api: httpx.AsyncClient, database: Database) -> None:
    round_id = await started(api)
    await figures(api)
    async with database.begin() as connection:
        turns = [("turn", {"agent": "a", "latency_s": s}) for s in (0.05, 0.5, 0.6, 80, 1000)]
        await append(connection, round_id, turns)
    families = text_string_to_metric_families((await api.get("/metrics")).text)
    samples = next(f.samples for f in families if f.name == "aaa_call_seconds")
    found = {s.labels.get("le", s.name[17:]): s.value for s in samples}
    within = {"0.1": 1, "0.25": 1, "0.5": 2, "1.0": 3, "2.5": 3, "40.0": 3, "80.0": 4, "320.0": 4}
    assert {le: found[le] for le in within} == within
    assert found["+Inf"] == found["count"] == 5
    assert found["sum"] == pytest.approx(1081.15)


async def test_retries_are_counted(api: httpx.AsyncClient, database: Database) -> None:
    round_id = await started(api)
    await figures(api)
    failed = {"agent": "a", "kind": "rate_limited", "message": "slow down"}
    async with database.begin() as connection:
        waits = (0.0, 2.5, None)  # the last one is given up
        await append(
            connection, round_id, [("call.failed", failed | {"retry_in_s": s}) for s in waits]
        )
    now = await figures(api)
    assert now["aaa_call_failures_total{agent=a,kind=rate_limited}"] == 3
    assert now["aaa_call_retries_total{agent=a,kind=rate_limited}"] == 2


async def test_a_round_that_is_resumed_after_long_is_not_counted_again(
    api: httpx.AsyncClient, database: Database
) -> None:
    round_id = await started(api)
    await figures(api)
    await says(database, round_id, 100)
    await cancel_round(database, round_id)
    before = await figures(api)
    async with database.begin() as connection:
        await connection.execute(text("UPDATE rounds SET finished_at = now() - interval '1 hour'"))
    await figures(api)  # nobody is interested in it any more
    async with database.begin() as connection:
        await connection.execute(text("UPDATE rounds SET status = 'running', finished_at = NULL"))
    await says(database, round_id, 10)
    now = await figures(api)
    calls = [sum(v for k, v in f.items() if "aaa_calls_total" in k) for f in (before, now)]
    assert calls == [50, 55]


async def test_time_waited_at_gates(api: httpx.AsyncClient, database: Database) -> None:
    """Summed over the seats of an agent; one that begins anew begins at 0."""

    async def waited(**seats: float) -> float:
        for seat, s in seats.items():
            await tell(database, seat, "a", Standing("open", 1, 8, 2, 0.0, "", s))
        return (await figures(api)).get("aaa_gate_waited_seconds_total{agent=a}", 0)

    assert await waited(one=100) == 0  # before the first look
    assert await waited(one=107) == 7
    assert await waited(one=107, two=3) == 10
    assert await waited(one=2, two=4) == 13
    now = await figures(api)
    assert now["aaa_gate_waiting{agent=a}"] == 4
    assert now["aaa_gate_state{agent=a,state=open}"] == 2
    lines = [line for line in (await api.get("/metrics")).text.splitlines() if "{" in line]
    names = [line.rpartition(" ")[0] for line in lines]
    assert len(names) == len(set(names))  # a series that comes twice has the whole answer refused


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
