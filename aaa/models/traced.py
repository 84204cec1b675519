"""A model whose calls are told as spans, by OpenTelemetry's conventions for generative AI (`gen_ai.*`, 1.41).

One client span per request, repeated ones included. What was asked and answered is told only where
`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says so. Left out: the conventions' metrics and events.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from aaa import tracing
from aaa.models import Model, Request
from aaa.scenario import AgentCard
from aaa.types import ChoiceShape, JsonShape, Message, Reply

PROVIDERS: Mapping[str, str] = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "cohere_chat": "cohere",
    "gemini": "gcp.gemini",
    "local": "llama.cpp",
    "mistral": "mistral_ai",
    "ollama_chat": "ollama",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
"""What stands before the first `/` of a card's model -> the conventions' name, where the two differ."""


class Traced:
    """A model, and a span around each of its calls."""

    def __init__(self, card: AgentCard, model: Model) -> None:
        self._model = model
        self._of_card = of_card(card)
        self._name = f"chat {self._of_card['gen_ai.request.model']}"
        self._content = tracing.tells_content()

    async def complete(self, request: Request) -> Reply:
        """As the model's own."""
        with tracing.call_span(self._name, {**self._of_card, **of_request(request)}) as span:
            if self._content:
                span.tell(said_to(request))
            reply = await self._model.complete(request)
            span.tell(of_reply(reply))
            if self._content:
                span.tell(said_by(reply))
            return reply

    async def close(self) -> None:
        await self._model.close()


def of_card(card: AgentCard) -> dict[str, Any]:
    """Attributes that every call of a card has."""
    provider, _, name = card.model.partition("/")
    address = urlsplit(card.api_base or "")
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDERS.get(provider, provider) if name else "litellm",
        "gen_ai.request.model": name or card.model,
        "gen_ai.agent.name": card.name,
        "server.address": address.hostname,
        "server.port": address.port or {"http": 80, "https": 443}.get(address.scheme),
    }


def of_request(request: Request) -> dict[str, Any]:
    """How tokens are drawn, and the wanted shape."""
    sampling = request.sampling
    is_json = isinstance(request.shape, JsonShape)
    return {
        "gen_ai.request.temperature": sampling.temperature,
        "gen_ai.request.top_p": sampling.top_p,
        "gen_ai.request.max_tokens": 1
        if isinstance(request.shape, ChoiceShape)
        else sampling.max_tokens,
        "gen_ai.request.stop_sequences": sampling.stop,
        "gen_ai.request.seed": request.seed,
        "gen_ai.output.type": "json" if is_json else "text",
    }


def of_reply(reply: Reply) -> dict[str, Any]:
    """What came back, but for its words. A cost is ours: the conventions have none."""
    return {
        "gen_ai.response.model": reply.model or None,
        "gen_ai.response.id": reply.request_id,
        "gen_ai.response.finish_reasons": (reply.finish_reason,),
        "gen_ai.usage.input_tokens": reply.prompt_tokens,
        "gen_ai.usage.output_tokens": reply.completion_tokens,
        "aaa.cost_usd": reply.cost_usd,
    }


def said_to(request: Request) -> dict[str, Any]:
    """The messages as they were sent, in the conventions' JSON."""
    return {"gen_ai.input.messages": json.dumps([_parts(m) for m in request.messages])}


def said_by(reply: Reply) -> dict[str, Any]:
    """The answer, in the same JSON."""
    message = Message(role="assistant", content=reply.text)
    told = _parts(message) | {"finish_reason": reply.finish_reason}
    return {"gen_ai.output.messages": json.dumps([told])}


def _parts(message: Message) -> dict[str, Any]:
    return {"role": message.role, "parts": [{"type": "text", "content": message.content}]}
