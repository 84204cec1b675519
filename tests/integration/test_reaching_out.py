"""S6: over REST nobody makes this machine reach elsewhere or write outside; nor do providers by redirects."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from aaa.errors import ModelError
from aaa.models import Request, open_model
from aaa.scenario import AgentCard
from aaa.settings import Settings
from aaa.types import Message, Sampling
from tests.catalogues import small_scenario

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


async def test_nothing_that_a_caller_sends_reaches_out(
    api: httpx.AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached: list[Any] = []
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def connecting(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX:
            reached.append(address)
        connect(self, address)

    def resolving(host: Any, *more: Any, **options: Any) -> Any:
        if host not in (None, "127.0.0.1", "localhost"):
            reached.append(host)
        return resolve(host, *more, **options)

    monkeypatch.setattr(socket.socket, "connect", connecting)
    monkeypatch.setattr(socket, "getaddrinfo", resolving)
    before = _files(settings.home.parent)
    for where, body in bodies():
        response = await api.post("/v1/rounds", json=body)
        assert response.status_code in (404, 422), f"{where}: {body} -> {response.text}"
        assert "root:" not in response.text
    for name in ("..%2f..%2fetc%2fpasswd", "%00", ".%2e/x", "%2fetc%2fpasswd"):
        for kind in ("rounds", "sessions", "pairs", "agents", "scenarios", "generations"):
            assert (await api.get(f"/v1/{kind}/{name}")).status_code in (404, 422)
    assert reached == []
    assert _files(settings.home.parent) == before


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
    card = AgentCard(
        name="a", model="openai/a", api_base=base, family="f", api_key_env="CANARY_KEY"
    )
    model = open_model(card, Settings())
    request = Request(messages=(Message(role="user", content="x"),), sampling=Sampling(), seed=1)
    async with server:
        with pytest.raises(ModelError) as raised:
            await model.complete(request)
        await model.close()
    assert asked == [b"POST /v1/chat/completions HTTP/1.1"]
    assert raised.value.kind == "malformed"
    assert "redirects, which is not followed" in str(raised.value)
    assert "canary" not in json.dumps(str(raised.value))
