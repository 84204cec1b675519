"""What an answer looks like on the wire: bytes with the seconds to wait before each, and how it ends.

Pure: request, reply and fault in, bytes out. Error bodies are worded as OpenAI words them.
Left out: chance (`faults.py`) and sockets (`wire.py`).
"""

import math
import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Literal, NamedTuple

import orjson

from aaa.provider.faults import RetryAfter, Rule
from aaa.provider.replies import Request, Said, chunks, completion

JSON = "application/json"
_DRIPS = 20


class Delivery(NamedTuple):
    """How a request is answered."""

    status: int | None
    """`None` where no status line is ever sent."""
    pieces: tuple[tuple[float, bytes], ...] = ()
    """(seconds to wait, bytes to send), in order."""
    end: Literal["keep", "close", "never"] = "keep"
    """What follows the last piece: the next request, a closed connection, or nothing at all."""


class Refusal(NamedTuple):
    """An error response, as OpenAI words it."""

    status: int
    message: str
    kind: str
    code: str | None = None
    param: str | None = None


def http(
    status: int, body: bytes, kind: str = JSON, headers: Mapping[str, str] | None = None
) -> bytes:
    """A whole HTTP/1.1 response."""
    more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    phrase = HTTPStatus(status).phrase
    head = (
        f"HTTP/1.1 {status} {phrase}\r\ncontent-type: {kind}\r\n"
        f"content-length: {len(body)}\r\n{more}\r\n"
    )
    return head.encode("latin-1") + body


