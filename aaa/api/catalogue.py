"""Routes of the operator's catalogue: agents and scenarios."""

import asyncio
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from aaa.api.cards import CardShape, key_is_set, shown
from aaa.api.guard import needs
from aaa.api.paging import Cursor, Limit, Name, Page, after_name, page
from aaa.api.problems import errors
from aaa.catalogue import Catalogue
from aaa.errors import InputError
from aaa.scenario import Scenario


class AgentRow(BaseModel):
    """An agent of the catalogue."""

    name: str
    card: CardShape | None
    """`None` where the file cannot be used."""
    key_set: bool | None
    """Whether the control plane has its key; `None`: it needs none."""
    error: str | None
    """Why the file cannot be used."""


class ScenarioRow(BaseModel):
    """A scenario of the catalogue."""

    name: str
    description: str
    protocol: str | None
    seats: dict[str, tuple[str, ...]]
    budget_usd: float | None
    error: str | None
    """Why the file cannot be used."""


def routes(catalogue: Catalogue) -> APIRouter:
    """`/v1/agents` and `/v1/scenarios`. Files are read at each request: an edit shows at once."""
    router = APIRouter(prefix="/v1", tags=["catalogue"])
    told: dict[str, Any] = {"dependencies": [needs("viewer")], "responses": errors(404)}

    @router.get("/agents", **told)
    async def agents(limit: Limit = 50, cursor: Cursor = None) -> Page[AgentRow]:
        """Agents by name."""

        def read() -> list[AgentRow]:
            names = after_name(catalogue.agents(), cursor, limit)
            return [_agent(catalogue, name) for name in names]

        return page(await asyncio.to_thread(read), limit, lambda row: row.name)

    @router.get("/agents/{name}", **told)
    async def agent(name: Name) -> AgentRow:
        """One agent's card."""
        card = await asyncio.to_thread(catalogue.card, name)
        return AgentRow(name=name, card=shown(card), key_set=key_is_set(card), error=None)

    @router.get("/scenarios", **told)
    async def scenarios(limit: Limit = 50, cursor: Cursor = None) -> Page[ScenarioRow]:
        """Scenarios by name."""

        def read() -> list[ScenarioRow]:
            names = after_name(catalogue.scenarios(), cursor, limit)
            return [_scenario(catalogue, name) for name in names]

        return page(await asyncio.to_thread(read), limit, lambda row: row.name)

    @router.get("/scenarios/{name}", **told)
    async def scenario(name: Name) -> Scenario:
        """One scenario, whole."""
        found, _ = await asyncio.to_thread(catalogue.scenario, name)
        return found

    return router


def _agent(catalogue: Catalogue, name: str) -> AgentRow:
    try:
        card = catalogue.card(name)
    except InputError as error:
        return AgentRow(name=name, card=None, key_set=None, error=str(error))
    return AgentRow(name=name, card=shown(card), key_set=key_is_set(card), error=None)


def _scenario(catalogue: Catalogue, name: str) -> ScenarioRow:
    try:
        found, _ = catalogue.scenario(name)
    except InputError as error:
        return ScenarioRow(
            name=name, description="", protocol=None, seats={}, budget_usd=None, error=str(error)
        )
    return ScenarioRow(
        name=name,
        description=found.description,
        protocol=found.protocol.id,
        seats=found.seats,
        budget_usd=found.budget_usd,
        error=None,
    )
