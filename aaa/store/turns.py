"""Turns as rows, and the messages they share: each text once, by its hash."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.asking import Wish
from aaa.store.tables import messages, turns
from aaa.types import Call, Failure, Message, Messages, Reply, Turn

NO_ATTEMPT = 0
"""`attempt` of a turn whose words were given: nobody was asked."""


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


async def find_turn(connection: AsyncConnection, wish: Wish) -> Turn | None:
    """The turn on record for this wish, whoever asked."""
    found = await connection.execute(
        select(turns).where(turns.c.session_id == wish.session, turns.c.index == wish.index)
    )
    row = found.mappings().one_or_none()
    return None if row is None else read_turn(dict(row), wish.call.messages)


async def insert_turn(connection: AsyncConnection, wish: Wish, attempt: int, turn: Turn) -> bool:
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
            attempt=attempt,
            **turn.reply.model_dump(mode="json"),
        )
        .on_conflict_do_nothing()
        .returning(turns.c.index)
    )
    return made.scalar_one_or_none() is not None
