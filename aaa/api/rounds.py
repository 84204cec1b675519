"""Routes of rounds: start, look, steer."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Header, Response

from aaa.api.guard import needs
from aaa.api.paging import Cursor, Limit, Page, RoundId, page, unknown
from aaa.api.problems import errors, started
from aaa.api.starting import StartRound, prepare, request_hash
from aaa.catalogue import Catalogue
from aaa.errors import InputError, NotFound
from aaa.preflight import check_prices
from aaa.states import RoundStatus
from aaa.store.database import Database
from aaa.store.rounds import (
    Round,
    create_round,
    get_round,
    get_script,
    list_rounds,
    made_before,
)
from aaa.store.steering import Retune, cancel_round, pause_round, resume_round, retune_round

Key = Annotated[
    str | None,
    Header(
        max_length=200,
        pattern=r"^[\x20-\x7e]+$",
        description="The same key with the same body gives what was made first, also where the scenario "
        "was edited since; with another body it is 409",
    ),
]
CommandKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        pattern=r"^[\x20-\x7e]+$",
        description="A command with a key that was done before is not done again",
    ),
]


def routes(database: Database, catalogue: Catalogue) -> APIRouter:
    """Everything under `/v1/rounds` that changes or shows rounds."""
    router = APIRouter(prefix="/v1/rounds", tags=["rounds"])
    _reading(router, database)
    _starting(router, database, catalogue)
    _steering(router, database)
    return router


def _starting(router: APIRouter, database: Database, catalogue: Catalogue) -> None:
    @router.post(
        "",
        status_code=202,
        dependencies=[needs("operator")],
        responses={**started("round"), **errors(400, 409, 413)},
    )
    async def start_round(
        asked: StartRound, response: Response, idempotency_key: Key = None
    ) -> Round:
        """Start a round of a scenario: a session for each of its seeds."""
        request = await asyncio.to_thread(request_hash, asked)
        round = await made_before(database, idempotency_key, request)
        if round is None:
            script, seeds = await asyncio.to_thread(prepare, catalogue, asked)
            round = await create_round(
                database, script, seeds, idempotency_key=idempotency_key, request=request
            )
        response.headers["Location"] = f"/v1/rounds/{round.id}"
        return round


def _reading(router: APIRouter, database: Database) -> None:
    @router.get("", dependencies=[needs("viewer")], responses=errors())
    async def rounds(
        limit: Limit = 50, cursor: Cursor = None, status: RoundStatus | None = None
    ) -> Page[Round]:
        """Rounds, newest first."""
        try:
            found = await list_rounds(database, limit=limit + 1, before=cursor, status=status)
        except NotFound as error:
            raise unknown(cursor) from error
        return page(found, limit, lambda round: round.id)

    @router.get("/{round_id}", dependencies=[needs("viewer")], responses=errors(404))
    async def round(round_id: RoundId) -> Round:
        """One round with its counters."""
        return await get_round(database, round_id)


def _steering(router: APIRouter, database: Database) -> None:
    told = errors(404, 409)

    @router.post("/{round_id}/pause", dependencies=[needs("operator")], responses=told)
    async def pause(round_id: RoundId, now: bool = False, key: CommandKey = None) -> Round:
        """Begin no further call; those in flight come home, or with `now` are broken off.

        A call broken off counts as if it had cost the most it could: nobody knows what was billed.
        """
        return await pause_round(database, round_id, halt=now, key=key)

    @router.post("/{round_id}/resume", dependencies=[needs("operator")], responses=told)
    async def resume(round_id: RoundId, key: CommandKey = None) -> Round:
        """Go on where it stopped; sessions that failed are tried again."""
        return await resume_round(database, round_id, key=key)

    @router.post("/{round_id}/cancel", dependencies=[needs("operator")], responses=told)
    async def cancel(round_id: RoundId, key: CommandKey = None) -> Round:
        """End it for good; what is recorded stays."""
        return await cancel_round(database, round_id, key=key)

    @router.patch(
        "/{round_id}", dependencies=[needs("operator")], responses=errors(400, 404, 409, 413)
    )
    async def retune(round_id: RoundId, changes: Retune) -> Round:
        """Change the limits of a live round."""
        await _check_seats(database, round_id, changes)
        return await retune_round(database, round_id, changes)


async def _check_seats(database: Database, round_id: str, changes: Retune) -> None:
    """A seat that is not there is refused, and as at the start a budget in dollars over unknown prices."""
    script = await get_script(database, round_id)
    capped, known = changes.seat_budgets or {}, script.scenario.seats
    if other := sorted(capped.keys() - known.keys()):
        raise InputError(
            f"seat_budgets: round {round_id!r} has no seat {other[0]!r}; its seats: {', '.join(known)}"
        )
    seats = {seat: cap for seat, cap in capped.items() if cap.usd is not None}
    if changes.budget_usd is None and not seats:
        return
    told = {"budget_usd": changes.budget_usd, "seat_budgets": seats}
    scenario = script.scenario.model_copy(update=told)
    check_prices(script.model_copy(update={"scenario": scenario}))
