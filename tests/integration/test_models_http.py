"""The HTTP adapters against a stub that misbehaves: every failure's kind, and one request each.

DIRECT is our own adapter. LiteLLM takes the Anthropic id through its own HTTP client, the OpenAI one
through OpenAI's.
"""

import asyncio
import importlib
import json
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from socket import SO_LINGER, SOL_SOCKET
from typing import Any, Literal

import pytest

from aaa.errors import FailureKind, ModelError
from aaa.models import Model, Request, litellm, open_model, price_of
from aaa.models.once import load
from aaa.scenario import AgentCard, Limits, Price
from aaa.settings import Settings
from aaa.types import ChoiceShape, JsonShape, Message, Sampling

KEY = "sk-canary-0123456789abcdef"
COMPLETION: dict[str, Any] = {
    "id": "cmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "as-served",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hello"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 30, "completion_tokens": 2, "total_tokens": 32},
}
Delivery = Literal["whole", "drop", "reset", "hang", "drip", "short"]
OPENAI, ANTHROPIC = "openai/some-model", "anthropic/claude-sonnet-4-5"
DIRECT = "direct"
COMPATIBLE = [DIRECT, OPENAI]
OPENED: list[Model] = []


@dataclass
class Stub:
    """One HTTP server with one thing to say."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delivery: Delivery = "whole"
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    """Paths asked for by another method than POST."""
    base: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        method, path, _ = head.split(" ", 2)
        if method != "POST":
            self.others.append(path)
            return False
        raw = await reader.readexactly(int(fields["content-length"]))
        self.requests.append(json.loads(raw))
        self.keys.append(fields.get("authorization", fields.get("x-api-key", "")))
        if self.delivery == "reset":  # as a crashed server does: what was sent may be billed
            socket = writer.get_extra_info("socket")
            socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        if self.delivery in ("drop", "reset"):
            return False
        if self.delivery == "hang":
            await asyncio.sleep(30)
        body = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        promised = len(body) + (9 if self.delivery == "short" else 0)
        lines = {"content-type": "application/json", "content-length": promised, **self.headers}
        told = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        writer.write(f"HTTP/1.1 {self.status} X\r\n{told}\r\n".encode())
        for n in range(0, len(body), 1 if self.delivery == "drip" else 1 << 16):
            writer.write(body[n : n + 1] if self.delivery == "drip" else body)
            await writer.drain()
            if self.delivery == "drip":
                await asyncio.sleep(0.1)
        return self.delivery == "whole"


@pytest.fixture(scope="session", autouse=True)
def _loaded() -> None:
    """LiteLLM's import takes seconds; none of the clocks below should pay for it."""
    load()


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    stub = Stub()
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
    stub.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield stub
    server.close()


@pytest.fixture(autouse=True)
async def _closed() -> AsyncIterator[None]:
    """What a test opened is closed behind it."""
    yield
    while OPENED:
        await OPENED.pop().close()


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AAA_CANARY_KEY", KEY)


def model_at(base: str, model: str, timeout_s: float = 20, **more: Any) -> Model:
    """A model of that server: by the direct adapter, or by LiteLLM's OpenAI or Anthropic way."""
    card = AgentCard(
        name="x",
        model=OPENAI if model == DIRECT else model,
        api_base=base if model == ANTHROPIC else f"{base}/v1",
        api_key_env="AAA_CANARY_KEY",
        family="f",
        limits=Limits(timeout_s=timeout_s),
    )
    adapter = open_model if model == DIRECT else litellm.open_model
    opened = adapter(card.model_copy(update=more), Settings())
    OPENED.append(opened)
    return opened


def request(shape: ChoiceShape | JsonShape | None = None) -> Request:
    return Request(
        messages=(Message(role="user", content="hi"),),
        sampling=Sampling(temperature=0.5, max_tokens=9),
        shape=shape,
        seed=5,
    )


async def failure(model: Model) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await model.complete(request())
    await model.close()
    assert caught.value.__cause__ is None
    assert "canary" not in str(caught.value)
    assert len(str(caught.value)) <= 300
    return caught.value


