"""A control plane on loopback that says what it is told to, and remembers what it was asked."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import uvicorn

from aaa.client import Event
from tests.helpers.classroom import events, round_json, session_json

Send = Callable[[dict[str, Any]], Awaitable[None]]
ROUND = events(3)


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Stub:
    """A control plane that says what it is told to, and remembers what it was asked."""

    script: list[Event] = field(default_factory=lambda: list(ROUND))
    breaks_after: int | None = None
    """Events of one connection before it is dropped in the middle of the next one."""
    forgets: bool = False
    """It begins at the first event whatever the client asks for, as behind a proxy that eats headers."""
    refusals: int = 0
    """How many event streams are first answered with 503."""
    status: int = 200
    answer: Any = None
    silent_s: float = 0.0
    """How long it says nothing before an answer that is bytes."""
    url: str = ""
    asked: list[Request] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        request = Request(
            scope["method"],
            scope["raw_path"].decode(),
            dict(parse_qsl(scope["query_string"].decode())),
            {key.decode(): value.decode() for key, value in scope["headers"]},
            json.loads(body) if body else None,
        )
        self.asked.append(request)
        if self.answer is None and request.path.endswith("/events"):
            await self.stream(request, send)
        elif isinstance(self.answer, bytes):
            await asyncio.sleep(self.silent_s)
            await reply(send, self.status, self.answer, "application/x-ndjson")
        else:
            answer = self.read(request) if self.answer is None else self.answer
            kind = "application/problem+json" if self.status >= 400 else "application/json"
            await reply(send, self.status, json.dumps(answer).encode(), kind)

    def read(self, request: Request) -> Any:
        """What a control plane of `script` would say."""
        if request.path.startswith("/v1/sessions/"):
            return session_json(self.script, request.path.rsplit("/", 1)[1], len(self.script))
        status = self.script[-1].kind.removeprefix("round.")
        whole = round_json(3, last_event=len(self.script)) | {"status": status}
        listed = request.method == "GET" and request.path == "/v1/rounds"
        return {"items": [whole], "next": None} if listed else whole

    async def stream(self, request: Request, send: Send) -> None:
        if self.refusals:
            self.refusals -= 1
            await reply(send, 503, b"{}", "application/problem+json")
            return
        last = 0 if self.forgets else int(request.headers.get("last-event-id", 0))
        if last == len(ROUND):
            await reply(send, 204, b"", "text/event-stream")
            return
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await chunk(send, ": keep-alive\n\n")
        for number, event in enumerate(e for e in self.script if e.id > last):
            said = (
                f"id: {event.id}\nevent: {event.kind}\ndata: {json.dumps(event.data)}\n\n: keep\n\n"
            )
            if number == self.breaks_after:
                await chunk(send, said[: len(said) // 2])
                raise ConnectionAbortedError("the stub hangs up")
            await chunk(send, said)
        await send({"type": "http.response.body", "body": b""})


async def reply(send: Send, status: int, body: bytes, kind: str) -> None:
    headers = [(b"content-type", kind.encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def chunk(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


@asynccontextmanager
async def serving(stub: Stub, port: int = 0) -> AsyncIterator[Stub]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        config = uvicorn.Config(stub, log_level="critical", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        stub.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield stub
        finally:
            server.should_exit = True
            await running
