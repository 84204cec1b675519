"""Everything that goes wrong, as `application/problem+json` (RFC 9457): one shape for every status.

Errors of ours carry a sentence for the caller; what we did not foresee is logged here and told without
details. Left out: which route may answer what (each route says so with `errors`).
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aaa.errors import AAAError, Conflict, InputError, NotFound, SetupError, StoreError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
STALLED_S = 60.0
"""A reader that takes nothing for so long is dropped."""
LISTED = 20
"""Validation errors told at once."""


class Refused(BaseModel):
    """One thing that is wrong with a request."""

    loc: list[str | int]
    """Where: `["body", "budget_usd"]`."""
    msg: str


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str = Field(examples=["urn:aaa:problem:conflict"])
    """Names the kind of problem; the same for the same status."""
    title: str = Field(examples=["Conflict"])
    status: int = Field(examples=[409])
    detail: str = Field(examples=["round 'r' is completed: pause is not possible"])
    """One clear sentence for a person."""
    instance: str = Field(examples=["/v1/rounds/r/pause"])
    """Path of the request."""
    errors: list[Refused] | None = None
    """Set where the request does not have the shape that the route wants."""
    checks: dict[str, str] | None = None
    """Set by `/readyz`: check -> `ok`, or what is wrong."""


MEANINGS: Mapping[int, str] = {
    400: "The body cannot be read",
    401: "No bearer token, or not the right one",
    403: "The token's role does not allow this",
    404: "There is nothing of that name",
    405: "The path exists, the method does not",
    409: "Legal request, wrong moment; the detail names what is legal now",
    413: "The body is too large",
    421: "The Host header names another server",
    422: "The request is not well formed, or names what cannot be played",
    429: "Too many requests; `Retry-After` says when the next may come",
    500: "A defect of ours; the server's log says more",
    503: "The database or the cluster does not answer now",
}
HEADERS: Mapping[int, Mapping[str, Any]] = {
    401: {
        "WWW-Authenticate": {
            "description": "How to say who you are",
            "required": True,
            "schema": {"type": "string"},
            "example": 'Bearer realm="aaa"',
        }
    },
    429: {
        "Retry-After": {
            "description": "Seconds until the next request may come",
            "required": True,
            "schema": {"type": "integer", "minimum": 1},
            "example": 2,
        }
    },
}
"""What a problem of that status says besides its document."""
ALWAYS = (401, 403, 421, 422, 429, 500, 503)
"""What any route may answer."""

Told = dict[int | str, dict[str, Any]]


def errors(*statuses: int) -> Told:
    """The `responses` of a route: what it may answer when things go wrong."""
    schema = {"$ref": "#/components/schemas/Problem"}
    told: Told = {}
    for status in sorted({*statuses, *ALWAYS}):
        content = {MEDIA_TYPE: {"schema": schema}}
        told[status] = {"description": MEANINGS[status], "content": content}
        if status in HEADERS:
            told[status]["headers"] = HEADERS[status]
    return told


def started(what: str) -> Told:
    """The 202 of a route that starts something, and says in `Location` where that is."""
    header = {
        "description": f"Where the {what} is",
        "required": True,
        "schema": {"type": "string"},
        "example": f"/v1/{what}s/first-7k2m9qa",
    }
    return {
        202: {
            "description": f"The {what}, which is played from now on",
            "headers": {"Location": header},
        }
    }


def problem(
    path: str,
    status: int,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    **extra: object,
) -> Response:
    """A problem document as a response. Text that is no UTF-8 is escaped, never refused."""
    title = HTTPStatus(status).phrase
    body = {
        "type": f"urn:aaa:problem:{title.lower().replace(' ', '-')}",
        "title": title,
        "status": status,
        "detail": detail,
        "instance": path,
        **extra,
    }
    return Response(json.dumps(body), status, headers, media_type=MEDIA_TYPE)


def status_of(error: AAAError) -> int:
    """The HTTP status of an error of ours."""
    kinds = ((NotFound, 404), (InputError, 422), (Conflict, 409), (SetupError, 503))
    return next((status for kind, status in kinds if isinstance(error, kind)), 500)


def answer_problems(app: FastAPI) -> None:
    """Have every error of `app` answered as a problem document."""
    app.add_exception_handler(AAAError, _ours)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, AAAError)
    status, path = status_of(error), request.url.path
    if status == 500:
        log.error("%s %s: %s", request.method, path, type(error).__name__, exc_info=error)
        return problem(path, 500, "the server failed; its log says more")
    if isinstance(error, StoreError):
        log.warning("%s %s: %s", request.method, path, error)
        return problem(path, 503, "the database does not answer now; try again in a moment")
    return problem(path, status, str(error))


async def _malformed(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [{"loc": list(e["loc"]), "msg": e["msg"]} for e in error.errors()[:LISTED]]
    return problem(request.url.path, 422, "the request is not well formed", errors=found)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path, detail, headers = request.url.path, str(error.detail), error.headers
    if error.status_code == 404:
        detail = f"no route {request.method} {path}; /openapi.json lists them"
    elif error.status_code == 405:
        allowed = ", ".join(_methods(request))
        detail = f"{request.method} is not possible here; {allowed} is; see /openapi.json"
        headers = {"Allow": allowed}
    return problem(path, error.status_code, detail, headers=headers)


def _methods(request: Request) -> list[str]:
    """What is possible with this path: a path may have a route for each of its methods."""
    routes = (route for route in request.app.routes if isinstance(route, Route))
    matching = (r for r in routes if r.matches(request.scope)[0] is not Match.NONE)
    return sorted({method for route in matching for method in route.methods or ()})


class Stalled(Exception):
    """A reader takes nothing of what is sent to it."""


def last_resort(app: ASGIApp, stalled_s: float = STALLED_S) -> ASGIApp:
    """`app`, with what nobody foresaw logged once and told as a 500 without details.

    Where the answer had begun, it is left incomplete: the server closes the connection, and a reader
    can tell that something is missing. So it is for a reader that takes nothing for `STALLED_S`.
    """

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        began = False

        async def watch(message: Message) -> None:
            nonlocal began
            began = began or message["type"] == "http.response.start"
            try:
                async with asyncio.timeout(stalled_s):
                    await send(message)
            except TimeoutError as error:
                raise Stalled from error

        try:
            await app(scope, receive, watch)
        except Stalled:
            log.info("%s %s: dropped a reader that takes nothing", scope["method"], scope["path"])
        except Exception as error:
            if scope["type"] != "http":
                raise
            log.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
            if not began:
                told = problem(scope["path"], 500, "the server failed; its log says more")
                await told(scope, receive, send)

    return guarded