async def test_a_key_that_litellm_finds_by_itself_is_taken_out(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "canary0123456789")
    monkeypatch.setenv("ANTHROPIC_API_BASE", stub.base)
    stub.status = 400
    stub.body = {"error": {"message": "no such header: canary0123456789", "type": "some_error"}}
    await failure(model_at(stub.base, ANTHROPIC, api_base=None, api_key_env=None))
    assert stub.keys == ["canary0123456789"]


ERRORS: list[tuple[int, str, FailureKind]] = [
    (400, "bad parameter", "invalid"),
    (400, "This model's maximum context length is 10 tokens", "context_overflow"),
    (400, "flagged by our content management policy", "content_filter"),
    (400, "Your credit balance is too low to access the API", "auth"),
    (400, "API key not valid. Please pass a valid API key.", "auth"),
    (401, f"Incorrect API key provided: {KEY}. See https://u:p@h/?key={KEY}", "auth"),
    (403, "not yours", "auth"),
    (404, "no such model", "not_found"),
    (422, "unknown field seed", "invalid"),
    (429, "slow down", "rate_limited"),
    (500, f"boom, Bearer {KEY}", "server"),
    (502, "bad gateway", "dropped"),
    (503, "busy", "server"),
    (504, "gateway timeout", "timeout"),
    (520, "unknown error", "dropped"),
    (522, "connection timed out", "timeout"),
    (524, "a timeout occurred", "timeout"),
    (529, "overloaded", "server"),
]


@pytest.mark.parametrize("model", [DIRECT, OPENAI, ANTHROPIC])
@pytest.mark.parametrize(("status", "message", "kind"), ERRORS)
async def test_each_refusal_is_one_request(
    stub: Stub, model: str, status: int, message: str, kind: FailureKind
) -> None:
    stub.status, stub.body = status, {"error": {"message": message, "type": "some_error"}}
    error = await failure(model_at(stub.base, model))
    assert (error.kind, len(stub.requests)) == (kind, 1)
    assert f"HTTP {status}" in str(error)


