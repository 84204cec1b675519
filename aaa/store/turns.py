"""Turns as rows, and the messages they share: each text once, by its hash."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from aaa.asking import Wish
from aaa.store.rows import hexed, insert_many, many, rows_of
from aaa.store.tables import messages, turns
from aaa.types import Call, Failure, Message, Messages, Reply, Turn

NO_ATTEMPT = 0
"""`attempt` of a turn whose words were given: nobody was asked."""


def message_hash(message: Message) -> bytes:
    """What a message is stored under: SHA-256 of role and content."""
    return hashlib.sha256(f"{message.role}\0{message.content}".encode()).digest()


INSERT_MESSAGES = insert_many(messages, "hash", "role", "content").on_conflict_do_nothing()


async def insert_messages(connection: AsyncConnection, chat: Iterable[Message]) -> None:
    """Store messages that are not there yet; in hash order, so that two writers cannot deadlock."""
    by_hash = {message_hash(m): m for m in chat}
    rows = (
        {"hash": hexed(key), "role": by_hash[key].role, "content": by_hash[key].content}
        for key in sorted(by_hash)
    )
    await connection.execute(INSERT_MESSAGES, many(rows))


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


_AT = rows_of(turns.c.session_id, turns.c.index)
FIND = select(turns).join(
    _AT, (turns.c.session_id == _AT.c.session_id) & (turns.c.index == _AT.c.index)
)


async def find_turns(
    connection: AsyncConnection, asked: Mapping[tuple[int, int], Wish]
) -> dict[tuple[int, int], Turn]:
    """(session, index) -> the turn on record for these wishes, whoever asked."""
    found = await connection.execute(FIND, many({"session_id": s, "index": i} for s, i in asked))
    return {
        (row["session_id"], row["index"]): read_turn(
            dict(row), asked[row["session_id"], row["index"]].call.messages
        )
        for row in found.mappings()
    }


_COLUMNS = [c.name for c in turns.c if c.name != "at"]
INSERT = (
    insert_many(turns, *_COLUMNS)
    .on_conflict_do_nothing()
    .returning(turns.c.session_id, turns.c.index)
)


async def insert_turns(
    connection: AsyncConnection, new: Sequence[tuple[Wish, int, Turn]]
) -> set[tuple[int, int]]:
    """Store turns with the attempt each came from; (session, index) of those that were not there before."""
    await insert_messages(connection, (m for _, _, turn in new for m in turn.call.messages))
    made = await connection.execute(INSERT, many(_row(*each) for each in new))
    return {(session, index) for session, index in made}


def _row(wish: Wish, attempt: int, turn: Turn) -> dict[str, Any]:
    call = turn.call
    return {
        "session_id": wish.session,
        "index": wish.index,
        "seat": call.seat,
        "agent": call.agent,
        "purpose": call.purpose,
        "messages": [hexed(message_hash(m)) for m in call.messages],
        "sampling": call.sampling.model_dump(mode="json"),
        "shape": None if call.shape is None else call.shape.model_dump(mode="json"),
        "failure": None if turn.failure is None else turn.failure.model_dump(),
        "latency_s": turn.latency_s,
        "attempt": attempt,
        **turn.reply.model_dump(mode="json"),
    }
