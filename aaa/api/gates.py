"""The route that tells people how each model's gate stands.

It is read from rows that seats write about once a second, so any replica of the control plane tells the
same.
"""

from typing import Annotated

from fastapi import APIRouter, Query

from aaa.api.guard import needs
from aaa.api.paging import CLEAN
from aaa.api.problems import errors
from aaa.store.database import Database
from aaa.store.gates import GateRow, standing_gates
from aaa.types import Value

OfRound = Annotated[
    str | None,
    Query(
        alias="round", max_length=200, pattern=CLEAN, description="Id of a round: its agents only"
    ),
]


class Gates(Value):
    """Every gate that has a seat behind it."""

    items: list[GateRow]


def routes(database: Database) -> APIRouter:
    """`/v1/gates`."""
    router = APIRouter(tags=["watching"])

    @router.get("/v1/gates", dependencies=[needs("viewer")], responses=errors(404))
    async def gates(of_round: OfRound = None) -> Gates:
        """How each model's gate stands: calls in flight and waiting, its limit now, what they wait for."""
        return Gates(items=await standing_gates(database, of_round))

    return router
