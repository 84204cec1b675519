"""Routes of tokens: who may come in, and as what. For admins alone."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field, StringConstraints

from aaa.api.guard import needs
from aaa.api.paging import CLEAN, Cursor, Limit, Name, Page, page, unknown
from aaa.api.problems import errors
from aaa.errors import NotFound
from aaa.store.database import Database
from aaa.store.tokens import (
    MadeToken,
    TokenRole,
    TokenRow,
    create_token,
    list_tokens,
    revoke_token,
)
from aaa.types import Value

LONGEST_S = 10 * 366 * 86_400


class MakeToken(Value):
    """A token to make."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=CLEAN)]
    """Whose it is, or what for."""
    role: TokenRole
    expires_in_s: float | None = Field(None, gt=0, le=LONGEST_S, allow_inf_nan=False)
    """Seconds that it is good for; `None`: until it is revoked."""


def routes(database: Database) -> APIRouter:
    """`/v1/tokens`."""
    router = APIRouter(prefix="/v1/tokens", tags=["tokens"])
    admin: dict[str, Any] = {"dependencies": [needs("admin")]}

    @router.post("", status_code=201, responses=errors(400, 413), **admin)
    async def make(asked: MakeToken) -> MadeToken:
        """Make a token. It is told in this answer and never again."""
        return await create_token(
            database, name=asked.name, role=asked.role, for_s=asked.expires_in_s
        )

    @router.get("", responses=errors(), **admin)
    async def every(limit: Limit = 50, cursor: Cursor = None) -> Page[TokenRow]:
        """Tokens with their roles, newest first, without themselves."""
        try:
            found = await list_tokens(database, limit=limit + 1, before=cursor)
        except NotFound as error:
            raise unknown(cursor) from error
        return page(found, limit, lambda token: token.id)

    @router.delete("/{token_id}", responses=errors(404), **admin)
    async def revoke(token_id: Name) -> TokenRow:
        """Have the token of that id let nobody in any more, from this moment on."""
        return await revoke_token(database, token_id)

    return router
