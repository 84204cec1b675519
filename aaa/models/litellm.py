"""Models behind HTTP: every provider LiteLLM knows, and any OpenAI-compatible server by `api_base`.

LiteLLM is used as a library: no proxy, no router, no callbacks, no cache, and no retry (`once.py`).
A call is one request under our own clock. Left out: streaming, tools, images.
"""

import asyncio
import importlib
import math
import os
from collections.abc import Mapping
from typing import Any

from aaa.errors import ModelError
from aaa.models import Model, Request
from aaa.models.choices import ChoiceOdds, read_choices
from aaa.models.failures import REDIRECTED, broken_off, read_failure, told_by
from aaa.models.redact import brief, named, places, secrets_in
from aaa.models.schemas import strict
from aaa.scenario import AgentCard
from aaa.settings import Settings
from aaa.types import ChoiceShape, FinishReason, JsonShape, Reply

TOP_LOGPROBS = 20
"""As many alternatives as OpenAI gives."""
GRACE_S = 5.0
"""By how much LiteLLM's clock runs longer than ours, so that ours decides."""
NO_KEY = "none"
"""Sent to servers that need no key, so that LiteLLM does not send them another provider's."""

_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "length": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}


def open_model(card: AgentCard, settings: Settings) -> Model:
    """The card's model. Keys are looked up at each call, so they may be set or changed later."""
    return LiteLLMModel(card)


class LiteLLMModel:
    """One card's model, asked through `litellm.acompletion`."""

    def __init__(self, card: AgentCard) -> None:
        self.card = card

    async def complete(self, request: Request) -> Reply:
        """The reply. Raises `ModelError`, redacted."""
        key = api_key(self.card, os.environ)
        litellm = await loaded()
        arguments = {**_arguments(self.card, request, litellm), "api_key": key}
        limit_s = self.card.limits.timeout_s
        try:
            async with asyncio.timeout(limit_s) as clock:
                answer = await litellm.acompletion(**arguments)
        except Exception as error:  # noqa: BLE001 (they share no base class)
            # LiteLLM's errors hold URLs, headers and keys: not even as a cause may one get out.
            raise self._failure(error, key, timed_out=clock.expired()) from None
        try:
            if broken := _broken(answer):
                raise ModelError("dropped", self._told(broken, key))
            return read_reply(self.card, request, answer, _cost(litellm, self.card, answer))
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            raise ModelError("malformed", self._told(f"not a completion: {error!r}", key)) from None

    async def close(self) -> None:
        """Nothing: LiteLLM pools connections for all cards of the process together."""

    def _failure(self, error: Exception, key: str | None, *, timed_out: bool) -> ModelError:
        if timed_out:
            limit_s = self.card.limits.timeout_s
            return ModelError("timeout", f"{self.card.model}: no answer within {limit_s:g} s")
        kind, status, retry_after_s = read_failure(error)
        told = f"HTTP {status}: " if status else ""
        where = " at its `api_base`" if kind == "unreachable" and self.card.api_base else ""
        said = REDIRECTED if status and status < 400 else told_by(error)
        message = self._told(f"{told}{said}", key, where)
        return ModelError(kind, message, retry_after_s=retry_after_s)

    def _told(self, why: str, key: str | None, where: str = "") -> str:
        """Without the card's key and address, nor any key that LiteLLM may have found in the environment."""
        secrets = (key, *places(self.card.api_base), *secrets_in(os.environ))
        return brief(f"{self.card.model}{where}: {why}", secrets)


def api_key(card: AgentCard, environ: Mapping[str, str]) -> str | None:
    """The card's key; `None` leaves it to LiteLLM. Raises `ModelError`: the variable is not set."""
    if card.api_key_env is None:
        return NO_KEY if card.api_base is not None else None
    key = environ.get(card.api_key_env, "").strip()
    if not key:
        raise ModelError("auth", f"{card.model}: set environment variable {card.api_key_env}")
    return key