@pytest.mark.parametrize("model", [DIRECT, OPENAI, ANTHROPIC, "hosted_vllm/m", "azure/m"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(stub: Stub, model: str, status: int) -> None:
    """A prompt would go to an address that no card names, and one attempt would be two requests."""
    stub.status, stub.body = status, COMPLETION
    stub.headers = {"location": f"{stub.base}/elsewhere"}
    error = await failure(model_at(stub.base, model))
    assert (error.kind, len(stub.requests), stub.others) == ("malformed", 1, [])
    assert f"HTTP {status}: it redirects, which is not followed" in str(error)


async def test_nor_by_litellms_other_clients(stub: Stub) -> None:
    """Those over aiohttp, those without `async`, and those that it made when it was imported."""
    stub.status, stub.headers = 307, {"location": f"{stub.base}/elsewhere"}
    error = await failure(model_at(stub.base, "aiohttp_openai/m"))
    assert (error.kind, len(stub.requests), stub.others) == ("dropped", 1, [])
    assert "HTTP 307: redirects are not followed" in str(error)
    library, handlers = load(), importlib.import_module("litellm.llms.custom_httpx.http_handler")
    openai = importlib.import_module("litellm.llms.openai.common_utils").BaseOpenAILLM
    for client in (
        library.module_level_aclient.client, library.module_level_client.client,
        handlers.HTTPHandler().client, openai._get_sync_http_client(),
    ):  # fmt: skip
        assert client.follow_redirects is False


@pytest.mark.parametrize("model", [DIRECT, OPENAI, ANTHROPIC])
async def test_an_account_without_money_is_told_from_a_limit(stub: Stub, model: str) -> None:
    stub.status = 429
    told = "You exceeded your current quota, please check your plan"
    stub.body = {"error": {"message": told, "type": "requests", "code": "rate_limit_exceeded"}}
    assert (await failure(model_at(stub.base, model))).kind == "rate_limited"
    stub.body = {
        "error": {"message": told, "type": "insufficient_quota", "code": "insufficient_quota"}
    }
    assert (await failure(model_at(stub.base, model))).kind == "auth"


@pytest.mark.parametrize("model", [DIRECT, OPENAI, ANTHROPIC])
@pytest.mark.parametrize(
    ("delivery", "kind"),
    [
        ("drop", "dropped"),
        ("reset", "dropped"),
        ("short", "dropped"),
        ("hang", "timeout"),
        ("drip", "timeout"),
    ],
)
async def test_each_broken_delivery_is_one_request(
    stub: Stub, model: str, delivery: Delivery, kind: FailureKind
) -> None:
    stub.delivery, stub.body = delivery, COMPLETION
    error = await failure(model_at(stub.base, model, timeout_s=2 if kind == "timeout" else 20))
    assert (error.kind, len(stub.requests)) == (kind, 1)


@pytest.mark.parametrize("model", [DIRECT, OPENAI, ANTHROPIC])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"id": "x", "choices": [',
        b"<html>hello</html>",
        b"null",
        b"[]",
        {"id": "x"},
        {**COMPLETION, "choices": []},
        {"error": {"message": f"upstream died, key={KEY}"}},
        {"error": {"message": "upstream died", "code": 502}},
    ],
)
async def test_each_odd_body_is_one_request(stub: Stub, model: str, body: Any) -> None:
    stub.body = body
    error = await failure(model_at(stub.base, model))
    assert error.kind in ("malformed", "server", "dropped")
    assert len(stub.requests) == 1


@pytest.mark.parametrize("model", COMPATIBLE)
@pytest.mark.parametrize(
    "end",
    [
        {"finish_reason": "abort"},
        {"finish_reason": "error"},
        {"finish_reason": "error", "error": {"code": 502, "message": f"upstream died, key={KEY}"}},
    ],
)
async def test_a_generation_that_broke_off_is_no_answer(
    stub: Stub, model: str, end: dict[str, Any]
) -> None:
    stub.body = {**COMPLETION, "choices": [{**COMPLETION["choices"][0], **end}]}
    error = await failure(model_at(stub.base, model))
    assert (error.kind, len(stub.requests)) == ("dropped", 1)


async def test_an_error_beside_the_text_is_told(stub: Stub) -> None:
    """LiteLLM keeps nothing of it but the finish reason."""
    end = {"finish_reason": None, "error": {"code": 502, "message": "upstream died"}}
    stub.body = {**COMPLETION, "choices": [{**COMPLETION["choices"][0], **end}]}
    assert "upstream died" in str(await failure(model_at(stub.base, DIRECT)))


@pytest.mark.parametrize("model", [DIRECT, OPENAI, ANTHROPIC])
async def test_retry_after_is_told_and_not_slept(stub: Stub, model: str) -> None:
    stub.status, stub.body = 429, {"error": {"message": "slow"}}
    stub.headers = {"retry-after": "120"}
    assert (await failure(model_at(stub.base, model))).retry_after_s == 120
    stub.headers = {"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"}
    later = (await failure(model_at(stub.base, model))).retry_after_s
    assert later is not None
    assert later > 1e6


@pytest.mark.parametrize("model", [DIRECT, OPENAI, ANTHROPIC])
async def test_nobody_there_is_unreachable(model: str) -> None:
    error = await failure(model_at("http://127.0.0.1:9", model))
    assert error.kind == "unreachable"
    assert "at its `api_base`" in str(error)


@pytest.mark.parametrize("model", [DIRECT, OPENAI, ANTHROPIC])
@pytest.mark.parametrize("way", ["nobody", "drop", "told"])
async def test_no_error_tells_the_address(stub: Stub, model: str, way: str) -> None:
    """Every viewer reads errors; a card's address is shown to nobody."""
    base = "http://127.0.0.1:9" if way == "nobody" else stub.base
    if way == "drop":
        stub.delivery = "drop"
    stub.status, stub.body = 500, {"error": {"message": f"{base}/v1/chat failed at {base[7:]}"}}
    told = str(await failure(model_at(base, model)))
    assert base[7:] not in told
    assert "127.0.0.1" not in told
    assert told.startswith(OPENAI if model == DIRECT else model)


@pytest.mark.parametrize("model", COMPATIBLE)
async def test_a_completion_becomes_a_reply(model: str, stub: Stub) -> None:
    stub.body = COMPLETION
    price = Price(input_usd_per_mtok=1, output_usd_per_mtok=2)
    reply = await model_at(stub.base, model, price=price).complete(request())
    assert (reply.text, reply.finish_reason) == ("hello", "stop")
    assert (reply.prompt_tokens, reply.completion_tokens) == (30, 2)
    assert (reply.model, reply.request_id) == ("as-served", "cmpl-1")
    assert reply.cost_usd == pytest.approx(34e-6)
    (sent,) = stub.requests
    assert (sent["model"], sent["temperature"], sent["max_tokens"]) == ("some-model", 0.5, 9)
    assert sent["seed"] == 5
    assert stub.keys == [f"bearer {KEY}"]


@pytest.mark.parametrize("model", COMPATIBLE)
async def test_an_unlisted_model_has_an_unknown_cost(model: str, stub: Stub) -> None:
    stub.body = COMPLETION
    assert (await model_at(stub.base, model).complete(request())).cost_usd is None


@pytest.mark.parametrize("model", COMPATIBLE)
async def test_a_server_without_a_key_gets_none_of_ours(
    model: str, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    stub.body = COMPLETION
    await model_at(stub.base, model, api_key_env=None).complete(request())
    assert stub.keys == ["" if model == DIRECT else "bearer none"]


@pytest.mark.parametrize("model", COMPATIBLE)
async def test_choices_are_read_from_the_alternatives(model: str, stub: Stub) -> None:
    listed = [("A", -0.5), (" a", -2.0), ("B", -1.5), ("C", -7.0)]
    top = [{"token": token, "logprob": p, "bytes": None} for token, p in listed]
    first = {"token": "A", "logprob": -0.5, "bytes": None, "top_logprobs": top}
    choice = {**COMPLETION["choices"][0], "logprobs": {"content": [first]}}
    stub.body = {**COMPLETION, "choices": [choice]}
    shape = ChoiceShape(choices=("A", "B"))
    reply = await model_at(stub.base, model).complete(request(shape))
    assert reply.choice_logprobs is not None
    assert set(reply.choice_logprobs) == {"A", "B"}
    assert reply.choice_logprobs["A"] > -0.5
    assert reply.logprob_floor == -7.0
    (sent,) = stub.requests
    assert (sent["logprobs"], sent["top_logprobs"], sent["max_tokens"]) == (True, 20, 1)


@pytest.mark.parametrize("model", COMPATIBLE)
async def test_a_schema_reaches_the_server(model: str, stub: Stub) -> None:
    stub.body = COMPLETION
    fields = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    await model_at(stub.base, model).complete(request(JsonShape(name="s", fields=fields)))
    (sent,) = stub.requests
    assert sent["response_format"]["json_schema"] == {"name": "s", "schema": fields, "strict": True}


@pytest.mark.parametrize("model", COMPATIBLE)
async def test_many_at_once_on_one_loop(model: str, stub: Stub) -> None:
    stub.body = COMPLETION
    asked = model_at(stub.base, model)
    replies = await asyncio.gather(*(asked.complete(request()) for _ in range(50)))
    assert len(stub.requests) == len(replies) == 50


@pytest.mark.parametrize("model", COMPATIBLE)
async def test_cancelling_abandons_the_request(model: str, stub: Stub) -> None:
    stub.delivery = "hang"
    task = asyncio.create_task(model_at(stub.base, model).complete(request()))
    while not stub.requests:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(stub.requests) == 1


@pytest.mark.parametrize(
    "model", ["openai/gpt-4.1", "anthropic/claude-sonnet-5", "novita/microsoft/wizardlm-2-8x22b"]
)
def test_our_reading_of_the_price_table_is_litellms(model: str) -> None:
    card = AgentCard(name="x", model=model, family="f")
    known = load().get_model_info(model)
    price = price_of(card)
    assert price is not None
    assert price.input_usd_per_mtok == pytest.approx(known["input_cost_per_token"] * 1e6)
    assert price.output_usd_per_mtok == pytest.approx(known["output_cost_per_token"] * 1e6)