def error(refusal: Refusal, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole HTTP/1.1 response with an error object."""
    return http(refusal.status, error_body(refusal), headers=headers)


def error_body(refusal: Refusal) -> bytes:
    return orjson.dumps(
        {
            "error": {
                "message": refusal.message,
                "type": refusal.kind,
                "param": refusal.param,
                "code": refusal.code,
            }
        }
    )


def refusal(name: str, request: Request) -> Refusal:
    """The error that a fault of this name is answered with."""
    model = request.model
    known = {
        "401": Refusal(
            401,
            f"Incorrect API key provided: {request.key.removeprefix('Bearer ')}. You can find your API key "
            "in your account.",
            "invalid_request_error",
            "invalid_api_key",
        ),
        "404": Refusal(
            404,
            f"The model `{model}` does not exist or you do not have access to it.",
            "invalid_request_error",
            "model_not_found",
        ),
        "429": Refusal(
            429,
            f"Rate limit reached for `{model}` on requests per min. Please try again later.",
            "requests",
            "rate_limit_exceeded",
        ),
        "503": Refusal(
            503, "The engine is currently overloaded, please try again later", "server_error"
        ),
        "overflow": Refusal(
            400,
            "This model's maximum context length is 8192 tokens. However, your messages resulted "
            f"in {8192 + request.prompt_tokens} tokens. Please reduce the length of the messages.",
            "invalid_request_error",
            "context_length_exceeded",
            "messages",
        ),
        "filter": Refusal(
            400,
            "The response was filtered due to the prompt triggering the content management policy. "
            "Please modify your prompt and retry.",
            "invalid_request_error",
            "content_filter",
            "prompt",
        ),
    }
    server = "The server had an error while processing your request. Sorry about that!"
    return known.get(name) or Refusal(500, server, "server_error")


def rejected(request: Request, retry_after: RetryAfter, headers: Mapping[str, str]) -> Delivery:
    """A 429 that asks to come back later."""
    asked = {**headers, **_retry_header(retry_after)}
    return Delivery(429, ((0.0, error(refusal("429", request), asked)),))


def deliver(
    request: Request,
    said: Said,
    reply_id: str,
    latency_s: float,
    rule: Rule | None,
    headers: Mapping[str, str],
) -> Delivery:
    """The answer to a request that meets this rule, or none."""
    name = None if rule is None else rule.fault
    if name == "length":
        said = _shortened(said)
    if rule is None or name in ("length", "drip", "cut", "truncated", "empty"):
        return _spoken(request, said, reply_id, latency_s, rule, headers)
    return _broken(request, latency_s, rule, headers)


def _broken(request: Request, latency_s: float, rule: Rule, headers: Mapping[str, str]) -> Delivery:
    """A fault that holds nothing of the reply."""
    name = rule.fault
    if name == "hang":
        return Delivery(None, end="never")
    if name == "drop":
        return Delivery(None, end="close")
    if name == "html":
        page = b"<!doctype html><title>Welcome</title><h1>It works!</h1>\n"
        return Delivery(200, ((latency_s, http(200, page, "text/html", headers)),))
    if name == "502":
        page = (
            b"<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>"
        )
        return Delivery(502, ((0.0, http(502, page, "text/html", headers)),))
    if name == "error_200":
        body = error_body(refusal("500", request))
        return Delivery(200, ((latency_s, http(200, body, headers=headers)),))
    refused = refusal(name, request)
    asked = {**headers, **_retry_header(rule.retry_after)}
    return Delivery(refused.status, ((0.0, error(refused, asked)),))


def _spoken(
    request: Request,
    said: Said,
    reply_id: str,
    latency_s: float,
    rule: Rule | None,
    headers: Mapping[str, str],
) -> Delivery:
    """The reply, whole or maimed."""
    name = None if rule is None else rule.fault
    if request.stream:
        events = _events(request, said, reply_id, empty=name == "empty")
        head, body, tail = _stream_head(headers), events, [b"0\r\n\r\n"]
    else:
        whole = completion(request, said, reply_id)
        if name == "empty":
            whole = {**whole, "choices": []}
        data = orjson.dumps(whole)
        if name == "truncated":
            data = data[: len(data) // 2]
        response = http(200, data, headers=headers)
        split = len(response) - len(data)
        head, body, tail = response[:split], [response[split:]], []
    if name == "truncated" and request.stream:
        body = [*body[: len(body) // 2], _chunked(b"data: {\n\n")]
    if name == "cut":
        half = b"".join(body)
        return Delivery(200, ((latency_s, head + half[: len(half) // 2]),), end="close")
    if rule is not None and name == "drip":
        return Delivery(200, _dripped(head + b"".join([*body, *tail]), latency_s, rule.over_s))
    return Delivery(200, ((latency_s, b"".join([head, *body, *tail])),))


def _dripped(data: bytes, latency_s: float, over_s: float) -> tuple[tuple[float, bytes], ...]:
    size = max(1, math.ceil(len(data) / _DRIPS))
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    wait_s = over_s / max(1, len(pieces) - 1)
    return tuple((latency_s if n == 0 else wait_s, piece) for n, piece in enumerate(pieces))


def _events(request: Request, said: Said, reply_id: str, *, empty: bool) -> list[bytes]:
    """The reply as server-sent events, each a chunk of the body."""
    found: list[dict[str, Any]] = list(chunks(request, said, reply_id))
    if empty:
        found = [{**chunk, "choices": []} for chunk in found]
    events = [b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in found]
    return [_chunked(event) for event in [*events, b"data: [DONE]\n\n"]]


def _stream_head(headers: Mapping[str, str]) -> bytes:
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = (
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
        f"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n{more}\r\n"
    )
    return head.encode("latin-1")


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _shortened(said: Said) -> Said:
    half = said.tokens[: max(1, len(said.tokens) // 2)]
    return said._replace(text="".join(half), tokens=half, finish_reason="length")


def _retry_header(wanted: RetryAfter) -> dict[str, str]:
    if wanted.form == "none":
        return {}
    if wanted.form == "date":
        when = math.ceil(time.time() + wanted.s)
        return {"retry-after": formatdate(when, usegmt=True)}
    return {"retry-after": f"{wanted.s:g}"}
