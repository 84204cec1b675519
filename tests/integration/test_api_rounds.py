"""Rounds over the API, on a real database: start, list, look inside, steer, and what is refused."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from aaa.api.app import create_app
from aaa.api.guard import role_of
from aaa.catalogue import Catalogue
from aaa.errors import ModelError
from aaa.settings import Settings
from aaa.store.database import Database
from aaa.store.leases import claim_sessions, heartbeat
from aaa.store.schema import upgrade
from aaa.types import Call
from tests.catalogues import small_scenario
from tests.playing import play_round, say

PROBLEM = "application/problem+json"


async def started(api: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await api.post("/v1/rounds", json={"scenario": "small", **body})
    assert response.status_code == 202, response.text
    made: dict[str, Any] = response.json()
    return made


async def test_start_a_round(api: httpx.AsyncClient) -> None:
    response = await api.post("/v1/rounds", json={"scenario": "small", "budget_usd": 2.5})
    assert response.status_code == 202
    made = response.json()
    assert response.headers["location"] == f"/v1/rounds/{made['id']}"
    assert made["status"] == "queued"
    assert made["sessions"]["total"] == made["sessions"]["queued"] == 3
    assert made["budget_usd"] == 2.5
    assert made["seats"]["student"] == ["pupil", "peer"]
    assert made["last_event"] == 1
    assert (await api.get(response.headers["location"])).json() == made


async def test_start_a_scenario_that_is_sent(api: httpx.AsyncClient) -> None:
    seeds = {"inline": [{"prompt": f"Why {n}?"} for n in range(5)]}
    made = await started(api, scenario=small_scenario() | {"name": "mine", "seeds": seeds})
    assert made["scenario"] == "mine"
    assert made["sessions"]["total"] == 5


async def test_seeds_are_with_the_sessions_and_not_in_what_is_read_at_every_look(
    api: httpx.AsyncClient,
) -> None:
    given = [{"id": f"q{n}", "prompt": f"Why {n}?", "tags": ["t"]} for n in range(5)]
    made = await started(api, scenario=small_scenario() | {"seeds": {"inline": given}})
    path = f"/v1/rounds/{made['id']}"
    script = (await api.get(f"{path}/script")).json()
    assert script["scenario"]["seeds"]["inline"] == []
    first = (await api.get(f"{path}/seeds?limit=3")).json()
    rest = (await api.get(f"{path}/seeds?limit=3&cursor={first['next']}")).json()
    assert rest["next"] is None
    found = first["items"] + rest["items"]
    assert [(one["id"], one["prompt"][0]["content"], one["tags"]) for one in found] == [
        (one["id"], one["prompt"], one["tags"]) for one in given
    ]


async def test_start_a_large_round(api: httpx.AsyncClient) -> None:
    seeds = {"inline": [{"id": f"q{n}", "prompt": f"Why {n}?"} for n in range(5000)]}
    made = await started(api, scenario=small_scenario() | {"seeds": seeds})
    assert made["sessions"]["total"] == 5000


async def test_refusals_say_what_is_wrong(api: httpx.AsyncClient) -> None:
    """As 422: the page is there, what is asked of it is not."""
    for body, said in (
        ({"scenario": "nothing"}, "no scenario 'nothing'; there are: small"),
        ({"scenario": "small", "overrides": {"seats.judge": ["x"]}}, "no agent 'x'"),
        ({"scenario": "small", "overrides": {"protocol.options.x": 1}}, "option 'x'"),
        ({"scenario": "small", "overrides": {"seeds.file": "../x.jsonl"}}, "seeds.file"),
        ({"scenario": "small", "budget": 1}, "not well formed"),
        ({}, "not well formed"),
    ):
        response = await api.post("/v1/rounds", json=body)
        assert response.status_code == 422, body
        assert response.headers["content-type"] == PROBLEM
        assert said in response.json()["detail"]
    assert (await api.get("/v1/rounds")).json() == {"items": [], "next": None}


async def test_the_same_key_gives_the_same_round(api: httpx.AsyncClient) -> None:
    body = {"scenario": "small", "overrides": {"seeds.limit": 2}}
    headers = {"Idempotency-Key": "k1"}
    first, again, *more = await asyncio.gather(
        *(api.post("/v1/rounds", json=body, headers=headers) for _ in range(5))
    )
    assert {r.status_code for r in (first, again, *more)} == {202}
    assert {r.json()["id"] for r in (first, again, *more)} == {first.json()["id"]}
    other = await api.post("/v1/rounds", json={"scenario": "small"}, headers=headers)
    assert other.status_code == 409
    assert "'k1' was used for another request" in other.json()["detail"]
    fresh = await api.post("/v1/rounds", json=body, headers={"Idempotency-Key": "k2"})
    assert fresh.json()["id"] != first.json()["id"]


async def test_the_key_is_looked_at_before_the_scenario(
    api: httpx.AsyncClient, catalogue: Catalogue
) -> None:
    """Who repeats a request is told of the round, also where the scenario was edited meanwhile."""
    headers, body = {"Idempotency-Key": "k1"}, {"scenario": "small"}
    first = await api.post("/v1/rounds", json=body, headers=headers)
    (catalogue.scenario_folders[0] / "small.yaml").write_text("name: small\nprotocol: gone\n")
    again = await api.post("/v1/rounds", json=body, headers=headers)
    assert (again.status_code, again.headers["location"]) == (202, first.headers["location"])
    assert again.json() == first.json()
    assert (await api.post("/v1/rounds", json=body)).status_code == 422


async def test_a_command_with_the_same_key_is_done_once(
    api: httpx.AsyncClient, database: Database
) -> None:
    path = f"/v1/rounds/{(await started(api))['id']}"

    async def command(name: str, key: str) -> httpx.Response:
        return await api.post(f"{path}/{name}", headers={"Idempotency-Key": key})

    pauses = await asyncio.gather(*(command("pause", "k1") for _ in range(5)))
    assert [(r.status_code, r.json()["status"]) for r in pauses] == [(200, "paused")] * 5
    assert (await command("resume", "k2")).json()["status"] == "running"
    late = await command("pause", "k1")  # it came twice, the second time after the resume
    assert (late.status_code, late.json()["status"]) == (200, "running")
    assert late.json()["last_event"] == 3
    other = await command("cancel", "k1")
    assert other.status_code == 409
    assert "'k1' was used for another command" in other.json()["detail"]
    refused = await command("resume", "k3")
    assert (refused.status_code, "pause, cancel" in refused.text) == (409, True)
    await command("pause", "k4")
    assert (await command("resume", "k3")).json()["status"] == "running"  # it was not done before
    cancels = [await command("cancel", "k5") for _ in range(2)]
    assert [(r.status_code, r.json()["status"]) for r in cancels] == [(200, "cancelled")] * 2
    assert (await command("cancel", "k" * 201)).status_code == 422


@pytest.mark.parametrize("key", ["", "x" * 201, "a\tb", "a\x7f"])
async def test_bad_keys(api: httpx.AsyncClient, key: str) -> None:
    headers = {b"Idempotency-Key": key.encode()}
    response = await api.post("/v1/rounds", json={"scenario": "small"}, headers=headers)
    assert response.status_code == 422


async def test_pages_of_rounds(api: httpx.AsyncClient) -> None:
    made = [(await started(api))["id"] for _ in range(5)]
    seen: list[str] = []
    pages, cursor = 0, None
    while pages == 0 or cursor:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await api.get("/v1/rounds", params=query)).json()
        seen += [row["id"] for row in page["items"]]
        pages, cursor = pages + 1, page["next"]
    assert seen == made[::-1]
    assert pages == 3


async def test_rounds_by_status(api: httpx.AsyncClient) -> None:
    first, second = await started(api), await started(api)
    await api.post(f"/v1/rounds/{first['id']}/pause")
    paused = (await api.get("/v1/rounds?status=paused")).json()
    queued = (await api.get("/v1/rounds?status=queued")).json()
    assert [row["id"] for row in paused["items"]] == [first["id"]]
    assert [row["id"] for row in queued["items"]] == [second["id"]]
    assert (await api.get("/v1/rounds?status=odd")).status_code == 422


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=x", "cursor=nothing", "cursor=%00", "cursor="]
)
async def test_bad_pages(api: httpx.AsyncClient, query: str) -> None:
    response = await api.get(f"/v1/rounds?{query}")
    assert response.status_code == 422
    assert response.headers["content-type"] == PROBLEM


async def test_steering(api: httpx.AsyncClient) -> None:
    made = await started(api)
    path = f"/v1/rounds/{made['id']}"
    for command, status in (
        ("pause", "paused"),
        ("resume", "running"),
        ("pause", "paused"),
        ("cancel", "cancelled"),
    ):
        response = await api.post(f"{path}/{command}")
        assert response.status_code == 200
        assert response.json()["status"] == status
    ended = (await api.get(path)).json()
    assert ended["sessions"]["cancelled"] == 3
    assert ended["finished_at"]


async def test_illegal_steps_name_the_legal_ones(
    api: httpx.AsyncClient, database: Database
) -> None:
    def refused(response: httpx.Response) -> str:
        assert response.status_code == 409
        assert response.headers["content-type"] == PROBLEM
        return str(response.json()["detail"])

    path = f"/v1/rounds/{(await started(api))['id']}"
    assert "possible: pause, cancel" in refused(await api.post(f"{path}/resume"))
    await api.post(f"{path}/pause")
    assert "possible: resume, cancel" in refused(await api.post(f"{path}/pause"))
    await api.post(f"{path}/cancel")
    for command in ("pause", "resume", "cancel"):
        assert "possible: nothing" in refused(await api.post(f"{path}/{command}"))
    assert "queued, running, paused" in refused(await api.patch(path, json={"concurrency": 2}))
    done = await started(api)
    await play_round(database, done["id"])
    assert "nothing left" in refused(await api.post(f"/v1/rounds/{done['id']}/resume"))


async def test_retuning(api: httpx.AsyncClient) -> None:
    path = f"/v1/rounds/{(await started(api))['id']}"
    changed = await api.patch(path, json={"concurrency": 7, "budget_usd": 3})
    assert (changed.json()["concurrency"], changed.json()["budget_usd"]) == (7, 3.0)
    assert (await api.patch(path, json={"budget_usd": 0})).json()["concurrency"] == 7


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"concurrency": 0},
        {"concurrency": 1.5},
        {"concurrency": 10**9},
        {"budget_usd": -1},
        {"budget_usd": 1e10},
        {"status": "completed"},
        [],
    ],
)
async def test_bad_changes(api: httpx.AsyncClient, body: Any) -> None:
    path = f"/v1/rounds/{(await started(api))['id']}"
    response = await api.patch(path, json=body)
    assert response.status_code == 422
    assert response.headers["content-type"] == PROBLEM


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/rounds/nothing", 404),
        ("GET", "/v1/rounds/No Such", 404),
        ("GET", "/v1/rounds/%C3%A9", 404),
        ("GET", "/v1/rounds/%00", 422),
        ("GET", "/v1/rounds/%ff", 404),
        ("GET", "/v1/rounds/..%2f..%2fetc", 404),
        ("GET", "/v1/rounds/" + "x" * 201, 422),
        ("POST", "/v1/rounds/nothing/pause", 404),
        ("POST", "/v1/rounds/nothing/resume", 404),
        ("POST", "/v1/rounds/nothing/cancel", 404),
        ("PATCH", "/v1/rounds/nothing", 422),
        ("GET", "/v1/rounds/nothing/sessions", 404),
        ("GET", "/v1/rounds/nothing/pairs", 404),
        ("GET", "/v1/rounds/nothing/events", 404),
        ("GET", "/v1/sessions/1", 404),
        ("GET", "/v1/sessions/0", 422),
        ("GET", "/v1/sessions/x", 422),
        ("GET", "/v1/sessions/99999999999999999999", 422),
        ("GET", "/v1/pairs/nothing", 404),
        ("GET", "/v1/agents/nothing", 404),
        ("GET", "/v1/agents/..%2fjudge", 404),
        ("GET", "/v1/scenarios/nothing", 404),
        ("GET", "/v1/nothing", 404),
        ("DELETE", "/v1/rounds", 405),
        ("PUT", "/v1/rounds/x", 405),
    ],
)
async def test_what_is_not_there(
    api: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    response = await api.request(method, path)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    assert response.json()["status"] == status


async def test_sessions(api: httpx.AsyncClient, database: Database) -> None:
    made = await started(api)
    path = f"/v1/rounds/{made['id']}/sessions"
    before = (await api.get(path)).json()["items"]
    assert [(row["seed"], row["status"], row["turns"]) for row in before] == [
        (f"s{n}", "queued", 0) for n in range(3)
    ]
    await play_round(database, made["id"], room=2)
    page = (await api.get(path, params={"limit": 1, "status": "completed"})).json()
    assert [row["seed"] for row in page["items"]] == ["s0"]
    rest = (await api.get(path, params={"cursor": page["next"], "status": "completed"})).json()
    assert [row["seed"] for row in rest["items"]] == ["s1"]
    assert rest["next"] is None
    assert rest["items"][0]["turns"] == 12
    assert rest["items"][0]["verdicts"] == 3
    for query in ("cursor=x", "cursor=-1", "cursor=99999999999999999999", "status=paused"):
        assert (await api.get(f"{path}?{query}")).status_code == 422


async def test_one_session(api: httpx.AsyncClient, database: Database) -> None:
    made = await started(api, overrides={"seeds.limit": 1})
    await play_round(database, made["id"])
    (row,) = (await api.get(f"/v1/rounds/{made['id']}/sessions")).json()["items"]
    told = (await api.get(f"/v1/sessions/{row['id']}")).json()
    assert told["seed"]["prompt"] == [{"role": "user", "content": "Question 0?"}]
    assert [turn["index"] for turn in told["turns"]] == list(range(12))
    assert [turn["purpose"] for turn in told["turns"][:6]] == [
        "draft", "draft", "critique", "critique", "revision", "revision",
    ]  # fmt: skip
    assert told["turns"][0]["messages"] == told["seed"]["prompt"]
    assert [v["outcome"] for v in told["verdicts"]] == ["win", "win", "tie"]
    assert len(told["attempts"]) == 12
    assert {a["status"] for a in told["attempts"]} == {"answered"}


async def test_sessions_are_found_by_what_was_said_in_them(
    api: httpx.AsyncClient, database: Database
) -> None:
    def answer(call: Call) -> str:
        if call.purpose == "draft" and "1?" in call.messages[-1].content:
            return "100% _sure_ of it"
        return say(call)

    seeds = [
        {"id": f"q{n}", "prompt": f"Question {n}?", "tags": [f"t{n}", "all"]} for n in range(3)
    ]
    asked = {"scenario": "small", "overrides": {"seeds": {"inline": seeds}}}
    made = (await api.post("/v1/rounds", json=asked)).json()
    await play_round(database, made["id"], answer)

    async def found(**query: str) -> list[str]:
        response = await api.get(f"/v1/rounds/{made['id']}/sessions", params=query)
        assert response.status_code == 200, response.text
        return [row["seed"] for row in response.json()["items"]]

    every = ["q0", "q1", "q2"]
    assert await found(tag="all") == every
    assert await found(tag="t1") == ["q1"]
    assert await found(text="100% _SURE_") == ["q1"]
    assert await found(text="100_") == []  # no pattern, but the words themselves
    assert await found(text="Q2") == ["q2"]
    assert await found(seat="student", text="sure") == ["q1"]
    assert await found(seat="teacher", text="sure") == []
    assert await found(seat="teacher") == every
    assert await found(outcome="flip") == []
    assert await found(outcome="win", tag="t2", status="completed", seat="judge") == ["q2"]
    wrong = await api.get(f"/v1/rounds/{made['id']}/sessions", params={"outcome": "draw"})
    assert wrong.status_code == 422


async def test_a_session_that_failed_is_resumed(api: httpx.AsyncClient, database: Database) -> None:
    def refuse(call: Call) -> str:
        raise ModelError("auth", "no key")

    made = await started(api)
    await play_round(database, made["id"], refuse)
    failed = (await api.get(f"/v1/rounds/{made['id']}")).json()
    assert (failed["status"], failed["reason"]) == ("failed", "all_sessions_failed")
    assert (await api.post(f"/v1/rounds/{made['id']}/resume")).json()["status"] == "running"
    await play_round(database, made["id"], say)
    done = (await api.get(f"/v1/rounds/{made['id']}")).json()
    assert (done["status"], done["pairs"]) == ("completed", 6)


async def test_agents_without_addresses_and_keys(
    api: httpx.AsyncClient, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AAA_TEST_KEY", "sk-canary")
    (catalogue.agent_folders[0] / "broken.yaml").write_text("name: [")
    response = await api.get("/v1/agents")
    assert "sk-canary" not in response.text
    assert "127.0.0.1" not in response.text
    rows = {row["name"]: row for row in response.json()["items"]}
    assert list(rows) == ["broken", "judge", "peer", "pupil", "teacher"]
    assert rows["pupil"]["card"]["family"] == "a"
    assert rows["pupil"]["key_set"] is True
    assert rows["broken"]["card"] is None
    assert "not readable as YAML" in rows["broken"]["error"]
    monkeypatch.delenv("AAA_TEST_KEY")
    one = (await api.get("/v1/agents/pupil")).json()
    assert one["key_set"] is False
    page = (await api.get("/v1/agents?limit=2")).json()
    assert page["next"] == "judge"
    assert (await api.get("/v1/agents?cursor=judge&limit=1")).json()["items"][0]["name"] == "peer"


@pytest.mark.parametrize("text", ["licence: 2026-13-45", "generation: " + "9" * 5000, "? [x]\n: y"])
async def test_a_file_that_no_agent_is_in_harms_no_other(
    api: httpx.AsyncClient, catalogue: Catalogue, text: str
) -> None:
    (catalogue.agent_folders[0] / "broken.yaml").write_text(text)
    response = await api.get("/v1/agents")
    assert response.status_code == 200
    told = {row["name"]: row["error"] for row in response.json()["items"]}
    assert "not readable as YAML" in told.pop("broken")
    assert set(told.values()) == {None}


async def test_scenarios(api: httpx.AsyncClient) -> None:
    (row,) = (await api.get("/v1/scenarios")).json()["items"]
    assert (row["name"], row["protocol"]) == ("small", "co_teaching")
    assert (await api.get("/v1/scenarios/small")).json()["judging"]["play"] == "pairwise"


async def test_readiness(api: httpx.AsyncClient, database: Database) -> None:
    response = await api.get("/readyz")
    assert response.status_code == 503
    assert response.headers["content-type"] == PROBLEM
    assert "supervisor: none was heard of" in response.json()["detail"]
    await heartbeat(database, "s", "supervisor", "here", 1, {})
    response = await api.get("/readyz")
    checks = response.json()["checks"]
    assert response.status_code == 503
    assert {name for name, said in checks.items() if said != "ok"} == {"runner"}
    await heartbeat(database, "r", "runner", "here", 2, {})
    response = await api.get("/readyz")
    assert response.status_code == 200
    assert set(response.json()["checks"]) == {"database", "schema", "supervisor", "runner"}


async def test_readiness_of_another_schema(
    settings: Settings, empty_database_url: str, catalogue: Catalogue
) -> None:
    database = Database(empty_database_url)
    transport = httpx.ASGITransport(create_app(settings, database, catalogue))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
        response = await api.get("/readyz")
        assert response.status_code == 503
        assert "schema: is empty" in response.json()["detail"]
        await upgrade(database)
        assert (await api.get("/readyz")).json()["checks"]["schema"] == "ok"
    await database.close()


async def test_without_a_database(settings: Settings, catalogue: Catalogue) -> None:
    """503 everywhere, no detail of where it should be; alive all the same."""
    database = Database("postgresql://user:hunter2@127.0.0.1:9/none")
    app = create_app(settings, database, catalogue)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost"
    ) as api:
        for path in ("/readyz", "/v1/rounds", "/v1/rounds/r", "/v1/rounds/r/events", "/v1/pairs/p"):
            response = await api.get(path)
            assert response.status_code == 503, path
            assert response.headers["content-type"] == PROBLEM
            assert "hunter2" not in response.text
        assert (await api.get("/readyz")).json()["checks"] == {"database": "does not answer"}
        assert (await api.get("/livez")).status_code == 200
    await database.close()


async def test_no_status_that_is_not_described(app: FastAPI, api: httpx.AsyncClient) -> None:
    """Every route describes its errors; every one of them is a problem document."""
    described = (await api.get("/openapi.json")).json()
    paths = {
        r.path_format: r for r in app.routes if isinstance(r, APIRoute) and r.include_in_schema
    }
    assert set(described["paths"]) == set(paths)
    for path, methods in described["paths"].items():
        for told in methods.values():
            statuses = set(told["responses"])
            assert {"422", "500", "503"} <= statuses
            assert role_of(paths[path]) == "open" or {"401", "403"} <= statuses
            for status, response in told["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == [PROBLEM], (path, status)
    assert "Problem" in described["components"]["schemas"]


async def test_every_route_with_a_token(
    settings: Settings, database: Database, catalogue: Catalogue
) -> None:
    """With it every route does its work, or says what it lacks; without it none does."""
    app = create_app(settings, database, catalogue, token="t0ken")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://aaa.example"
    ) as api:
        for route in app.routes:
            assert isinstance(route, APIRoute)
            for method in route.methods or ():
                path = route.path_format.replace("{session_id}", "1")
                for kind in ("round_id", "pair_id", "name"):
                    path = path.replace(f"{{{kind}}}", "nothing")
                closed = await api.request(method, path)
                opened = await api.request(method, path, headers={"Authorization": "Bearer t0ken"})
                is_open = role_of(route) == "open"
                assert (closed.status_code == 401) != is_open, (method, path)
                assert opened.status_code in (200, 404, 422, 503), (method, path)


async def test_claimed_rounds_are_shown_running(api: httpx.AsyncClient, database: Database) -> None:
    made = await started(api)
    await claim_sessions(database, "runner", 2)
    told = (await api.get(f"/v1/rounds/{made['id']}")).json()
    assert told["status"] == "running"
    assert told["sessions"]["running"] == 2
