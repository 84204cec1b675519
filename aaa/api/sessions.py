"""Routes of sessions: a round's list and its seeds, and one with its whole transcript."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from aaa.api.guard import needs
from aaa.api.paging import CLEAN, LARGEST_ID, Cursor, Limit, Page, RoundId, number, page
from aaa.api.problems import errors
from aaa.api.shapes import SessionShape
from aaa.states import SessionStatus
from aaa.store.database import Database
from aaa.store.reading import SessionSummary, Wanted, get_session, list_seeds, list_sessions
from aaa.store.rounds import get_round
from aaa.types import Outcome, Seed


def routes(database: Database) -> APIRouter:
    """`/v1/rounds/{round_id}/sessions`, `…/seeds` and `/v1/sessions/{session_id}`."""
    router = APIRouter(prefix="/v1", tags=["sessions"])

    @router.get(
        "/rounds/{round_id}/sessions", dependencies=[needs("viewer")], responses=errors(404)
    )
    async def sessions(
        round_id: RoundId,
        limit: Limit = 50,
        cursor: Cursor = None,
        status: SessionStatus | None = None,
        outcome: Annotated[
            Outcome | None, Query(description="With a verdict of this outcome")
        ] = None,
        seat: Annotated[
            str | None,
            Query(max_length=200, pattern=CLEAN, description="Where this seat has said `text`"),
        ] = None,
        tag: Annotated[
            str | None, Query(max_length=200, pattern=CLEAN, description="Whose seed has this tag")
        ] = None,
        text: Annotated[
            str | None,
            Query(max_length=200, pattern=CLEAN, description="Where this was said, in any case"),
        ] = None,
    ) -> Page[SessionSummary]:
        """A round's sessions in the order of its seeds; `turns` and `verdicts` are counts."""
        await get_round(database, round_id)
        after = number(cursor)
        wanted = Wanted(status=status, outcome=outcome, seat=seat, tag=tag, text=text)
        found = await list_sessions(database, round_id, limit=limit + 1, after=after, wanted=wanted)
        return page(found, limit, lambda session: session.id)

    @router.get("/rounds/{round_id}/seeds", dependencies=[needs("viewer")], responses=errors(404))
    async def seeds(round_id: RoundId, limit: Limit = 50, cursor: Cursor = None) -> Page[Seed]:
        """A round's seeds, in their order."""
        await get_round(database, round_id)
        after = number(cursor)
        found = await list_seeds(database, round_id, limit=limit + 1, after=after)
        told = page(found, limit, lambda one: one[0])
        return Page(items=[seed for _, seed in told.items], next=told.next)

    @router.get(
        "/sessions/{session_id}",
        dependencies=[needs("viewer")],
        response_model=SessionShape,
        responses=errors(404),
    )
    async def session(session_id: Annotated[int, Path(ge=1, le=LARGEST_ID)]) -> dict[str, Any]:
        """One session with all that was said, judged and tried in it."""
        return await get_session(database, session_id)

    return router
