"""Rounds as rows: create, show, list, and the transitions that users ask for.

A round's `status` is what is wanted; runners and seats obey it. Every transition is one transaction
that locks the round's row, so two callers cannot both win.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pydantic import Field
from sqlalchemy import Row, Select, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.catalogue import Script
from aaa.errors import Conflict, InputError, NotFound
from aaa.failpoints import hit
from aaa.scenario import MOST_COUNT, MOST_USD, Budget
from aaa.store.calibrations import check_judges
from aaa.store.database import Database
from aaa.store.events import append
from aaa.store.tables import OUTCOMES, SESSION_STATUS, rounds, seat_usage, sessions
from aaa.types import Seed, Value, fingerprint

SEEDS_AT_ONCE = 1000
"""Sessions inserted in one statement: a long list of seeds must not hold up everything else."""
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
LIVE = ("queued", "running", "paused")
TERMINAL = ("completed", "failed", "cancelled")
LEGAL: Mapping[str, tuple[str, ...]] = {
    "pause": ("queued", "running"),
    "resume": ("paused", "failed", "completed"),
    "cancel": ("queued", "running", "paused"),
}
"""Command -> states in which it is legal. A finished round resumes only if it has failed sessions."""


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
                    id=_new_id(scenario.name),
                    scenario=scenario.name,
                    script=script.model_dump(mode="json"),
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
        return await _get(connection, made)


def _usage_rows(round_id: str, script: Script) -> list[dict[str, Any]]:
    """A row per seat, with the budget that the scenario gives it."""
    rows = []
    for seat in script.scenario.seats:
        cap = script.scenario.seat_budgets.get(seat, Budget())
        budget = {f"budget_{name}": most for name, most in cap.model_dump().items()}
        rows.append({"round_id": round_id, "seat": seat, **budget})
    return rows


def _new_id(scenario: str) -> str:
    return f"{scenario[:40]}-{''.join(secrets.choice(ALPHABET) for _ in range(7))}"


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
    return await _get(connection, row.id)


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
        return await _get(connection, round_id)


async def _get(connection: AsyncConnection, round_id: str, *, lock: bool = False) -> Round:
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
            last = await _get(connection, before)
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
    async with database.begin() as connection:
        found = await connection.execute(
            select(rounds.c.id, rounds.c.script).where(rounds.c.status.in_(("queued", "running")))
        )
        return {row.id: Script.model_validate(row.script) for row in found}


async def pause_round(database: Database, round_id: str, *, halt: bool = False) -> Round:
    """No further call begins; those in flight come home, or with `halt` are broken off.

    A paused round whose calls still come home may be halted. Raises `Conflict`, `NotFound`.
    """
    async with database.begin() as connection:
        row = await _get(connection, round_id, lock=True)
        if not (halt and row.status == "paused"):
            _check_legal(row, "pause")
            await set_status(connection, round_id, "paused", "asked", "paused on request")
        await connection.execute(update(rounds).where(rounds.c.id == round_id).values(halt=halt))
        hit("steer.inside")
        return await _get(connection, round_id)


async def pause_for(database: Database, round_id: str, reason: str, message: str) -> None:
    """Pause a running round for a reason of our own. Repeats, and rounds that do not run, change nothing."""
    async with database.begin() as connection:
        row = await _get(connection, round_id, lock=True)
        if row.status in LEGAL["pause"]:
            await set_status(connection, round_id, "paused", reason, message)


async def resume_round(database: Database, round_id: str) -> Round:
    """Go on where it stopped; sessions that failed are tried again. Raises as `pause_round`."""
    async with database.begin() as connection:
        before = await _legal(connection, round_id, "resume")
        if before.status == "completed" and not before.sessions["failed"]:
            raise Conflict(f"round {round_id!r} is completed; there is nothing left to resume")
        again = await connection.execute(
            update(sessions)
            .where(sessions.c.round_id == round_id, sessions.c.status == "failed")
            .values(status="queued", reason="", message="", finished_at=None)
        )
        await connection.execute(
            update(rounds)
            .where(rounds.c.id == round_id)
            .values(status="running", halt=False, reason="", message="", finished_at=None)
        )
        await append(
            connection,
            round_id,
            [("round.running", {"reason": "resumed"})],
            {"sessions_failed": -again.rowcount, "sessions_queued": again.rowcount},
        )
        return await _get(connection, round_id)


async def cancel_round(database: Database, round_id: str) -> Round:
    """End it for good; what is recorded stays. Raises as `pause_round`."""
    async with database.begin() as connection:
        await _legal(connection, round_id, "cancel")
        ended = await connection.execute(
            update(sessions)
            .where(sessions.c.round_id == round_id, sessions.c.status.in_(("queued", "running")))
            .values(
                status="cancelled",
                epoch=sessions.c.epoch + 1,  # whoever drives it now has lost it
                reason="cancelled",
                lease_until=None,
            )
        )
        row = await _get(connection, round_id)
        await append(
            connection,
            round_id,
            [],
            {
                "sessions_cancelled": ended.rowcount,
                "sessions_queued": -row.sessions["queued"],
                "sessions_running": -row.sessions["running"],
            },
        )
        await set_status(connection, round_id, "cancelled", "asked", "cancelled on request")
        return await _get(connection, round_id)


class Retune(Value):
    """What to change of a live round; what is left out stays, `null` takes a budget away."""

    concurrency: int | None = Field(None, ge=1, le=100_000)
    """Sessions driven at once."""
    budget_usd: float | None = Field(None, ge=0, le=MOST_USD, allow_inf_nan=False)
    budget_tokens: int | None = Field(None, ge=0, le=MOST_COUNT)
    budget_calls: int | None = Field(None, ge=0, le=MOST_COUNT)
    seat_budgets: dict[str, Budget] | None = None
    """Seat -> its budget; of a seat named here, what is left out stays too."""

    @property
    def of_round(self) -> dict[str, Any]:
        """Column -> value, of those that were given."""
        given = self.model_dump(exclude_unset=True, exclude={"seat_budgets"})
        if given.get("concurrency", 1) is None:
            raise InputError("concurrency: a number is needed, got null")
        return given


async def retune_round(database: Database, round_id: str, wanted: Retune) -> Round:
    """Change a live round's limits. Raises `Conflict`, `NotFound`, `InputError`."""
    changes, of_seats = wanted.of_round, wanted.seat_budgets or {}
    if not (changes or of_seats):
        raise InputError(f"nothing to change; give one of {', '.join(Retune.model_fields)}")
    async with database.begin() as connection:
        for seat, budget in sorted(of_seats.items()):  # before the round's row: the journal's order
            await _cap_seat(connection, round_id, seat, budget)
        row = await _get(connection, round_id, lock=True)
        if row.status in TERMINAL:
            raise Conflict(f"round {round_id!r} is {row.status}; only {', '.join(LIVE)} can change")
        if changes:
            await connection.execute(
                update(rounds).where(rounds.c.id == round_id).values(**changes)
            )
        hit("steer.inside")
        told = wanted.model_dump(mode="json", exclude_unset=True)
        await append(connection, round_id, [("round.retuned", told)])
        return await _get(connection, round_id)


