"""An agent card as a caller may see it: no address, and of a key only whether it is there."""

import os

from pydantic import BaseModel

from aaa.scenario import AgentCard, Limits, Local, Price
from aaa.types import Sampling


class CardShape(BaseModel):
    """A model that may speak."""

    name: str
    model: str
    family: str
    parent: str | None
    generation: int
    persona: str | None
    sampling: Sampling
    limits: Limits
    price: Price | None
    licence: str | None
    local: Local
    api_key_env: str | None
    """Name of the variable that holds the key; `None`: it needs none."""


def shown(card: AgentCard) -> CardShape:
    """The card without its address."""
    return CardShape.model_validate(card.model_dump(include=set(CardShape.model_fields)))


def key_is_set(card: AgentCard) -> bool | None:
    """Whether this process has the card's key; `None` where it needs none."""
    return None if card.api_key_env is None else card.missing_key(os.environ) is None
