"""Routes of the operator's catalogue: agents and scenarios."""

import asyncio
from datetime import datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from aaa.api.cards import CardShape, key_is_set, shown
from aaa.api.guard import needs
from aaa.api.judging import CalibrationRow, row, shipped_calibrations
from aaa.api.paging import Cursor, Limit, Name, Page, after_name, page
from aaa.api.problems import errors
from aaa.calibration import Calibration
from aaa.catalogue import Catalogue
from aaa.errors import InputError
from aaa.scenario import Scenario
from aaa.store.calibrations import kept_calibrations
from aaa.store.database import Database


class AgentRow(BaseModel):
    """An agent of the catalogue."""

    name: str
    card: CardShape | None
    """`None` where the file cannot be used."""
    key_set: bool | None
    """Whether the control plane has its key; `None`: it needs none."""
    error: str | None
    """Why the file cannot be used."""
    calibrations: tuple[CalibrationRow, ...] = ()
    """What it was worth as a judge, newest first."""


class ScenarioRow(BaseModel):
    """A scenario of the catalogue."""

    name: str
    description: str
    protocol: str | None
    seats: dict[str, tuple[str, ...]]
    budget_usd: float | None
    error: str | None
    """Why the file cannot be used."""


def routes(database: Database, catalogue: Catalogue) -> APIRouter:
    """`/v1/agents` and `/v1/scenarios`. Files are read at each request: an edit shows at once."""
    router = APIRouter(prefix="/v1", tags=["catalogue"])
    told: dict[str, Any] = {"dependencies": [needs("viewer")], "responses": errors(404)}

    @router.get("/agents", **told)
    async def agents(limit: Limit = 50, cursor: Cursor = None) -> Page[AgentRow]:
        """Agents by name."""

        def read() -> list[AgentRow]:
            names = after_name(catalogue.agents(), cursor, limit)
            return [_agent(catalogue, name) for name in names]

        rows = await _measured(database, catalogue, await asyncio.to_thread(read))
        return page(rows, limit, lambda row: row.name)

    @router.get("/agents/{name}", **told)
    async def agent(name: Name) -> AgentRow:
        """One agent's card."""
        card = await asyncio.to_thread(catalogue.card, name)
        found = AgentRow(name=name, card=shown(card), key_set=key_is_set(card), error=None)
        return (await _measured(database, catalogue, [found]))[0]

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


async def _measured(
    database: Database, catalogue: Catalogue, rows: list[AgentRow]
) -> list[AgentRow]:
    """The rows with what their agents were worth as judges: measured here, then what was shipped."""
    kept = await kept_calibrations(database, [row.name for row in rows])

    def add() -> list[AgentRow]:
        shipped = shipped_calibrations(catalogue.scenario_folders)
        told = []
        for found in rows:
            known: list[tuple[datetime | None, Calibration]]
            known = [(one.at, one.calibration) for one in kept[found.name]]
            known += [(None, one) for one in shipped.get(found.name, ())]
            if known and found.card is not None:
                card = catalogue.card(found.name)
                of_it = tuple(row(at, one, card) for at, one in known)
                found = found.model_copy(update={"calibrations": of_it})
            told.append(found)
        return told

    return await asyncio.to_thread(add)


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
