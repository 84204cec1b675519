"""Requests to one control plane: JSON, pages, streams, and what its refusals mean as errors of ours.

Left out: repeating requests (the caller decides).
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
from pydantic import SecretStr

from aaa.client.shapes import Json
from aaa.errors import AAAError, Conflict, InputError, NotFound, SetupError
from aaa.loopback import is_loopback


class Wire:
    """Kept connections to one control plane."""

    def __init__(self, url: str, token: SecretStr | None, timeout_s: float):
        """`url` is where `aaa serve` listens. Raises `InputError` when it is no http(s) URL."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(
                f"{url!r} is no URL of a control plane; it looks like http://HOST:PORT"
            )
        self.url = url.rstrip("/")
        headers = {"Accept": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token.get_secret_value()}"
        self.http = httpx.AsyncClient(
            base_url=self.url,
            headers=headers,
            timeout=timeout_s,
            trust_env=not is_loopback(parts.hostname),  # a proxy must not see our own machine's
        )

    async def ask(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | list[str]] | None = None,
        timeout_s: float | None = None,
    ) -> Any:
        """The JSON that came back; errors as in `_check`. `timeout_s` is longer than the client's own."""
        options: dict[str, Any] = {} if timeout_s is None else {"timeout": timeout_s}
        async with self.stream(
            path, method, json=body, headers=headers, params=params, **options
        ) as response:
            await check(response)
            try:
                return json.loads(await response.aread())
            except ValueError as error:
                raise SetupError(f"{self.url}{path} answered something else than JSON") from error

    async def pages(
        self, path: str, query: Mapping[str, str], limit: int | None
    ) -> AsyncIterator[Any]:
        """Rows of a list, page after page, at most `limit`."""
        given, cursor = 0, None
        while limit is None or given < limit:
            page_size = 200 if limit is None else min(200, limit - given)
            params = {**query, "limit": str(page_size)} | ({"cursor": cursor} if cursor else {})
            page = await self.ask("GET", path, params=params)
            for row in page["items"]:
                yield row
            given, cursor = given + len(page["items"]), page.get("next")
            if not cursor:
                return

    @asynccontextmanager
    async def stream(
        self, path: str, method: str = "GET", **options: Any
    ) -> AsyncIterator[httpx.Response]:
        try:
            async with self.http.stream(method, path, **options) as response:
                yield response
        except httpx.TransportError as error:
            raise SetupError(why_of(error, self.url)) from error


def path_of(*parts: str) -> str:
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def why_of(error: httpx.TransportError, url: str) -> str:
    """A transport error in words that say what to do."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return f"nobody answers at {url}; start `aaa serve` there, or set AAA_URL to where it runs"
    if isinstance(error, httpx.TimeoutException):
        return f"{url} accepted the connection but stayed silent"
    return f"the connection to {url} broke: {error or type(error).__name__}"


async def check(response: httpx.Response) -> None:
    """Raise what a refusal means; its words come from the problem document."""
    if response.is_success:
        return
    said, status = _problem(await response.aread()) or response.reason_phrase, response.status_code
    if status == 401:
        raise SetupError(f"the server wants a valid token ({said}); set AAA_TOKEN")
    if status == 403:
        raise SetupError(f"this token may not do that ({said}); use one with a higher role")
    if status == 503:
        raise SetupError(f"the server is not ready: {said}")
    kinds: dict[int, type[AAAError]] = {
        400: InputError,
        404: NotFound,
        409: Conflict,
        422: InputError,
    }
    raise kinds.get(status, AAAError)(
        said if status in kinds else f"the server said {status}: {said}"
    )


def _problem(body: bytes) -> str:
    """`detail` of a problem document (else `title`), with its list of errors where it has one."""
    try:
        problem = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(problem, dict):
        return ""
    said = str(problem.get("detail") or problem.get("title") or "")
    errors = problem.get("errors")
    listed = [_place(e) for e in errors if isinstance(e, dict)] if isinstance(errors, list) else []
    return said + (f" ({'; '.join(listed)})" if listed else "")


def _place(error: Json) -> str:
    """One validation error as `place: message`, whatever the server calls the two."""
    loc = error.get("loc") or error.get("pointer") or error.get("field") or ""
    place = ".".join(str(part) for part in loc) if isinstance(loc, list) else str(loc)
    said = str(error.get("msg") or error.get("message") or error.get("detail") or "")
    return f"{place}: {said}" if place else said
