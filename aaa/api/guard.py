"""Who may come in: bearer tokens, roles, Host header, how often, size of bodies. Closed by default.

A route states the role it needs (`needs`); only the routes that need `open` answer without a token.
Where there are no tokens, the server is for this machine's users alone: requests that a web page could
have sent through their browser (foreign Host or Origin) are refused.
"""

import hashlib
import hmac
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aaa.api.pacing import MISSES, REQUESTS, Buckets
from aaa.api.problems import problem
from aaa.errors import StoreError

Role = Literal["open", "viewer", "operator", "admin"]
RANKS: tuple[Role, ...] = ("open", "viewer", "operator", "admin")
"""A role may do what those before it may."""

OURS = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts that name this machine, as a browser would write them."""
MAX_BODY_BYTES = 32 * 1024 * 1024


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
    """Paths that need no token. Raises `RuntimeError` for a route that states no role."""
    roles = {str(getattr(route, "path", route)): role_of(route) for route in routes}
    undeclared = [path for path, role in roles.items() if role is None]
    if undeclared:
        raise RuntimeError(f"routes without a role: {', '.join(undeclared)}")
    return frozenset(path for path, role in roles.items() if role == "open")


Knows = Callable[[str], Awaitable[Role | None]]
"""Token -> what its bearer may do; `None`: nothing. Raises `StoreError`."""


def check_caller(app: ASGIApp, knows: Knows | None, opened: frozenset[str]) -> ASGIApp:
    """`app`, for callers whose token is known; without `knows`, for this machine's users only."""
    door = None if knows is None else _Door(knows)

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
    """Lets in who brings a token that is known, and nobody too often."""

    def __init__(self, knows: Knows) -> None:
        self._knows = knows
        self._requests, self._misses = Buckets(REQUESTS), Buckets(MISSES)

    async def enter(self, scope: Scope) -> Response | None:
        """Put the caller's role into the scope, or say why not."""
        path, address = scope["path"], str((scope.get("client") or ("",))[0])
        given = _bearer(Headers(scope=scope))
        wait_s = self._misses.wait_s(address, take=False)
        if wait_s:
            return _too_often(path, wait_s, "too many requests without a valid token")
        try:
            role = None if given is None else await self._knows(given)
        except StoreError:
            return problem(path, 503, "the database does not answer now; try again in a moment")
        if role is None or given is None:
            self._misses.wait_s(address)
            challenge = {"WWW-Authenticate": 'Bearer realm="aaa"'}
            return problem(path, 401, "send `Authorization: Bearer TOKEN`", headers=challenge)
        wait_s = self._requests.wait_s(hashlib.sha256(given.encode("utf-8", "replace")).hexdigest())
        if wait_s:
            return _too_often(path, wait_s, "too many requests of this token")
        scope["aaa.role"] = role
        return None


def _too_often(path: str, wait_s: float, why: str) -> Response:
    after = max(1, math.ceil(wait_s))
    headers = {"Retry-After": str(after)}
    return problem(path, 429, f"{why}; try again in {after} s", headers=headers)


def _bearer(headers: Headers) -> str | None:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" and given.strip() else None


def callers(secret: str | None, role_of_token: Knows) -> Knows:
    """Who is known: the bearer of the operator's own secret as admin, and those with tokens on record."""
    own = None if secret is None else secret.encode()

    async def knows(given: str) -> Role | None:
        if own is not None and hmac.compare_digest(given.encode("utf-8", "replace"), own):
            return "admin"
        return await role_of_token(given)

    return knows


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
