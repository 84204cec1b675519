"""HTTP/1.1 on a raw asyncio protocol: one connection, one request at a time, nothing more than needed.

Keep-alive, pipelining (answered in order), `Content-Length` and chunked bodies, `Expect: 100-continue`.
Left out: TLS, HTTP/2, compression, multipart. Why not a web framework: docs/design/provider.md.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qsl

from aaa.provider.delivery import Delivery, Refusal, error

MAX_HEAD = 64 * 1024
MAX_BODY = 64 * 1024 * 1024


class Incoming(NamedTuple):
    """A request as it came in."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


Answerer = Callable[[Incoming], "tuple[Delivery, Callable[[bool], None] | None]"]
"""Request -> how to answer it, and whom to tell when it is over (True: everything was sent)."""


class Malformed(Exception):
    """The bytes are no request that we understand; `str` says why."""


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, answer: Answerer, peers: set["Connection"]) -> None:
        self._answer = answer
        self._peers = peers
        self._received = bytearray()
        self._busy = False
        self._close_after = False
        self._over: Callable[[bool], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._peers.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._peers.discard(self)
        self._gone.set()
        self._transport = None
        self._busy = True
        if self._timer is not None:
            self._timer.cancel()
        self._finish(sent=False)

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._next()

    async def close(self) -> None:
        """Drop the client, whatever it waits for."""
        if self._transport is not None:
            self._transport.abort()
            await self._gone.wait()

    def _next(self) -> None:
        """Answer the next request that has come in whole, unless one is being answered."""
        while not self._busy and self._received and self._transport is not None:
            try:
                found = _request(self._received, self._transport)
            except Malformed as problem:
                self._busy = True
                self._transport.write(error(Refusal(400, str(problem), "invalid_request_error")))
                self._transport.close()
                return
            if found is None:
                return
            request, size = found
            del self._received[:size]
            self._busy = True
            self._close_after = request.headers.get("connection", "").lower() == "close"
            delivery, self._over = self._answer(request)
            self._send(delivery, 0)

    def _send(self, delivery: Delivery, place: int) -> None:
        """Send from this piece on; waits are timers, so that no answer needs a task."""
        while place < len(delivery.pieces):
            wait_s, data = delivery.pieces[place]
            place += 1
            if wait_s > 0:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(wait_s, self._late, delivery, place, data)
                return
            self._write(data)
        self._end(delivery)

    def _late(self, delivery: Delivery, place: int, data: bytes) -> None:
        self._timer = None
        self._write(data)
        self._send(delivery, place)
        self._next()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _end(self, delivery: Delivery) -> None:
        if delivery.end == "never":
            return
        self._finish(sent=delivery.end == "keep")
        if delivery.end == "close" or self._close_after:
            if self._transport is not None:
                self._transport.close()
        else:
            self._busy = False

    def _finish(self, *, sent: bool) -> None:
        over, self._over = self._over, None
        if over is not None:
            over(sent)


def _request(data: bytearray, transport: asyncio.Transport) -> tuple[Incoming, int] | None:
    """The first request and its size in bytes, or `None` while it is not here yet."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        if len(data) > MAX_HEAD:
            raise Malformed(f"The request's head is longer than {MAX_HEAD} bytes.")
        return None
    first, *lines = data[:end].decode("latin-1").split("\r\n")
    method, _, rest = first.partition(" ")
    target, _, version = rest.rpartition(" ")
    if not target or not version.startswith("HTTP/1."):
        raise Malformed("This is not HTTP/1.1.")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    found = _body(data, end + 4, headers)
    if found is None:
        if headers.get("expect", "").lower() == "100-continue" and len(data) == end + 4:
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return None
    body, size = found
    path, _, query = target.partition("?")
    return Incoming(method, path, dict(parse_qsl(query)) if query else {}, headers, body), size


def _body(data: bytearray, start: int, headers: dict[str, str]) -> tuple[bytes, int] | None:
    """The body and where it ends, or `None` while it is not here yet."""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return _chunks(data, start)
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MAX_BODY:
        raise Malformed(f"Content-Length {length!r} is no number up to {MAX_BODY}.")
    end = start + int(length)
    return (bytes(data[start:end]), end) if len(data) >= end else None


def _chunks(data: bytearray, start: int) -> tuple[bytes, int] | None:
    found: list[bytes] = []
    while (end := data.find(b"\r\n", start)) >= 0:
        try:
            size = int(data[start:end].split(b";")[0], 16)
        except ValueError:
            raise Malformed("The chunked body is broken.") from None
        if not 0 <= size <= MAX_BODY or len(data) > MAX_BODY:
            raise Malformed(f"The body is longer than {MAX_BODY} bytes.")
        after = end + 2 + size + 2
        if len(data) < after:
            return None
        if size == 0:
            return b"".join(found), after
        found.append(bytes(data[end + 2 : end + 2 + size]))
        start = after
    return None
