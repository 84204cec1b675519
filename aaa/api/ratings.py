"""Route of ratings: computed from the verdicts on record at each request, nothing is kept."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import StringConstraints, ValidationError

from aaa.api.guard import needs
from aaa.api.paging import CLEAN
from aaa.api.problems import errors
from aaa.battles import EDGES
from aaa.board import Method, Report
from aaa.errors import InputError
from aaa.ratings import report
from aaa.store.battles import read_battles
from aaa.store.database import Database

Text = Annotated[str, StringConstraints(max_length=200, pattern=CLEAN)]


def _several(told: str) -> Any:
    return Query(max_length=100, description=told)


def routes(database: Database) -> APIRouter:
    """`/v1/ratings`."""
    router = APIRouter(prefix="/v1", tags=["ratings"])
    alone = asyncio.Lock()  # a fit may take all of a core for seconds: one at a time

    @router.get("/ratings", dependencies=[needs("viewer")], responses=errors(404))
    async def ratings(
        round: Annotated[list[Text], _several("Rounds that count; none: all")] = [],  # noqa: B006
        tag: Annotated[list[Text], _several("Boards of these tags; none: overall")] = [],  # noqa: B006
        by_tag: Annotated[bool, Query(description="The overall board and every tag's")] = False,
        edge: Annotated[list[Text], _several("Comparisons that count")] = list(EDGES),  # noqa: B006
        style_control: Annotated[
            bool, Query(description="Hold length and markdown constant")
        ] = False,
        anchor: Annotated[Text | None, Query(description="Player to set the scale by")] = None,
        anchor_value: Annotated[
            float, Query(description="Its rating; without one, the mean")
        ] = 1000,
        replicates: Annotated[int, Query(description="Draws of the seeds; 0, or 40 to 1000")] = 200,
    ) -> Report:
        """Bradley-Terry ratings with 95 % intervals; `boards` is empty where nobody battled."""
        try:
            method = Method(
                style_control=style_control,
                anchor=anchor,
                anchor_value=anchor_value,
                replicates=replicates,
            )
        except ValidationError as error:
            first = error.errors()[0]
            said = first["msg"].removeprefix("Value error, ")
            raise InputError(f"{first['loc'][0]}: {said}, got {first['input']!r}") from error
        async with alone:
            ledger = await read_battles(database, round, edges=edge, style=style_control)
            return await asyncio.to_thread(report, ledger, method, None if by_tag else tag, round)

    return router
