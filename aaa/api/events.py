"""The route of a round's events; `sse.py` has the stream, `docs/design/events.md` what is in it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Response
from fastapi.responses import StreamingResponse

from aaa.api.guard import needs
from aaa.api.paging import LARGEST_ID, RoundId
from aaa.api.problems import errors
from aaa.api.sse import CONNECTED, KEEP_ALIVE, Listening, Stream, frame
from aaa.errors import InputError
from aaa.states import ENDED
from aaa.store.database import Database
from aaa.store.events import Event
from aaa.store.rounds import Round, get_round

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Nobody on the way may keep or hold back events."""
_AT = datetime(2026, 5, 4, 9, 41, 12, tzinfo=UTC)
SAID = {
    "schema": {
        "type": "string",
        "description": "Frames of `id`, `event` and one line of JSON as `data`; a line that begins with a "
        "colon is a comment. `docs/design/events.md` lists the events",
    },
    "example": b"".join(
        (
            CONNECTED,
            frame(
                Event(id=70, kind="call.started", at=_AT, data={"session": 12, "agent": "judge"})
            ),
            KEEP_ALIVE,
            frame(
                Event(id=71, kind="round.completed", at=_AT, data={"reason": "done", "pairs": 1})
            ),
        )
    ).decode(),
}
"""What goes over the wire, by an example."""


def routes(database: Database, listening: Listening) -> APIRouter:
    """`GET /v1/rounds/{round_id}/events`."""
    router = APIRouter(prefix="/v1/rounds", tags=["rounds"])

    async def heard(round_id: RoundId) -> Round:
        return await get_round(database, round_id)

    async def joined(round: Annotated[Round, Depends(heard)]) -> AsyncIterator[Stream]:
        async with listening.join(round) as stream:  # left when the answer is over, however it ends
            yield stream

    @router.get(
        "/{round_id}/events",
        dependencies=[needs("viewer")],
        response_class=StreamingResponse,
        responses={
            **errors(404),
            200: {
                "description": "The events as they happen",
                "content": {"text/event-stream": SAID},
            },
            204: {"description": "The round has ended and you have all of its events"},
        },
    )
    async def events(
        round: Annotated[Round, Depends(heard)],
        stream: Annotated[Stream, Depends(joined)],
        after: Annotated[int, Query(ge=0, le=LARGEST_ID)] = 0,
        last_event_id: Annotated[str | None, Header(max_length=20)] = None,
    ) -> Response:
        """Server-sent events: those after `Last-Event-ID` (or `after`), then live, until the round ends.

        Ids are 1, 2, 3 … without a gap. A comment comes at least every 10 s.
        """
        start = after if last_event_id is None else _id(last_event_id)
        if round.status in ENDED and start >= round.last_event:
            return Response(status_code=204)  # the standard's word for: do not connect again
        return StreamingResponse(
            stream.frames(start), media_type="text/event-stream", headers=HEADERS
        )

    return router


def _id(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > LARGEST_ID:
        raise InputError(f"Last-Event-ID {text!r} is no id of an event; ids are 1, 2, 3 …")
    return int(text)
