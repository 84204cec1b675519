"""Routes of pairs: a round's export as a stream, and why one pair is what it is."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from aaa.api.explaining import Explanation, explain
from aaa.api.guard import needs
from aaa.api.paging import Name, RoundId
from aaa.api.problems import errors
from aaa.errors import InputError, NotFound
from aaa.exporters import FORMATS, exporter, lines
from aaa.failpoints import hit
from aaa.store.database import Database
from aaa.store.reading import transcripts
from aaa.store.rounds import get_round

MEDIA_TYPE = "application/x-ndjson"


def routes(database: Database) -> APIRouter:
    """`/v1/rounds/{round_id}/pairs` and `/v1/pairs/{pair_id}`."""
    router = APIRouter(prefix="/v1", tags=["pairs"])

    @router.get(
        "/rounds/{round_id}/pairs",
        dependencies=[needs("viewer")],
        response_class=StreamingResponse,
        responses={
            **errors(404),
            200: {"description": "A pair on each line", "content": {MEDIA_TYPE: {}}},
        },
    )
    async def pairs(
        round_id: RoundId,
        format: Annotated[str, Query(max_length=50, description=", ".join(FORMATS))] = "trl-dpo",
    ) -> StreamingResponse:
        """The round's pairs as JSON lines, in export order: by seed id, then as they were decided."""
        try:
            exporter(format)
        except NotFound as error:
            raise InputError(str(error)) from error
        await get_round(database, round_id)
        return StreamingResponse(_lines(database, round_id, format), media_type=MEDIA_TYPE)

    @router.get("/pairs/{pair_id}", dependencies=[needs("viewer")], responses=errors(404))
    async def pair(pair_id: Name) -> Explanation:
        """Everything about a pair: seed, turns as sent, ballots, verdict, cost, models, cards."""
        return await explain(database, pair_id)

    return router


async def _lines(database: Database, round_id: str, format: str) -> AsyncIterator[bytes]:
    """A session's lines at a time, so memory stays flat and no transaction is left open between."""
    async for transcript in transcripts(database, [round_id]):
        found = b"".join(lines(transcript, format))
        if found:
            yield found
            hit("export.row")
