"""S6: over REST nobody makes this machine reach elsewhere or write outside; nor do providers by redirects."""

import asyncio
import importlib.util
import json
import re
import socket
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from fastapi import FastAPI
from fastapi.routing import APIRoute

from aaa.catalogue import Catalogue
from aaa.errors import ModelError
from aaa.models import Request, open_model
from aaa.scenario import AgentCard
from aaa.settings import Settings
from aaa.store.database import Database
from aaa.types import Message, Sampling
from tests.catalogues import card, small_scenario
from tests.playing import play_round

METADATA = "http://169.254.169.254/latest/meta-data"
ADDRESSES = (
    METADATA, "http://[::ffff:169.254.169.254]/", "http://2852039166/", "http://0xa9fea9fe/",
    "http://127.0.0.1:1@169.254.169.254/", "http://metadata.google.internal/", "file:///etc/passwd",
    "gopher://127.0.0.1:25/", "//169.254.169.254/", "http%3A%2F%2F169.254.169.254",
)  # fmt: skip
PLACES = ("../../etc/passwd", "/etc/passwd", "..%2f..%2fetc%2fpasswd", "a\0.jsonl", "~/x.jsonl",
          "\\\\host\\share", "seeds/../../../x.jsonl")  # fmt: skip


def bodies() -> list[tuple[str, dict[str, Any]]]:
    """(where it is said, what a caller sends), each of which names a place elsewhere."""
    found: list[tuple[str, dict[str, Any]]] = []
    for address in ADDRESSES:
        found += [
            ("api_base", {"scenario": small_scenario() | {"api_base": address}}),
            ("in a seat", {"scenario": small_scenario() | {"seats": {"student": [{"api_base": address}]}}}),
            ("an override", {"scenario": "small", "overrides": {"seats.student.api_base": address}}),
            ("nested", {"scenario": "small", "overrides": {"protocol": {"api_base": address}}}),
            ("a model", {"scenario": "small", "overrides": {"seats.student": [f"openai/{address}"]}}),
            ("seeds", {"scenario": "small", "overrides": {"seeds.file": address}}),
            ("a data set", {"scenario": "small", "overrides": {"seeds": {"dataset": address}}}),
            ("the name", {"scenario": address}),
            ("a header", {"scenario": "small", "overrides": {}, "headers": {"X": address}}),
        ]  # fmt: skip
    for place in PLACES:
        found += [
            ("a name", {"scenario": place}),
            ("a seeds file", {"scenario": "small", "overrides": {"seeds.file": place}}),
            ("a scenario's name", {"scenario": small_scenario() | {"name": place}}),
            ("a protocol", {"scenario": "small", "overrides": {"protocol.id": place}}),
        ]  # fmt: skip
    return found


MODULE = "reaching_out_plays.evil"
"""A module that could be loaded, and must not be at a caller's word."""
SCENARIOS = ("/v1/rounds", "/v1/courses", "/v1/courses/estimate")
REJUDGED = ("/v1/rounds/{round_id}/rejudge", "/v1/rounds/{round_id}/rejudge/estimate")
IDS = ("..%2f..%2fetc%2fpasswd", "%00", ".%2e/x", "%2fetc%2fpasswd", "http%3A%2F%2F169.254.169.254")


