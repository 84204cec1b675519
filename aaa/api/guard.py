"""Who may come in: bearer token, roles, Host header, size of bodies. Everything is closed by default.

A route states the role it needs (`needs`); only the routes that need `open` answer without a token.
Without a token configured, the server is for this machine's users alone: requests that a web page could
have sent through their browser (foreign Host or Origin) are refused.
"""

import hmac
from collections.abc import Sequence
from typing import Any, Literal
from urllib.parse import urlsplit

from fastapi import Depends, Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aaa.api.problems import problem

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


def check_caller(app: ASGIApp, token: str | None, opened: frozenset[str]) -> ASGIApp:
    """`app`, for callers with the token only; without a token, for this machine's users only."""
    secret = None if token is None else token.encode()

    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        headers, path = Headers(scope=scope), scope["path"]
        if secret is None:
            refusal = _foreign(headers)
            if refusal is not None:
                await problem(path, 421, refusal)(scope, receive, send)
                return
        elif path not in opened and not _knows(secret, headers):
            challenge = {"WWW-Authenticate": 'Bearer realm="aaa"'}
            told = problem(path, 401, "send `Authorization: Bearer TOKEN`", headers=challenge)
            await told(scope, receive, send)
            return
        scope["aaa.role"] = "open" if path in opened else "admin"
        await app(scope, receive, send)

    return checked


def _knows(secret: bytes, headers: Headers) -> bool:
    scheme, _, given = headers.get("authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode("utf-8", "replace"), secret)
    return scheme.lower() == "bearer" and same


def _foreign(headers: Headers) -> str | None:
    """Why a request may come from a web page of someone else's, else `None`."""
    host = headers.get("host", "")
    if _hostname(f"//{host}") not in OURS:
        return f"without a token only localhost is served, not {host!r}; set AAA_TOKEN for others"
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
