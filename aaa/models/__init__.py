"""The model port: one method, `complete`, and the values it takes and gives. Adapters are files here.

`direct.py` reaches OpenAI-compatible servers by their address, `litellm.py` every other provider
that LiteLLM knows; `local.py` runs llama.cpp in this process. No adapter retries, limits or records
anything: `asking.py` does.
"""

import importlib
from typing import Protocol, cast

from aaa import tracing
from aaa.scenario import AgentCard, Price
from aaa.settings import Settings
from aaa.types import ChoiceShape, JsonShape, Messages, Reply, Sampling, Value


class Request(Value):
    """One attempt at one call, with nothing left to decide."""

    messages: Messages
    """As sent: persona included."""
    sampling: Sampling
    """Call over card."""
    shape: JsonShape | ChoiceShape | None = None
    seed: int
    """Sampling seed, for providers that take one."""


class Model(Protocol):
    """Something that answers."""

    async def complete(self, request: Request) -> Reply:
        """The reply. Raises `ModelError`, redacted; cancelling it abandons the request."""
        ...

    async def close(self) -> None: ...


class _Adapter(Protocol):
    """What an adapter's file holds."""

    def open_model(self, card: AgentCard, settings: Settings) -> Model: ...


def open_model(card: AgentCard, settings: Settings) -> Model:
    """The model of a card, not yet asked anything. Raises `SetupError`: local weights are missing.

    Adapters are imported here and not above, for they are heavy: LiteLLM takes seconds.
    """
    name = "local" if card.is_local else "direct" if is_compatible(card) else "litellm"
    adapter = cast(_Adapter, importlib.import_module(f"{__name__}.{name}"))
    model = adapter.open_model(card, settings)
    if not tracing.is_on():
        return model
    traced: Model = importlib.import_module(f"{__name__}.traced").Traced(card, model)
    return traced


def library(card: AgentCard) -> str | None:
    """The function that loads what `warm` loads, as `pkgutil.resolve_name` takes it; `None` is nothing."""
    return None if card.is_local or is_compatible(card) else f"{__name__}.once:load"


async def warm(card: AgentCard) -> None:
    """Load the library that the card's first call would wait for: LiteLLM takes three seconds."""
    if library(card) is not None:
        await importlib.import_module(f"{__name__}.litellm").loaded()


def is_compatible(card: AgentCard) -> bool:
    """Whether the card names an OpenAI-compatible server by its address: no need for LiteLLM then."""
    return card.api_base is not None and card.model.startswith("openai/")


def price_of(card: AgentCard) -> Price | None:
    """What the card says; nothing for a local model; else LiteLLM's table. `None` is unknown."""
    if card.price is not None:
        return card.price
    if card.is_local:
        return Price(input_usd_per_mtok=0, output_usd_per_mtok=0)
    prices = importlib.import_module(f"{__name__}.prices")
    return cast("Price | None", prices.listed_price(card.model, card.api_base))
