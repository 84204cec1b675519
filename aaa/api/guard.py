"""Who may come in: bearer tokens, roles, Host header, how often, size of bodies. Closed by default.

A route states the role it needs (`needs`); only the routes that need `open` answer without a token.
Where there are no tokens, the server is for this machine's users alone: requests that a web page could
have sent through their browser (foreign Host or Origin) are refused.
"""

import asyncio
import hmac
import math
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aaa.api.pacing import MISSES, REQUESTS, Buckets, Pace
from aaa.api.problems import problem
from aaa.errors import StoreError
from aaa.store.database import Database
from aaa.store.tokens import digest, hashes_of_tokens, role_of_token

Role = Literal["open", "viewer", "operator", "admin"]
RANKS: tuple[Role, ...] = ("open", "viewer", "operator", "admin")
"""A role may do what those before it may."""

OURS = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts that name this machine, as a browser would write them."""
MAX_BODY_BYTES = 32 * 1024 * 1024
HASHES_S = 1.0
"""Where an address misses too often: how old the hashes may be among which a token is looked for."""


class _Needs:
    """A dependency that lets only a caller of that role, or a higher one, pass."""

    def __init__(self, role: Role) -> None:
        self.role = role

    def __call__(self, request: Request) -> None:
        has: Role = request.scope.get("aaa.role", "open")
        if RANKS.index(has) < RANKS.index(self.role):
            raise HTTPException(403, f"this needs the role {self.role!r}, the token has {has!r}")


def needs(role: Role) -> Any:
    """States the role that a route needs: `dependencies=[needs("viewer")]`."""
    return Depends(_Needs(role))


def role_of(route: BaseRoute) -> Role | None:
    """The role that a route needs; `None` where it states none."""
    stated = [
        depends.dependency.role
        for depends in getattr(route, "dependencies", ())
        if isinstance(depends.dependency, _Needs)
    ]
    return stated[0] if len(stated) == 1 else None


def open_paths(routes: Sequence[BaseRoute]) -> frozenset[str]:
    """Paths that need no token for any of their routes. Raises `RuntimeError`: a route states no role."""
    roles = [(str(getattr(route, "path", route)), role_of(route)) for route in routes]
    undeclared = [path for path, role in roles if role is None]
    if undeclared:
        raise RuntimeError(f"routes without a role: {', '.join(undeclared)}")
    closed = {path for path, role in roles if role != "open"}
    return frozenset(path for path, _ in roles) - closed


class Known(NamedTuple):
    """Whom the server knows. Both raise `StoreError`."""

    role: Callable[[str], Awaitable[Role | None]]
    """Token -> what its bearer may do; `None`: nothing."""
    hashes: Callable[[], Awaitable[Collection[bytes]]]
    """Of the tokens on record that let somebody in."""


def check_caller(
    app: ASGIApp, known: Known | None, opened: frozenset[str], requests: Pace | None = None
) -> ASGIApp:
    """`app`, for callers whose token is known; without `known`, for this machine's users only."""
    door = None if known is None else _Door(known, requests or REQUESTS)

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        path, refusal = scope["path"], None
        if door is None:
            why = _foreign(Headers(scope=scope))
            refusal = None if why is None else problem(path, 421, why)
            scope["aaa.role"] = "open" if path in opened else "admin"
        elif path in opened:
            scope["aaa.role"] = "open"
        else:
            refusal = await door.enter(scope)
        await (app if refusal is None else refusal)(scope, receive, send)

    return checked


