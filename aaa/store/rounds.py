"""Rounds as rows: create, show, list. How they are steered is in `steering.py`."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.catalogue import Script
from aaa.errors import Conflict, NotFound
from aaa.failpoints import hit
from aaa.scenario import Budget
from aaa.states import GOING, SESSION_STATUS
from aaa.store.database import Database
from aaa.store.events import append
from aaa.store.tables import attempts, rounds, seat_usage, sessions
from aaa.types import OUTCOMES, Seed, Value, fingerprint

SEEDS_AT_ONCE = 1000
"""Sessions inserted in one statement: a long list of seeds must not hold up everything else."""
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"


class Round(Value):
    """A round as users see it; `docs/design/events.md` names the fields."""

    id: str
    scenario: str
    description: str
    protocol: str
    seats: dict[str, list[str]]
    status: str
    reason: str
    message: str
    budget_usd: float | None
    budget_tokens: int | None
    budget_calls: int | None
    spent_usd: float
    reserved_usd: float
    spent_tokens: int
    reserved_tokens: int
    calls: int
    seat_budgets: dict[str, Budget]
    concurrency: int
    sessions: dict[str, int]
    turns: int
    prompt_tokens: int
    completion_tokens: int
    verdicts: dict[str, int]
    pairs: int
    last_event: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def counters(row: Mapping[str, Any]) -> dict[str, Any]:
    """The counters of a round's row, in the shape of `Round`."""
    return {
        "sessions": {
            "total": row["sessions_total"],
            **{status: row[f"sessions_{status}"] for status in SESSION_STATUS},
        },
        "turns": row["turns"],
        "prompt_tokens": row["prompt_tokens"],
        "completion_tokens": row["completion_tokens"],
        "verdicts": {outcome: row[f"verdicts_{outcome}"] for outcome in OUTCOMES},
        "pairs": row["pairs"],
        "spent_usd": float(row["spent_usd"]),
        "reserved_usd": float(row["reserved_usd"]),
        "spent_tokens": row["spent_tokens"],
        "reserved_tokens": row["reserved_tokens"],
        "calls": row["calls"],
    }


def _round(found: Row[Any]) -> Round:
    row = dict(found._mapping)
    scenario = row["script"]["scenario"]
    plain = (
        *("id", "scenario", "status", "reason", "message", "concurrency", "last_event"),
        *("budget_tokens", "budget_calls", "seat_budgets"),
    )
    times = ("created_at", "started_at", "finished_at")
    return Round(
        description=scenario["description"],
        protocol=scenario["protocol"]["id"],
        seats=scenario["seats"],
        budget_usd=None if row["budget_usd"] is None else float(row["budget_usd"]),
        **{name: row[name] for name in (*plain, *times)},
        **counters(row),
    )


async def create_round(
    database: Database,
    script: Script,
    seeds: Sequence[Seed],
    *,
    idempotency_key: str | None = None,
    request: object = None,
) -> Round:
    """Store a round with a session per seed; runners take it from there.

    The same `idempotency_key` with the same `request` gives the round that was made first; with
    another request it raises `Conflict`. So does a judge that `judging.require` does not take.
    """
    scenario = script.scenario
    request_hash = fingerprint(request)
    async with database.begin() as connection:
        made = (
            await connection.execute(
                pg_insert(rounds)
                .values(
                    id=new_id(scenario.name),
                    scenario=scenario.name,
                    script=script.without_seeds().model_dump(mode="json"),
                    status="queued",
                    budget_usd=scenario.budget_usd,
                    budget_tokens=scenario.budget_tokens,
                    budget_calls=scenario.budget_calls,
                    concurrency=scenario.concurrency,
                    sessions_total=len(seeds),
                    sessions_queued=len(seeds),
                    idempotency_key=idempotency_key,
                    request_hash=request_hash,
                )
                .on_conflict_do_nothing(index_elements=["idempotency_key"])
                .returning(rounds.c.id)
            )
        ).scalar_one_or_none()
        if made is None:
            return await _made_before(connection, str(idempotency_key), request_hash)
        if script.scenario.judging.require is not None:
            # here, since it brings NumPy, which no runner and no seat needs
            from aaa.store.calibrations import check_judges

            await check_judges(connection, script)
        await connection.execute(insert(seat_usage), _usage_rows(made, script))
        for first in range(0, len(seeds), SEEDS_AT_ONCE):
            rows = [
                {
                    "round_id": made,
                    "position": position,
                    "seed_id": seed.id,
                    "seed": seed.model_dump(mode="json"),
                    "status": "queued",
                }
                for position, seed in enumerate(seeds[first : first + SEEDS_AT_ONCE], first)
            ]
            await connection.execute(insert(sessions), rows)
        hit("create.inside")
        created = {
            "scenario": scenario.name,
            "sessions": len(seeds),
            "budget_usd": scenario.budget_usd,
        }
        await append(connection, made, [("round.created", created)])
        return await find(connection, made)


