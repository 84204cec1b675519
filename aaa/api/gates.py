"""The route that tells people how each model's gate stands.

It is read from rows that seats write about once a second, so any replica of the control plane tells the
same.
"""

from typing import Annotated

from fastapi import APIRouter, Query

from aaa.api.guard import needs
from aaa.api.paging import CLEAN, Cursor, Limit, Page, page, unknown
from aaa.api.problems import errors
from aaa.errors import NotFound
from aaa.store.database import Database
from aaa.store.gates import GateRow, standing_gates
from aaa.store.rounds import get_round

OfRound = Annotated[
    str | None,
    Query(
        alias="round", max_length=200, pattern=CLEAN, description="Id of a round: its agents only"
    ),
]


def routes(database: Database) -> APIRouter:
    """`/v1/gates`."""
    router = APIRouter(tags=["watching"])

    @router.get("/v1/gates", dependencies=[needs("viewer")], responses=errors(404))
    async def gates(
        of_round: OfRound = None, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[GateRow]:
        """How each model's gate stands: calls in flight and waiting, its limit now, what they wait for."""
        if of_round is not None:
            await get_round(database, of_round)
        try:
            found = await standing_gates(database, of_round, limit=limit + 1, after=cursor)
        except NotFound as error:
            raise unknown(cursor) from error
        return page(found, limit, lambda gate: gate.seat)

    return router