def read_reply(card: AgentCard, request: Request, answer: Any, cost_usd: float | None) -> Reply:
    """A completion as a reply. Raises `ModelError`: it holds no choice."""
    if not getattr(answer, "choices", None):
        raise ModelError("malformed", f"{card.model}: the answer holds no choices")
    choice = answer.choices[0]
    refusal = getattr(choice.message, "refusal", None)
    odds = _odds(request.shape, choice)
    usage = _usage(answer)
    finish: FinishReason = _FINISH.get(str(choice.finish_reason), "other")
    return Reply(
        text=choice.message.content or refusal or "",
        finish_reason="content_filter" if refusal and not choice.message.content else finish,
        choice_logprobs=odds.logprobs if odds else None,
        logprob_floor=odds.floor if odds else None,
        prompt_tokens=getattr(usage, "prompt_tokens", None),
        completion_tokens=getattr(usage, "completion_tokens", None),
        cost_usd=cost_usd,
        model=named(getattr(answer, "model", None)),
        request_id=named(getattr(answer, "id", None)) or None,
    )


def _broken(answer: Any) -> str | None:
    """Why the answer is none, as `broken_off`; LiteLLM calls every end that it does not know a `stop`."""
    choices = getattr(answer, "choices", None)
    kept = getattr(choices[0], "provider_specific_fields", None) if choices else None
    return broken_off((kept or {}).get("native_finish_reason"))


async def loaded() -> Any:
    """LiteLLM, through the module that shuts off its hidden retries."""
    return _LOADED["litellm"] if _LOADED else await asyncio.to_thread(_load)


def _load() -> Any:
    return _LOADED.setdefault("litellm", importlib.import_module("aaa.models.once").load())


_LOADED: dict[str, Any] = {}
"""LiteLLM, once it is there: no thread is asked for it again."""


def _arguments(card: AgentCard, request: Request, litellm: Any) -> dict[str, Any]:
    sampling = request.sampling.model_dump(exclude_none=True)
    if "stop" in sampling:
        sampling["stop"] = list(sampling["stop"])
    return {
        "model": card.model,
        "api_base": card.api_base,
        "messages": [message.model_dump() for message in request.messages],
        "seed": request.seed & 0x7FFF_FFFF,
        "timeout": card.limits.timeout_s + GRACE_S,
        "num_retries": 0,
        "max_retries": 0,
        "drop_params": True,
        "stream": False,
        **sampling,
        **_shape_arguments(card, request.shape, litellm),
    }


def _shape_arguments(
    card: AgentCard, shape: JsonShape | ChoiceShape | None, litellm: Any
) -> dict[str, Any]:
    if isinstance(shape, ChoiceShape):
        return {"logprobs": True, "top_logprobs": TOP_LOGPROBS, "max_tokens": 1}
    if shape is None:
        return {}
    if card.api_base is None and not litellm.supports_response_schema(model=card.model):
        return {"response_format": {"type": "json_object"}}
    schema = {"name": shape.name, "schema": shape.fields, "strict": strict(shape.fields)}
    return {"response_format": {"type": "json_schema", "json_schema": schema}}


def _odds(shape: JsonShape | ChoiceShape | None, choice: Any) -> ChoiceOdds | None:
    """What the first generated token says about the choices; `None`: the provider does not tell."""
    logprobs = getattr(choice, "logprobs", None)
    content = getattr(logprobs, "content", None)
    if not isinstance(shape, ChoiceShape) or not content:
        return None
    first = content[0]
    listed = [(alternative.token, alternative.logprob) for alternative in first.top_logprobs or ()]
    return read_choices(shape.choices, listed or [(first.token, first.logprob)])


def _usage(answer: Any) -> Any | None:
    """Its token counts; `None` where the provider gives none, for which LiteLLM writes zeros."""
    usage = getattr(answer, "usage", None)
    return usage if getattr(usage, "prompt_tokens", 0) else None


def _cost(litellm: Any, card: AgentCard, answer: Any) -> float | None:
    """US dollars: by the card, else as the provider billed it, else by LiteLLM's table."""
    usage = _usage(answer)
    if card.price is not None and not card.price.cost_usd(1, 1):
        return 0.0
    if usage is None:
        return None
    if card.price is not None:
        return card.price.cost_usd(usage.prompt_tokens, usage.completion_tokens)
    billed = getattr(usage, "cost", None)
    if isinstance(billed, int | float) and math.isfinite(billed) and billed >= 0:
        return float(billed)
    if card.api_base is not None:
        return None  # a server of yours: whatever the table says of that name is not its price
    try:
        return float(litellm.completion_cost(completion_response=answer, model=card.model))
    except Exception:  # noqa: BLE001 (its table does not know the model: that is an answer)
        return None