def _usage_rows(round_id: str, script: Script) -> list[dict[str, Any]]:
    """A row per seat, with the budget that the scenario gives it."""
    rows = []
    for seat in script.scenario.seats:
        cap = script.scenario.seat_budgets.get(seat, Budget())
        budget = {f"budget_{name}": most for name, most in cap.model_dump().items()}
        rows.append({"round_id": round_id, "seat": seat, **budget})
    return rows


def new_id(scenario: str) -> str:
    return f"{scenario[:40]}-{''.join(secrets.choice(ALPHABET) for _ in range(7))}"


async def made_with(database: Database, idempotency_key: str) -> str | None:
    """Id of the round that was started with this key, if one was."""
    async with database.begin() as connection:
        query = select(rounds.c.id).where(rounds.c.idempotency_key == idempotency_key)
        found: str | None = await connection.scalar(query)
        return found


async def made_before(
    database: Database, idempotency_key: str | None, request: object
) -> Round | None:
    """The round that was started with this key, if one was. Raises `Conflict`: by another request."""
    if idempotency_key is None or await made_with(database, idempotency_key) is None:
        return None
    async with database.begin() as connection:
        return await _made_before(connection, idempotency_key, fingerprint(request))


async def _made_before(connection: AsyncConnection, key: str, request_hash: str) -> Round:
    row = (
        await connection.execute(
            select(rounds.c.id, rounds.c.request_hash).where(rounds.c.idempotency_key == key)
        )
    ).one()
    if row.request_hash != request_hash:
        raise Conflict(
            f"Idempotency-Key {key!r} was used for another request (round {row.id!r}); take a new key"
        )
    return await find(connection, row.id)


def _rounds() -> Select[Any]:
    """Rounds with the budgets of their seats beside them, for `_round`."""
    caps = func.jsonb_build_object(
        "usd", seat_usage.c.budget_usd, "tokens", seat_usage.c.budget_tokens,
        "calls", seat_usage.c.budget_calls,
    )  # fmt: skip
    capped = func.num_nonnulls(
        seat_usage.c.budget_usd, seat_usage.c.budget_tokens, seat_usage.c.budget_calls
    )
    of_seats = (
        select(func.coalesce(func.jsonb_object_agg(seat_usage.c.seat, caps), text("'{}'::jsonb")))
        .where(seat_usage.c.round_id == rounds.c.id, capped > 0)
        .scalar_subquery()
    )
    return select(rounds, of_seats.label("seat_budgets"))


async def get_round(database: Database, round_id: str) -> Round:
    """That round. Raises `NotFound`."""
    async with database.begin() as connection:
        return await find(connection, round_id)


async def find(connection: AsyncConnection, round_id: str, *, lock: bool = False) -> Round:
    """That round, its row locked if so wanted. Raises `NotFound`."""
    query = _rounds().where(rounds.c.id == round_id)
    if lock:
        await connection.execute(
            select(rounds.c.id).where(rounds.c.id == round_id).with_for_update()
        )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound(f"no round {round_id!r}; `aaa rounds ls` lists them")
    return _round(row)


async def list_rounds(
    database: Database, *, limit: int = 50, before: str | None = None, status: str | None = None
) -> list[Round]:
    """Rounds, newest first, from the one after round `before` on. Raises `NotFound` for `before`."""
    query = _rounds().order_by(rounds.c.created_at.desc(), rounds.c.id.desc()).limit(limit)
    async with database.begin() as connection:
        if before is not None:
            last = await find(connection, before)
            query = query.where(
                (rounds.c.created_at < last.created_at)
                | ((rounds.c.created_at == last.created_at) & (rounds.c.id < last.id))
            )
        if status is not None:
            query = query.where(rounds.c.status == status)
        return [_round(row) for row in await connection.execute(query)]


async def get_script(database: Database, round_id: str) -> Script:
    """The script a round was started with. Raises `NotFound`."""
    async with database.begin() as connection:
        found = (
            await connection.execute(select(rounds.c.script).where(rounds.c.id == round_id))
        ).scalar_one_or_none()
    if found is None:
        raise NotFound(f"no round {round_id!r}; `aaa rounds ls` lists them")
    return Script.model_validate(found)


async def live_scripts(database: Database) -> dict[str, Script]:
    """Round -> script, of every round that wants sessions driven now."""
    return await _scripts(database, rounds.c.status.in_(GOING))


async def pausing_scripts(database: Database) -> dict[str, Script]:
    """Round -> script, of every paused round whose calls have not all come home.

    An attempt that nobody ends is closed by `recovery.sweep`, so a round is not among them for ever.
    """
    asking = select(sessions.c.round_id).join_from(sessions, attempts)
    asking = asking.where(attempts.c.status == "asking")
    return await _scripts(database, (rounds.c.status == "paused") & rounds.c.id.in_(asking))


async def _scripts(database: Database, wanted: ColumnElement[bool]) -> dict[str, Script]:
    async with database.begin() as connection:
        found = await connection.execute(select(rounds.c.id, rounds.c.script).where(wanted))
        return {row.id: Script.model_validate(row.script) for row in found}
