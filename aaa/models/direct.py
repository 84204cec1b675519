"""OpenAI-compatible servers (vLLM, SGLang, llama.cpp, Ollama, TGI …) over plain HTTP: `openai/NAME` with
an `api_base`.

One POST a call on kept connections, no retry, no redirect to elsewhere, our own clock. It costs a small
part of what LiteLLM does, in start-up, memory and CPU time. Left out: streaming, tools, images.
"""

import asyncio
import math
import os
from collections.abc import Mapping
from typing import Any

import aiohttp
import orjson

from aaa.errors import ModelError
from aaa.models import Model, Request
from aaa.models.choices import ChoiceOdds, read_choices
from aaa.models.failures import REDIRECTED, broken_off, kind_of_status, parse_retry_after
from aaa.models.redact import brief, named, places
from aaa.models.schemas import strict
from aaa.scenario import AgentCard
from aaa.settings import Settings
from aaa.types import ChoiceShape, FinishReason, JsonShape, Reply

TOP_LOGPROBS = 20
"""As many alternatives as OpenAI gives."""

_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "content_filter": "content_filter",
}


def open_model(card: AgentCard, settings: Settings) -> Model:
    """The card's model; connects at the first call. The key is looked up at each call."""
    return DirectModel(card)


class DirectModel:
    """One card's server, and the connections kept to it."""

    def __init__(self, card: AgentCard) -> None:
        self.card = card
        self._url = f"{str(card.api_base).rstrip('/')}/chat/completions"
        self._name = card.model.removeprefix("openai/")
        self._session: aiohttp.ClientSession | None = None

    async def complete(self, request: Request) -> Reply:
        """The reply to one POST. Raises `ModelError`, redacted; cancelling it drops the connection."""
        key = _key(self.card, os.environ)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        status, retry_after, body = await self._post(
            orjson.dumps(self._body(request)), headers, key
        )
        if status != 200:
            text = body[:4000].decode("utf-8", "replace")
            said = REDIRECTED if 300 <= status < 400 else _said(body) or text
            raise ModelError(
                kind_of_status(status, text),
                self._told(f"HTTP {status}: {said}", key),
                retry_after_s=parse_retry_after(retry_after),
            )
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            raise ModelError("malformed", self._told("the answer is not JSON", key)) from None
        return self._read(request, answer, key)

    async def close(self) -> None:
        """Close the kept connections."""
        if self._session is not None:
            await self._session.close()

    async def _post(
        self, body: bytes, headers: Mapping[str, str], key: str | None
    ) -> tuple[int, str | None, bytes]:
        """(status, Retry-After, body) of one request."""
        limit_s = self.card.limits.timeout_s
        try:
            async with (
                asyncio.timeout(limit_s),
                self._connections().post(
                    self._url, data=body, headers=headers, allow_redirects=False
                ) as response,
            ):
                return response.status, response.headers.get("Retry-After"), await response.read()
        except TimeoutError:
            raise ModelError(
                "timeout", self._told(f"no answer within {limit_s:g} s", key)
            ) from None
        except (aiohttp.ClientConnectorError, ValueError) as error:
            raise ModelError(
                "unreachable",
                self._told(f"the server at its `api_base` does not answer: {error}", key),
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            why = str(error) or type(error).__name__
            raise ModelError(
                "dropped", self._told(f"the server at its `api_base` broke off: {why}", key)
            ) from None

    def _connections(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=self.card.limits.concurrency, keepalive_timeout=30
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._name,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "seed": request.seed & 0x7FFF_FFFF,
            **request.sampling.model_dump(exclude_none=True),
        }
        shape = request.shape
        if isinstance(shape, ChoiceShape):
            body |= {"logprobs": True, "top_logprobs": TOP_LOGPROBS, "max_tokens": 1}
        elif isinstance(shape, JsonShape):
            schema = {"name": shape.name, "schema": shape.fields, "strict": strict(shape.fields)}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def _read(self, request: Request, answer: Any, key: str | None) -> Reply:
        """A completion as a reply. Raises `ModelError` where it is none."""
        if isinstance(answer, dict) and "error" in answer and not answer.get("choices"):
            raise ModelError("server", self._told(f"an error in a 200: {answer['error']}", key))
        try:
            choice = answer["choices"][0]
            if broken := broken_off(choice.get("finish_reason"), choice.get("error")):
                raise ModelError("dropped", self._told(broken, key))
            message = choice["message"]
            text, refusal = message.get("content"), message.get("refusal")
            usage = answer.get("usage") or {}
            odds = _odds(request.shape, choice.get("logprobs"))
            return Reply(
                text=text or refusal or "",
                finish_reason="content_filter"
                if refusal and not text
                else _FINISH.get(str(choice.get("finish_reason")), "other"),
                choice_logprobs=odds.logprobs if odds else None,
                logprob_floor=odds.floor if odds else None,
                prompt_tokens=usage.get("prompt_tokens") or None,
                completion_tokens=usage.get("completion_tokens"),
                cost_usd=_cost_usd(self.card, usage),
                model=named(answer.get("model")),
                request_id=named(answer.get("id")) or None,
            )
        except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
            told = f"not a completion: {type(error).__name__} {error}"
            raise ModelError("malformed", self._told(told, key)) from None

    def _told(self, why: str, key: str | None) -> str:
        """Without its key; and, since every viewer reads it, without its address."""
        return brief(f"{self.card.model}: {why}", (key, *places(self.card.api_base)))


def _key(card: AgentCard, environ: Mapping[str, str]) -> str | None:
    """The card's key; `None` where it needs none. Raises `ModelError`: the variable is not set."""
    if card.api_key_env is None:
        return None
    key = environ.get(card.api_key_env, "").strip()
    if not key:
        raise ModelError("auth", f"{card.model}: set environment variable {card.api_key_env}")
    return key


def _said(body: bytes) -> str:
    """The message in an error body as OpenAI words it; empty where there is none."""
    try:
        error = orjson.loads(body)["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (orjson.JSONDecodeError, KeyError, TypeError, IndexError):
        return ""


def _odds(shape: JsonShape | ChoiceShape | None, logprobs: Any) -> ChoiceOdds | None:
    """What the first generated token says about the choices; `None`: the server does not tell."""
    content = (logprobs or {}).get("content")
    if not isinstance(shape, ChoiceShape) or not content:
        return None
    first = content[0]
    listed = [(str(a["token"]), float(a["logprob"])) for a in first.get("top_logprobs") or ()]
    return read_choices(shape.choices, listed or [(str(first["token"]), float(first["logprob"]))])


def _cost_usd(card: AgentCard, usage: Mapping[str, Any]) -> float | None:
    """By the card's price; a server of one's own is in no table."""
    if card.price is None:
        return None
    if not card.price.cost_usd(1, 1):
        return 0.0
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if not prompt or completion is None or not math.isfinite(prompt + completion):
        return None
    return card.price.cost_usd(prompt, completion)