def attacks() -> list[tuple[str, str, dict[str, Any]]]:
    """(method, route, body): places elsewhere, in whatever a body may say, for each route that takes one."""
    found: list[tuple[str, str, dict[str, Any]]] = []
    for route in SCENARIOS:
        named = "small" if route == "/v1/rounds" else "course"
        for where, body in bodies():
            if where != "a protocol" or named == "small":  # a course plays its stages' own
                theirs = {"scenario": named} if "overrides" in body else {}
                found.append(("POST", route, body | theirs))
        found += [
            ("POST", route, {"scenario": named, "overrides": {key: MODULE}})
            for key in ("judging.play", "protocol.id", MODULE)
        ]
    for place in (*ADDRESSES, *PLACES):
        for route in REJUDGED:
            found += [
                ("POST", route, {"judges": [place]}),
                ("POST", route, {"judges": ["judge"], "overrides": {"judging.play": place}}),
                ("POST", route, {"judges": ["judge"], "overrides": {"judging.options.x": place}}),
                ("POST", route, {"judges": ["judge"], "overrides": {"seeds.file": place}}),
            ]
        found += [
            ("POST", "/v1/generations", {"agent": place}),
            ("POST", "/v1/generations", {"agent": "pupil-g1", "course": place}),
            ("POST", "/v1/courses/{course_id}/teach", {"agent": place}),
            ("PATCH", "/v1/courses/{course_id}", {"api_base": place}),
            ("PATCH", "/v1/rounds/{round_id}", {"seat_budgets": {place: {"usd": 1}}}),
            ("POST", "/v1/tokens", {"name": "x", "role": place}),
            ("POST", "/v1/tokens", {"name": "x", "role": "viewer", "callback": place}),
        ]
    loads = {"judges": ["judge"], "overrides": {"judging.play": MODULE}}
    return [*found, *(("POST", route, loads) for route in REJUDGED)]


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Addresses that were connected to and names that were looked up, as they come."""
    found: list[Any] = []
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def connecting(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            found.append(address)
        connect(self, address)

    def resolving(host: Any, *more: Any, **options: Any) -> Any:
        if host not in (None, "127.0.0.1", "localhost"):
            found.append(host)
        return resolve(host, *more, **options)

    monkeypatch.setattr(socket.socket, "connect", connecting)
    monkeypatch.setattr(socket, "getaddrinfo", resolving)
    return found


@pytest.fixture
async def ids(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue, tmp_path: Path
) -> dict[str, str]:
    """Path parameter -> a round that was judged, and a course."""
    stage = {"name": "one", "slice": {"size": 2}, "plays": [{"protocol": {"id": "co_teaching"}}]}
    course = small_scenario() | {"name": "course", "stages": [stage], "budget_usd": 10}
    course["seats"] |= {"student": ["pupil"]}
    trained = card("pupil-g1", "a") | {"parent": "pupil", "generation": 1}
    (catalogue.agent_folders[0] / "pupil-g1.yaml").write_text(yaml.safe_dump(trained))
    (catalogue.scenario_folders[0] / "course.yaml").write_text(yaml.safe_dump(course))
    made = (await api.post("/v1/rounds", json={"scenario": "small"})).json()["id"]
    await play_round(database, made)
    taught = await api.post("/v1/courses", json={"scenario": "course"})
    assert taught.status_code == 202, taught.text
    estimate = await api.post(
        f"/v1/rounds/{made}/rejudge/estimate", json={"judges": ["judge", "teacher"]}
    )
    assert estimate.status_code == 200, estimate.text
    return {"round_id": made, "course_id": taught.json()["id"], "token_id": "1"}


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`MODULE`, where an import finds it."""
    folder = tmp_path / "importable" / MODULE.partition(".")[0]
    folder.mkdir(parents=True)
    for name in ("__init__.py", "evil.py"):
        (folder / name).write_text("")
    monkeypatch.syspath_prepend(str(folder.parent))
    assert importlib.util.find_spec(MODULE) is not None
    for name in (MODULE, MODULE.partition(".")[0]):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.usefixtures("module")
async def test_nothing_that_a_caller_sends_reaches_out(
    app: FastAPI,
    api: httpx.AsyncClient,
    ids: dict[str, str],
    reached: list[Any],
    settings: Settings,
) -> None:
    before = _files(settings.home.parent)
    for method, route, body in attacks():
        response = await api.request(method, route.format_map(ids), json=body)
        assert response.status_code in (404, 422), f"{method} {route}: {body} -> {response.text}"
        assert "root:" not in response.text
    assert [name for name in sys.modules if name.startswith(MODULE.partition(".")[0])] == []
    changing = [
        (m, r.path)
        for r in app.routes
        if isinstance(r, APIRoute)
        for m in (r.methods or set()) - {"GET"}
    ]
    for method, route in changing:
        for id in IDS if "{" in route else ():
            path = re.sub(r"\{\w+\}", id, route)
            response = await api.request(method, path, json={"agent": "pupil", "judges": ["judge"]})
            assert response.status_code in (404, 422), f"{method} {path} -> {response.text}"
    bodied = {(m, r) for m, r in changing if r.rpartition("/")[2] not in NOTHING_SAID[m]}
    assert bodied == {(method, route) for method, route, _ in attacks()}
    for id in IDS[:4]:
        for kind in (
            "rounds",
            "sessions",
            "pairs",
            "agents",
            "scenarios",
            "generations",
            "courses",
        ):
            assert (await api.get(f"/v1/{kind}/{id}")).status_code in (404, 422)
    assert reached == []
    assert _files(settings.home.parent) == before


NOTHING_SAID = {
    "POST": ("pause", "resume", "cancel", "calibration"), "PATCH": (), "DELETE": ("{token_id}",),
}  # fmt: skip
"""Method -> ends of routes that take no body."""


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_provider_that_redirects_is_not_followed(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither to itself nor to elsewhere: a key must not travel, and no inner address be asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split(b"\r\n")[0])
        await reader.read(20_000)
        to = f"http://127.0.0.1:{port}/inner"
        writer.write(f"HTTP/1.1 {status} R\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    monkeypatch.setenv("CANARY_KEY", "canary-of-a-key")
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    base = f"http://127.0.0.1:{port}/v1"
    redirected = AgentCard(
        name="a", model="openai/a", api_base=base, family="f", api_key_env="CANARY_KEY"
    )
    model = open_model(redirected, Settings())
    request = Request(messages=(Message(role="user", content="x"),), sampling=Sampling(), seed=1)
    async with server:
        with pytest.raises(ModelError) as raised:
            await model.complete(request)
        await model.close()
    assert asked == [b"POST /v1/chat/completions HTTP/1.1"]
    assert raised.value.kind == "malformed"
    assert "redirects, which is not followed" in str(raised.value)
    assert "canary" not in json.dumps(str(raised.value))
