"""Tokens of callers: made, listed, revoked, and recognised. Only their hashes are stored.

A token is 256 random bits, so a plain SHA-256 of it cannot be searched backwards. Left out: what a role
may do (`api.guard`), and `AAA_TOKEN`, which is in the environment and not here.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, exists, func, insert, or_, select, tuple_, update

from aaa.errors import NotFound
from aaa.store.database import Database
from aaa.store.tables import tokens
from aaa.types import Value

TokenRole = Literal["viewer", "operator", "admin"]
PREFIX = "aaa_"
"""What a token begins with, so that scanners for leaked secrets know it, and we know what is none."""
BYTES = 32


class TokenRow(Value):
    """A token on record; the token itself is not."""

    id: str
    name: str
    """Whose it is, or what for."""
    role: TokenRole
    created_at: datetime
    expires_at: datetime | None
    """`None`: it does not expire."""
    revoked_at: datetime | None
    """`None`: it was not revoked."""


class MadeToken(TokenRow):
    """A token that was just made."""

    token: str
    """To be sent as `Authorization: Bearer …`; it is told this once."""


async def create_token(
    database: Database, *, name: str, role: TokenRole, for_s: float | None = None
) -> MadeToken:
    """A new token, good for `for_s` seconds (`None`: until it is revoked)."""
    token = PREFIX + secrets.token_urlsafe(BYTES)
    values: dict[str, Any] = {
        "id": f"t-{secrets.token_hex(4)}", "name": name, "role": role, "hash": digest(token),
        "expires_at": None if for_s is None else func.now() + timedelta(seconds=for_s),
    }  # fmt: skip
    async with database.begin() as connection:
        row = (await connection.execute(insert(tokens).values(**values).returning(*_SHOWN))).one()
    return MadeToken(**row._mapping, token=token)


async def list_tokens(
    database: Database, *, limit: int | None = None, before: str | None = None
) -> list[TokenRow]:
    """Tokens that were made, newest first, from the one after token `before` on; also those that let
    nobody in any more. Raises `NotFound` for `before`.
    """
    query = select(*_SHOWN).order_by(tokens.c.created_at.desc(), tokens.c.id.desc()).limit(limit)
    async with database.begin() as connection:
        if before is not None:
            at = await connection.scalar(select(tokens.c.created_at).where(tokens.c.id == before))
            if at is None:
                raise _none(before)
            query = query.where(tuple_(tokens.c.created_at, tokens.c.id) < tuple_(at, before))
        found = await connection.execute(query)
        return [TokenRow.model_validate(dict(row)) for row in found.mappings()]


async def revoke_token(database: Database, id: str) -> TokenRow:
    """From now on it lets nobody in; a second time changes nothing. Raises `NotFound`."""
    at = func.coalesce(tokens.c.revoked_at, func.now())
    change = update(tokens).where(tokens.c.id == id).values(revoked_at=at).returning(*_SHOWN)
    async with database.begin() as connection:
        row = (await connection.execute(change)).one_or_none()
    if row is None:
        raise _none(id)
    return TokenRow.model_validate(dict(row._mapping))


def _none(id: str) -> NotFound:
    return NotFound(f"no token {id!r}; `aaa tokens ls` lists them")


async def role_of_token(database: Database, token: str) -> TokenRole | None:
    """What its bearer may do; `None` where it is no token of ours, expired or revoked."""
    if not token.startswith(PREFIX):
        return None
    query = select(tokens.c.role).where(tokens.c.hash == digest(token), _good())
    async with database.begin() as connection:
        found: TokenRole | None = await connection.scalar(query)
        return found


async def hashes_of_tokens(database: Database) -> frozenset[bytes]:
    """`digest` of every token that lets somebody in."""
    async with database.begin() as connection:
        found = await connection.scalars(select(tokens.c.hash).where(_good()))
        return frozenset(found.all())


async def any_token(database: Database) -> bool:
    """Whether some token lets somebody in."""
    async with database.begin() as connection:
        return bool(await connection.scalar(select(exists().where(_good()))))


def digest(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _good() -> ColumnElement[bool]:
    unexpired = or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > func.now())
    return and_(tokens.c.revoked_at.is_(None), unexpired)


_SHOWN = tuple(tokens.c[name] for name in TokenRow.model_fields)
