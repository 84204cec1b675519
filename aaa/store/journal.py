"""The journal of calls: intents, answers, failures and verdicts, each one transaction.

Safe under any repetition: a turn is one row per (session, index), and whoever comes second reads what
the first wrote. A verdict is written only by the session's present owner (its epoch). Every transaction
here takes the round's row last and waits for no other row while it holds it, so none can deadlock.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, insert, literal, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.asking import Attempt, LeaseLost, RoundStopped, Wish
from aaa.errors import ModelError
from aaa.store.database import Database, patiently
from aaa.store.events import append, insert_events
from aaa.store.rounds import get_round, pause_for
from aaa.store.tables import attempts, ballots, messages, rounds, sessions, turns, verdicts
from aaa.transcripts import pair_id
from aaa.types import Call, Failure, Message, Messages, Reply, Seed, Turn, Verdict

EXCERPT = 600
"""Characters of a turn's text that travel in its event."""
NO_ATTEMPT = 0
"""`attempt` of a turn whose words were given: nobody was asked."""


class Journal:
    """`asking.Journal` on PostgreSQL, and the verdicts beside it."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def begin(self, wish: Wish, worst_usd: float) -> Attempt | Turn:
        """Record an intent. One short transaction, committed before the request leaves.

        A repeat after a lost connection may leave an attempt open; the next one closes it.
        """
        return await patiently(lambda: self._begin(wish, worst_usd), for_s=20)

    async def _begin(self, wish: Wish, worst_usd: float) -> Attempt | Turn:
        async with self.database.begin() as connection:
            recorded = await _turn(connection, wish)
            if recorded is not None:
                return recorded
            number = await _new_attempt(connection, wish, worst_usd)
            left = await _abandon_older(connection, wish, number)
            started = _about(wish) | {"attempt": number}
            await _reserve(connection, wish.round, worst_usd, left, ("call.started", started))
            return Attempt(number, worst_usd)
        # the session's owner is checked in `_new_attempt`, the round's state in `_reserve`

    async def answer(self, wish: Wish, attempt: Attempt, turn: Turn) -> Turn:
        """Record an answer: turn, attempt, money, counters and event commit together.

        It is paid for, so a database that is away is waited for.
        """
        return await patiently(lambda: self._answer(wish, attempt, turn))

    async def _answer(self, wish: Wish, attempt: Attempt, turn: Turn) -> Turn:
        reply = turn.reply
        async with self.database.begin() as connection:
            first = await _insert_turn(connection, wish, attempt, turn)
            await _close_attempt(connection, wish, attempt, "answered", reply.cost_usd)
            spent = {
                "spent_usd": reply.cost_usd or 0.0,
                "reserved_usd": -attempt.reserved_usd,
                "prompt_tokens": reply.prompt_tokens or 0,
                "completion_tokens": reply.completion_tokens or 0,
                "turns": int(first),
            }
            happened = [("turn", _turn_event(wish, turn))] if first else []
            await append(connection, wish.round, happened, spent, late=True)
            if first:
                return turn
            recorded = await _turn(connection, wish)
            assert recorded is not None
            return recorded

    async def fail(
        self, wish: Wish, attempt: Attempt, error: ModelError, retry_in_s: float | None
    ) -> None:
        """Record a failed attempt. Nothing is spent: the provider gave no answer."""
        failed = _about(wish) | {
            "attempt": attempt.number,
            "kind": error.kind,
            "message": str(error),
            "retry_in_s": None if retry_in_s is None else round(retry_in_s, 3),
        }
        async with self.database.begin() as connection:
            await _close_attempt(connection, wish, attempt, "failed", None, error.kind, str(error))
            await append(
                connection,
                wish.round,
                [("call.failed", failed)],
                {"reserved_usd": -attempt.reserved_usd},
                late=True,
            )

    async def given(self, wish: Wish) -> Turn:
        """Put the words of `call.given` on the record: a turn that cost nothing and had no attempt.

        Raises `LeaseLost` where another claim owns the session.
        """
        reply = wish.call.given
        assert reply is not None
        turn = Turn(index=wish.index, call=wish.call, reply=reply)
        await patiently(lambda: self._given(wish, turn), for_s=20)
        return turn

    async def _given(self, wish: Wish, turn: Turn) -> None:
        async with self.database.begin() as connection:
            await _owned(connection, wish.session, wish.epoch)
            if await _insert_turn(connection, wish, Attempt(NO_ATTEMPT, 0.0), turn):
                happened = [("turn", _turn_event(wish, turn))]
                await append(connection, wish.round, happened, {"turns": 1}, late=True)

    async def verdict(
        self,
        wish_of: tuple[str, int, int],
        index: int,
        after: int,
        verdict: Verdict,
        seed: Seed,
        a: Turn,
        b: Turn,
    ) -> None:
        """Record a verdict with its ballots. `wish_of`: (round, session, epoch). Raises `LeaseLost`."""
        round_id, session, epoch = wish_of
        pair = pair_id(seed, verdict, a, b)
        async with self.database.begin() as connection:
            await _owned(connection, session, epoch)
            await insert_messages(connection, verdict.context)
            made = await connection.execute(
                pg_insert(verdicts)
                .values(
                    session_id=session,
                    index=index,
                    after=after,
                    context=[message_hash(m) for m in verdict.context],
                    pair_id=pair,
                    **verdict.model_dump(exclude={"kind", "context", "ballots"}),
                )
                .on_conflict_do_nothing()
                .returning(verdicts.c.index)
            )
            if made.scalar_one_or_none() is None:
                return
            await _insert_ballots(connection, session, index, verdict)
            event = _verdict_event(session, index, verdict, pair, a, b)
            await append(
                connection,
                round_id,
                [("verdict", event)],
                {f"verdicts_{verdict.outcome}": 1, "pairs": int(pair is not None)},
                late=True,
            )


def message_hash(message: Message) -> bytes:
    """What a message is stored under: SHA-256 of role and content."""
    return hashlib.sha256(f"{message.role}\0{message.content}".encode()).digest()


async def insert_messages(connection: AsyncConnection, chat: Iterable[Message]) -> None:
    """Store messages that are not there yet; in hash order, so that two writers cannot deadlock."""
    rows = {message_hash(m): {"role": m.role, "content": m.content} for m in chat}
    await connection.execute(
        pg_insert(messages).on_conflict_do_nothing(),
        [{"hash": key, **rows[key]} for key in sorted(rows)],
    )


def read_turn(row: Mapping[str, Any], chat: Messages) -> Turn:
    """A row of `turns` and its messages, as the turn that was recorded."""
    call = Call(
        seat=row["seat"],
        agent=row["agent"],
        purpose=row["purpose"],
        messages=chat,
        sampling=row["sampling"],
        shape=row["shape"],
        given=_reply(row) if row["attempt"] == NO_ATTEMPT else None,
    )
    return Turn(
        index=row["index"],
        call=call,
        reply=_reply(row),
        failure=None if row["failure"] is None else Failure.model_validate(row["failure"]),
        latency_s=row["latency_s"],
    )


REPLY = tuple(Reply.model_fields)


def _reply(row: Mapping[str, Any]) -> Reply:
    return Reply(**{name: row[name] for name in REPLY})


async def _turn(connection: AsyncConnection, wish: Wish) -> Turn | None:
    row = (
        await connection.execute(
            select(turns).where(turns.c.session_id == wish.session, turns.c.index == wish.index)
        )
    ).one_or_none()
    return None if row is None else read_turn(dict(row._mapping), wish.call.messages)


async def _owned(connection: AsyncConnection, session: int, epoch: int) -> None:
    """Raises `LeaseLost` unless this claim owns the session.

    It takes no lock: who holds a session's row may not wait for its round's. A claim that is lost between
    this look and the commit leaves an intent or a verdict that the next owner's replay would make too.
    """
    found = await connection.execute(
        select(true()).where(
            sessions.c.id == session, sessions.c.epoch == epoch, sessions.c.status == "running"
        )
    )
    if found.one_or_none() is None:
        raise LeaseLost(f"session {session}: claim {epoch} is over")


async def _new_attempt(connection: AsyncConnection, wish: Wish, reserved_usd: float) -> int:
    """Number of a new attempt. Whoever took the same one first, a lost owner say, is counted past."""
    await _owned(connection, wish.session, wish.epoch)
    of_call = (attempts.c.session_id == wish.session) & (attempts.c.index == wish.index)
    number = select(func.coalesce(func.max(attempts.c.attempt), 0) + 1).where(of_call)
    values = {
        "session_id": wish.session,
        "index": wish.index,
        "attempt": number.scalar_subquery(),
        "epoch": wish.epoch,
        "agent": wish.call.agent,
        "status": "asking",
        "reserved_usd": reserved_usd,
    }
    make = pg_insert(attempts).values(values).on_conflict_do_nothing()
    while True:
        made = await connection.execute(make.returning(attempts.c.attempt))
        found = made.scalar_one_or_none()
        if found is not None:
            return int(found)


async def _abandon_older(connection: AsyncConnection, wish: Wish, number: int) -> float:
    """Close what a dead process left in flight for this call; USD that it had reserved.

    Its request may have been served and billed: what was reserved counts as spent.
    """
    left = await connection.execute(
        update(attempts)
        .where(
            attempts.c.session_id == wish.session,
            attempts.c.index == wish.index,
            attempts.c.attempt < number,
            attempts.c.status == "asking",
        )
        .values(status="abandoned", finished_at=func.now(), cost_usd=attempts.c.reserved_usd)
        .returning(attempts.c.reserved_usd)
    )
    return float(sum(left.scalars()))


async def _reserve(
    connection: AsyncConnection,
    round_id: str,
    worst_usd: float,
    left_usd: float,
    happened: tuple[str, Mapping[str, Any]],
) -> None:
    """Reserve, if the round runs and its budget allows; else raise `RoundStopped` (all undone).

    One conditional UPDATE of the round's row: callers queue on its lock, and each sees the sum that
    the one before left. So spent + reserved never passes the budget.
    """
    after = rounds.c.spent_usd + rounds.c.reserved_usd + literal(worst_usd)
    fits: ColumnElement[bool] = or_(
        rounds.c.budget_usd.is_(None), literal(worst_usd) == 0, after <= rounds.c.budget_usd
    )
    last = (
        await connection.execute(
            update(rounds)
            .where(rounds.c.id == round_id, rounds.c.status == "running", fits)
            .values(
                reserved_usd=rounds.c.reserved_usd + literal(worst_usd) - literal(left_usd),
                spent_usd=rounds.c.spent_usd + literal(left_usd),
                last_event=rounds.c.last_event + 1,
            )
            .returning(rounds.c.last_event)
        )
    ).scalar_one_or_none()
    if last is None:
        status = await connection.scalar(select(rounds.c.status).where(rounds.c.id == round_id))
        raise RoundStopped("budget_reached" if status == "running" else str(status))
    await insert_events(connection, round_id, last, [happened])


async def pause_at_budget(database: Database, round_id: str) -> None:
    """Pause a running round because its next call could pass its budget."""
    row = await get_round(database, round_id)
    await pause_for(
        database,
        round_id,
        "budget_reached",
        f"the next call could pass the budget of ${row.budget_usd:.4f} (spent ${row.spent_usd:.4f}, "
        f"reserved ${row.reserved_usd:.4f}); raise it with `aaa rounds set {round_id} "
        f"budget_usd=…`, then `aaa rounds resume {round_id}`",
    )


async def _insert_turn(
    connection: AsyncConnection, wish: Wish, attempt: Attempt, turn: Turn
) -> bool:
    """Store a turn; `False` where one was there before."""
    call = turn.call
    await insert_messages(connection, call.messages)
    made = await connection.execute(
        pg_insert(turns)
        .values(
            session_id=wish.session,
            index=wish.index,
            seat=call.seat,
            agent=call.agent,
            purpose=call.purpose,
            messages=[message_hash(m) for m in call.messages],
            sampling=call.sampling.model_dump(mode="json"),
            shape=None if call.shape is None else call.shape.model_dump(mode="json"),
            failure=None if turn.failure is None else turn.failure.model_dump(),
            latency_s=turn.latency_s,
            attempt=attempt.number,
            **turn.reply.model_dump(mode="json"),
        )
        .on_conflict_do_nothing()
        .returning(turns.c.index)
    )
    return made.scalar_one_or_none() is not None


async def _close_attempt(
    connection: AsyncConnection,
    wish: Wish,
    attempt: Attempt,
    status: str,
    cost_usd: float | None,
    kind: str | None = None,
    message: str | None = None,
) -> None:
    await connection.execute(
        update(attempts)
        .where(
            attempts.c.session_id == wish.session,
            attempts.c.index == wish.index,
            attempts.c.attempt == attempt.number,
        )
        .values(
            status=status, cost_usd=cost_usd, kind=kind, message=message, finished_at=func.now()
        )
    )


async def _insert_ballots(
    connection: AsyncConnection, session: int, index: int, verdict: Verdict
) -> None:
    rows: Sequence[dict[str, Any]] = [
        {"session_id": session, "verdict": index, "number": number, **ballot.model_dump()}
        for number, ballot in enumerate(verdict.ballots)
    ]
    if rows:
        await connection.execute(insert(ballots), rows)


def _about(wish: Wish) -> dict[str, Any]:
    call = wish.call
    return {
        "session": wish.session,
        "index": wish.index,
        "seat": call.seat,
        "agent": call.agent,
        "purpose": call.purpose,
    }


def _turn_event(wish: Wish, turn: Turn) -> dict[str, Any]:
    reply = turn.reply
    return _about(wish) | {
        "text": reply.text[:EXCERPT],
        "characters": len(reply.text),
        "finish_reason": reply.finish_reason,
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "cost_usd": reply.cost_usd,
        "latency_s": turn.latency_s,
        "failure": None if turn.failure is None else turn.failure.kind,
    }


def _verdict_event(
    session: int, index: int, verdict: Verdict, pair: str | None, a: Turn, b: Turn
) -> dict[str, Any]:
    plain = verdict.model_dump(
        include={"edge", "outcome", "winner", "margin", "a", "b", "judging", "reason"}, mode="json"
    )
    shown = {"judge", "order", "prefers", "error"}
    return plain | {
        "session": session,
        "index": index,
        "agents": {"a": a.call.agent, "b": b.call.agent},
        "ballots": [ballot.model_dump(include=shown) for ballot in verdict.ballots],
        "pair": pair,
    }