class _Door:
    """Lets in who brings a token that is known, and nobody too often.

    Of an address with too many misses (behind a proxy that is everybody's), tokens are looked for where it
    costs nothing: those that came in before, and the hashes of those on record, read once in `HASHES_S`. So
    who guesses costs the database nothing, and who knows is let in. Only the operator's own secret, which
    may be short, is then not tried by somebody new: guessing it stays slow.
    """

    def __init__(self, known: Known, requests: Pace) -> None:
        self._known = known
        self._requests, self._misses = Buckets(requests), Buckets(MISSES)
        self._hashes: Collection[bytes] = ()
        self._read_at, self._reading = -math.inf, asyncio.Lock()

    async def enter(self, scope: Scope) -> Response | None:
        """Put the caller's role into the scope, or say why not."""
        path, address = scope["path"], str((scope.get("client") or ("",))[0])
        given = _bearer(Headers(scope=scope))
        missed_s = self._misses.wait_s(address, take=False)
        try:
            role = None if given is None else await self._role(given, seldom=missed_s > 0)
        except StoreError:
            return problem(path, 503, "the database does not answer now; try again in a moment")
        if role is None or given is None:
            return self._refusal(path, address, missed_s)
        wait_s = self._requests.wait_s(_name(given))
        if wait_s:
            return _too_often(path, wait_s, "too many requests of this token")
        scope["aaa.role"] = role
        return None

    async def _role(self, given: str, *, seldom: bool) -> Role | None:
        """What that token's bearer may do. With `seldom`, what is hardly a token is not looked for."""
        came_in = self._requests.knows(_name(given))
        if seldom and not (came_in or await self._on_record(given)):
            return None
        role = await self._known.role(given)
        if role is None and came_in:  # revoked: from now on it is as good as any other guess
            self._requests.forget(_name(given))
        return role

    async def _on_record(self, given: str) -> bool:
        async with self._reading:
            now = time.monotonic()
            if now - self._read_at >= HASHES_S:
                self._read_at = now  # also where it fails: the next look is due a while later
                self._hashes = await self._known.hashes()
        return digest(given) in self._hashes

    def _refusal(self, path: str, address: str, missed_s: float) -> Response:
        if missed_s:
            return _too_often(path, missed_s, "too many requests without a valid token")
        self._misses.wait_s(address)
        challenge = {"WWW-Authenticate": 'Bearer realm="aaa"'}
        return problem(path, 401, "send `Authorization: Bearer TOKEN`", headers=challenge)


def _name(token: str) -> str:
    """Of a caller, for the buckets."""
    return digest(token).hex()


def _too_often(path: str, wait_s: float, why: str) -> Response:
    after = max(1, math.ceil(wait_s))
    headers = {"Retry-After": str(after)}
    return problem(path, 429, f"{why}; try again in {after} s", headers=headers)


def _bearer(headers: Headers) -> str | None:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" and given.strip() else None


def callers(secret: str | None, database: Database) -> Known:
    """Who is known: the bearer of the operator's own secret as admin, and those with tokens on record."""
    own = None if secret is None else secret.encode()

    async def role(given: str) -> Role | None:
        if own is not None and hmac.compare_digest(given.encode("utf-8", "replace"), own):
            return "admin"
        return await role_of_token(database, given)

    return Known(role, partial(hashes_of_tokens, database))


def _foreign(headers: Headers) -> str | None:
    """Why a request may come from a web page of someone else's, else `None`."""
    host = headers.get("host", "")
    if _hostname(f"//{host}") not in OURS:
        return f"without a token only localhost is served, not {host!r}; make tokens for others"
    origin = headers.get("origin")
    if origin is not None and _hostname(origin) not in OURS:
        return f"requests from pages of {origin!r} are refused"
    return None


def _hostname(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # a port that is none makes the whole header suspect
    except ValueError:
        return None
    return parts.hostname if parts.username is None else None


def limit_body(app: ASGIApp, most_bytes: int = MAX_BODY_BYTES) -> ASGIApp:
    """`app`, with bodies above that size refused as 413, whether announced or not."""

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        refusal = f"bodies may have {most_bytes} bytes at most"
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdigit() or int(announced) > most_bytes:
            await problem(scope["path"], 413, refusal)(scope, receive, send)
            return
        await app(scope, _counted(receive, most_bytes, refusal), send)

    return limited


def _counted(receive: Receive, most_bytes: int, refusal: str) -> Receive:
    read = 0

    async def counted() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > most_bytes:
            raise HTTPException(413, refusal)
        return message

    return counted
