"""What all rounds together came to, for whoever measures: one row, from the rounds' own counters."""

from typing import Any

from sqlalchemy import func, select

from aaa.states import ROUND_STATUS, SESSION_STATUS
from aaa.store.database import Database
from aaa.store.tables import rounds
from aaa.types import OUTCOMES, Value


class Totals(Value):
    """Sums over every round on record."""

    rounds: dict[str, int]
    """Status -> rounds."""
    sessions: dict[str, int]
    """Status -> sessions."""
    verdicts: dict[str, int]
    """Outcome -> verdicts."""
    pairs: int
    spent_usd: float
    reserved_usd: float
    """What calls in flight could cost at most."""


async def totals(database: Database) -> Totals:
    """One query over one row for each round."""
    async with database.begin() as connection:
        row = (await connection.execute(select(*_sums()))).one()._mapping
    return Totals(
        rounds={status: row[f"rounds_{status}"] for status in ROUND_STATUS},
        sessions={status: int(row[f"sessions_{status}"] or 0) for status in SESSION_STATUS},
        verdicts={outcome: int(row[f"verdicts_{outcome}"] or 0) for outcome in OUTCOMES},
        pairs=int(row["pairs"] or 0),
        spent_usd=float(row["spent_usd"] or 0),
        reserved_usd=float(row["reserved_usd"] or 0),
    )


def _sums() -> list[Any]:
    counted = [f"sessions_{status}" for status in SESSION_STATUS]
    counted += [f"verdicts_{outcome}" for outcome in OUTCOMES]
    counted += ["pairs", "spent_usd", "reserved_usd"]
    of_status = (
        func.count().filter(rounds.c.status == status).label(f"rounds_{status}")
        for status in ROUND_STATUS
    )
    return [*of_status, *(func.sum(rounds.c[name]).label(name) for name in counted)]