async def _cap_seat(connection: AsyncConnection, round_id: str, seat: str, budget: Budget) -> None:
    values = {f"budget_{k}": v for k, v in budget.model_dump(exclude_unset=True).items()}
    mine = (seat_usage.c.round_id == round_id, seat_usage.c.seat == seat)
    if values:
        changed = await connection.execute(update(seat_usage).where(*mine).values(**values))
        if changed.rowcount:
            return
    known = await connection.scalars(
        select(seat_usage.c.seat).where(seat_usage.c.round_id == round_id)
    )
    seats = sorted(known.all())
    if seat not in seats:
        await _get(connection, round_id)
        raise InputError(
            f"seat_budgets: round {round_id!r} has no seat {seat!r}; its seats: {', '.join(seats)}"
        )


class Wanted(NamedTuple):
    """What is wanted of a round now."""

    status: str
    halt: bool
    """Calls in flight are to be broken off."""
    concurrency: int
    running: int
    """Sessions that run, on all runners."""


async def wanted_of(database: Database, ids: Iterable[str]) -> dict[str, Wanted]:
    """Round -> what is wanted of it."""
    columns = (rounds.c.status, rounds.c.halt, rounds.c.concurrency, rounds.c.sessions_running)
    async with database.begin() as connection:
        found = await connection.execute(
            select(rounds.c.id, *columns).where(rounds.c.id.in_(list(ids)))
        )
        return {
            row.id: Wanted(
                row.status,
                row.halt or row.status == "cancelled",
                row.concurrency,
                row.sessions_running,
            )
            for row in found
        }


async def _legal(connection: AsyncConnection, round_id: str, command: str) -> Round:
    """The round, locked, if `command` is legal in its state. Raises `Conflict` naming what is."""
    row = await _get(connection, round_id, lock=True)
    _check_legal(row, command)
    return row


def _check_legal(row: Round, command: str) -> None:
    if row.status not in LEGAL[command]:
        legal = [name for name, states in LEGAL.items() if row.status in states]
        if not row.sessions["failed"] and row.status == "completed":
            legal = []
        raise Conflict(
            f"round {row.id!r} is {row.status}: {command} is not possible; "
            f"possible: {', '.join(legal) or 'nothing'}"
        )


async def set_status(
    connection: AsyncConnection, round_id: str, status: str, reason: str, message: str
) -> None:
    """Write a status and its event; a terminal one also says how the round ended."""
    done = status in TERMINAL
    changes: dict[str, Any] = {"status": status, "reason": reason, "message": message}
    if done:
        changes["finished_at"] = func.now()
    await connection.execute(update(rounds).where(rounds.c.id == round_id).values(**changes))
    data: dict[str, Any] = {"reason": reason, "message": message}
    if done:
        row = (await connection.execute(select(rounds).where(rounds.c.id == round_id))).one()
        data |= counters(dict(row._mapping))
    await append(connection, round_id, [(f"round.{status}", data)])
