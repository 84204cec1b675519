"""Routes about judges: measure those of a round, judge a round again, see what that changed.

What is measured or judged is an ordinary round; these routes make it, or read what it says.
"""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field, ValidationError

from aaa.api.guard import needs
from aaa.api.paging import RoundId
from aaa.api.problems import errors, started
from aaa.api.rounds import Key
from aaa.api.starting import StartRound, prepare, request_hash
from aaa.calibration import Calibration, Report, calibrate, judging_key
from aaa.catalogue import Catalogue, Script
from aaa.curriculum.analysis import Signals, signals
from aaa.errors import AAAError, Conflict, InputError
from aaa.estimate import Estimate, estimate
from aaa.rejudging import Changes, changes, comparisons, rejudged
from aaa.scenario import MOST_USD, AgentCard
from aaa.store.calibrations import keep_calibrations
from aaa.store.database import Database
from aaa.store.reading import transcripts
from aaa.store.rounds import Round, create_round, get_round, get_script, made_before
from aaa.types import Judging, Seed, Value

SHIPPED = "*.measured.json"
"""Files beside the labelled sets that travel with the project: reports of `aaa judges calibrate --json`."""


class CalibrationRow(BaseModel):
    """What a judge was worth when it was measured."""

    at: datetime | None
    """`None`: measured elsewhere; the figures travel with the labelled set."""
    current: bool
    """Card, judging play, options and source are still those that were measured."""
    calibration: Calibration


class Rejudge(Value):
    """How to judge a round's recorded answers again."""

    judges: tuple[str, ...] = Field(min_length=1, max_length=100)
    """Agents of the catalogue."""
    overrides: dict[str, Any] = Field({}, examples=[{"judging.play": "logprob"}])
    """Dotted key -> value, in place of what the round's own scenario said about judging."""
    budget_usd: float | None = Field(None, ge=0, le=MOST_USD, allow_inf_nan=False)


def routes(database: Database, catalogue: Catalogue) -> APIRouter:
    """`/v1/rounds/{id}/calibration`, `…/signals`, `…/rejudge` and `…/changes`."""
    router = APIRouter(prefix="/v1/rounds/{round_id}", tags=["judging"])
    _measuring(router, database)
    _again(router, database, catalogue)
    return router


def _measuring(router: APIRouter, database: Database) -> None:
    @router.post("/calibration", dependencies=[needs("operator")], responses=errors(404, 409))
    async def measure(round_id: RoundId) -> Report:
        """Measure the judges of an ended round over labelled pairs, and keep the figures."""
        script, found = await get_script(database, round_id), await get_round(database, round_id)
        if found.status not in ("completed", "failed", "cancelled"):
            raise Conflict(
                f"round {round_id!r} is {found.status}; its judges are measured at its end"
            )
        sessions = [transcript async for transcript in transcripts(database, [round_id])]
        report = await asyncio.to_thread(calibrate, round_id, script, sessions)
        if not any(one.figures.pairs for one in report.calibrations):
            raise Conflict(f"round {round_id!r} holds no labelled pair that a judge judged alone")
        await keep_calibrations(database, report.calibrations)
        return report

    @router.get("/signals", dependencies=[needs("viewer")], responses=errors(404))
    async def told_of_seeds(round_id: RoundId) -> dict[str, Signals]:
        """Seed id -> how hard it was, and how far it told models apart, as far as the verdicts say."""
        read = transcripts(database, [round_id])
        return {t.seed.id: signals(t.recorded.verdicts) async for t in read}


def _again(router: APIRouter, database: Database, catalogue: Catalogue) -> None:
    told: dict[str, Any] = {
        "dependencies": [needs("operator")],
        "responses": errors(400, 404, 409, 413),
    }
    makes = told | {"responses": {**started("round"), **told["responses"]}}

    @router.post("/rejudge", status_code=202, **makes)
    async def rejudge(
        round_id: RoundId, asked: Rejudge, response: Response, idempotency_key: Key = None
    ) -> Round:
        """Start a round that judges this one's recorded answers again; nothing is generated."""
        request = await asyncio.to_thread(request_hash, asked, "rejudge", round_id)
        made = await made_before(database, idempotency_key, request)
        if made is None:
            script, seeds = await _prepared(database, catalogue, round_id, asked)
            made = await create_round(
                database, script, seeds, idempotency_key=idempotency_key, request=request
            )
        response.headers["Location"] = f"/v1/rounds/{made.id}"
        return made

    @router.post("/rejudge/estimate", **told)
    async def rejudge_estimate(round_id: RoundId, asked: Rejudge) -> Estimate:
        """What judging again would ask and cost. Starts nothing."""
        script, seeds = await _prepared(database, catalogue, round_id, asked)
        return await asyncio.to_thread(estimate, script, seeds)

    @router.get("/changes", dependencies=[needs("viewer")], responses=errors(404, 409))
    async def changed(round_id: RoundId) -> Changes:
        """How many pairs of the older round change by this one's verdicts."""
        sessions = [transcript async for transcript in transcripts(database, [round_id])]
        found = await asyncio.to_thread(changes, sessions)
        if not found.verdicts:
            raise Conflict(f"round {round_id!r} judges no older round again")
        return found


async def _prepared(
    database: Database, catalogue: Catalogue, round_id: str, asked: Rejudge
) -> tuple[Script, tuple[Seed, ...]]:
    """The round that judges `round_id` again, checked as any other. Raises `InputError`, `Conflict`."""
    old = await get_script(database, round_id)
    seeds = [
        seed
        async for transcript in transcripts(database, [round_id])
        for seed in comparisons(transcript, old.cast)
    ]
    if not seeds:
        raise Conflict(f"round {round_id!r} has no verdict that can be judged again")
    other = sorted(key for key in asked.overrides if key.split(".")[0] != "judging")
    if other:
        raise InputError(f"overrides: {other[0]!r}: only keys below 'judging' can be changed here")
    scenario = {
        "name": rejudged(old.scenario.name),
        "description": f"Round {round_id} judged again by {', '.join(asked.judges)}",
        "protocol": {"id": "given"},
        "seats": {"judge": asked.judges},
        "seeds": {"inline": [seed.model_dump(mode="json") for seed in seeds]},
        "judging": old.scenario.judging.model_dump(mode="json"),
        "concurrency": old.scenario.concurrency,
        "random_seed": old.scenario.random_seed,
    }
    start = StartRound(scenario=scenario, overrides=asked.overrides, budget_usd=asked.budget_usd)
    return await asyncio.to_thread(prepare, catalogue, start)


def row(at: datetime | None, one: Calibration, card: AgentCard) -> CalibrationRow:
    """A calibration with whether it still says something about the card as it is."""
    try:
        key = judging_key(card, Judging(play=one.play, options=one.options))
    except AAAError:  # the play is gone, or no longer takes these options
        key = ""
    return CalibrationRow(at=at, current=key == one.key, calibration=one)


def shipped_calibrations(folders: Sequence[Path]) -> dict[str, list[Calibration]]:
    """Judge -> calibrations that lie beside the labelled sets in these folders. Raises `InputError`."""
    found: dict[str, list[Calibration]] = {}
    for path in sorted(p for folder in folders for p in (folder / "labels").glob(SHIPPED)):
        try:
            report = Report.model_validate(json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, ValidationError) as error:
            raise InputError(f"{path}: not a report of `aaa judges calibrate`: {error}") from error
        for one in report.calibrations:
            found.setdefault(one.judge, []).append(one)
    return found
