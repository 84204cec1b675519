"""Whatever goes wrong is a problem document, and tells nothing that it should not."""

import asyncio
import logging
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from aaa.api.problems import MEANINGS, MEDIA_TYPE, answer_problems, last_resort
from aaa.errors import (
    AAAError,
    Conflict,
    InputError,
    ModelError,
    NotFound,
    PlayError,
    SetupError,
    StoreError,
)

SECRET = "hunter2"

RAISED: list[tuple[Exception, int, str]] = [
    (InputError("key 'x' is wrong"), 422, "key 'x' is wrong"),
    (NotFound("no round 'r'"), 404, "no round 'r'"),
    (Conflict("is paused; possible: resume"), 409, "is paused; possible: resume"),
    (SetupError("Ray is not there"), 503, "Ray is not there"),
    (StoreError(f"cannot log in with {SECRET}"), 503, "the database does not answer now"),
    (AAAError(SECRET), 500, "the server failed; its log says more"),
    (PlayError(SECRET), 500, "the server failed; its log says more"),
    (ModelError("auth", SECRET), 500, "the server failed; its log says more"),
    (RuntimeError(SECRET), 500, "the server failed; its log says more"),
    (UnicodeEncodeError("utf-8", SECRET, 0, 1, SECRET), 500, "the server failed"),
    (HTTPException(403, "not you"), 403, "not you"),
    (InputError("half a pair: \ud800"), 422, "half a pair"),
]


class Body(BaseModel):
    number: int = Field(ge=1)


def app_that_raises(error: Exception) -> FastAPI:
    app = FastAPI(redirect_slashes=False)
    answer_problems(app)
    app.add_middleware(last_resort)

    @app.get("/raise")
    async def route() -> None:
        raise error

    @app.post("/body")
    async def body(body: Body) -> None: ...

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"one"
            raise error

        return StreamingResponse(chunks())

    return app


def client(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


def checked(response: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document, after checking what every one of them must hold."""
    told: dict[str, Any] = response.json()
    assert response.status_code == told["status"] == status
    assert response.headers["content-type"] == MEDIA_TYPE
    assert told["title"] == HTTPStatus(status).phrase
    assert told["type"].startswith("urn:aaa:problem:")
    assert told["instance"] == response.request.url.path
    assert SECRET not in response.text
    assert "Traceback" not in response.text
    return told


@pytest.mark.parametrize(("error", "status", "detail"), RAISED)
async def test_each_error(error: Exception, status: int, detail: str) -> None:
    async with client(app_that_raises(error)) as api:
        told = checked(await api.get("/raise"), status)
    assert told["detail"].startswith(detail)


async def test_what_nobody_foresaw_is_logged_whole(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        async with client(app_that_raises(RuntimeError(SECRET))) as api:
            await api.get("/raise")
    assert SECRET in caplog.text
    assert caplog.text.count("Traceback") == 1


async def test_unknown_route() -> None:
    async with client(app_that_raises(AAAError())) as api:
        told = checked(await api.get("/nothing"), 404)
        checked(await api.get("/raise/"), 404)
    assert told["detail"].startswith("no route GET /nothing")


async def test_unknown_method() -> None:
    async with client(app_that_raises(AAAError())) as api:
        response = await api.delete("/raise")
    checked(response, 405)
    assert response.headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("content", "loc"),
    [
        (b"{}", ["body", "number"]),
        (b'{"number": 0}', ["body", "number"]),
        (b"[1]", ["body"]),
        (b"", ["body"]),
        (b'{"number":', ["body", 10]),
        (b'{"number": "hunter2"}', ["body", "number"]),
    ],
)
async def test_malformed_body(content: bytes, loc: list[object]) -> None:
    """Says where and why, and does not repeat what was sent."""
    headers = {"Content-Type": "application/json"}
    async with client(app_that_raises(AAAError())) as api:
        told = checked(await api.post("/body", content=content, headers=headers), 422)
    assert told["errors"][0]["loc"] == loc
    assert set(told["errors"][0]) == {"loc", "msg"}


@pytest.mark.parametrize("content", [b"\xff", b"[" * 100_000])
async def test_unreadable_body(content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    async with client(app_that_raises(AAAError())) as api:
        checked(await api.post("/body", content=content, headers=headers), 400)


async def test_an_answer_that_broke_off_is_left_incomplete() -> None:
    """No second answer inside the first, and no proper end that would hide the loss."""
    app, sent = app_that_raises(RuntimeError(SECRET)), []

    async def send(message: Any) -> None:
        sent.append(message)

    await app(_scope("/stream"), _receive, send)
    assert [m["type"] for m in sent] == ["http.response.start", "http.response.body"]
    assert sent[-1]["more_body"]


async def test_a_reader_that_takes_nothing_is_dropped() -> None:
    left = False

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal left
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        finally:
            left = True

    async def stuck(message: Any) -> None:
        await asyncio.Event().wait()

    await last_resort(app, stalled_s=0.01)(_scope("/"), _receive, stuck)
    assert left


def test_every_status_has_a_meaning_and_a_phrase() -> None:
    for status, meaning in MEANINGS.items():
        assert HTTPStatus(status).phrase
        assert meaning


def _scope(path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "server": ("localhost", 80),
        "client": ("127.0.0.1", 1),
    }


async def _receive() -> dict[str, Any]:
    await asyncio.sleep(3600)
    return {"type": "http.disconnect"}
