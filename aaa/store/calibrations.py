"""What judges were worth when they were measured, and the gate that asks for it before a round.

Rows are written whole and never changed: a judge measured again is a new row, and the newest of a key
counts. A round that is measured twice keeps the later figures.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.calibration import Calibration, calibrating, judging_key, shortfalls
from aaa.catalogue import Script
from aaa.errors import Conflict
from aaa.store.database import Database
from aaa.store.tables import calibrations
from aaa.types import Value


class Kept(Value):
    """A calibration on record."""

    at: datetime
    calibration: Calibration


async def keep_calibrations(database: Database, found: Sequence[Calibration]) -> None:
    """Store a round's calibrations; one upsert a judge, so that a repeat changes nothing else."""
    async with database.begin() as connection:
        for one in sorted(found, key=lambda c: c.judge):  # one lock order for any two callers
            values = {"key": one.key, "calibration": one.model_dump(mode="json")}
            await connection.execute(
                pg_insert(calibrations)
                .values(round_id=one.round, judge=one.judge, **values)
                .on_conflict_do_update(
                    index_elements=["round_id", "judge"], set_=values | {"at": func.now()}
                )
            )


async def kept_calibrations(database: Database, judges: Sequence[str]) -> dict[str, list[Kept]]:
    """Judge -> the newest calibration of each key, newest first. One query, one snapshot."""
    async with database.begin() as connection:
        return await _kept(connection, judges)


async def _kept(connection: AsyncConnection, judges: Sequence[str]) -> dict[str, list[Kept]]:
    newest = (
        select(calibrations.c.judge, calibrations.c.at, calibrations.c.calibration)
        .ext(distinct_on(calibrations.c.judge, calibrations.c.key))
        .where(calibrations.c.judge.in_(judges))
        .order_by(calibrations.c.judge, calibrations.c.key, calibrations.c.at.desc())
    )
    found: dict[str, list[Kept]] = {judge: [] for judge in judges}
    for row in await connection.execute(newest):
        found[row.judge].append(Kept(at=row.at, calibration=row.calibration))
    return {j: sorted(own, key=lambda k: k.at, reverse=True) for j, own in found.items()}


async def check_judges(connection: AsyncConnection, script: Script) -> None:
    """Raises `Conflict` unless every judge has shown what `judging.require` asks for.

    Called in the transaction that makes the round, so a refused one leaves nothing.
    """
    judging = script.scenario.judging
    if judging.require is None:
        return
    judges = script.scenario.seats.get("judge", ())
    kept = await _kept(connection, judges)
    problems = []
    for judge in judges:
        key = judging_key(script.cards[judge], judging)
        own = [k.calibration for k in kept[judge] if k.calibration.key == key]
        if own:
            short = shortfalls(judging.require, own[0].figures)
            problems += [f"judge {judge!r}: {what} (on {own[0].labels!r})" for what in short]
        else:
            stale = " as it is now (card, play, options and source)" if kept[judge] else ""
            problems.append(
                f"judge {judge!r} was never calibrated{stale}; calibrate it with: "
                f"{calibrating(judge, judging)}"
            )
    if problems:
        raise Conflict(
            f"scenario {script.scenario.name!r} requires more of its judges (judging.require): "
            f"{'; '.join(problems)}. Seat a judge that has shown it (`aaa judges ls`), measure on more "
            "pairs (`aaa judges calibrate`), or require less"
        )
