"""Listening: the application on a socket, with uvicorn, until told to stop.

Signals stay with whoever runs the process. Left out: TLS, which a proxy in front does.
"""

import asyncio
import contextlib
import errno
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from aaa.api.app import create_app
from aaa.api.pacing import UNHURRIED
from aaa.catalogue import Catalogue
from aaa.collecting import collect_seldom
from aaa.errors import SetupError
from aaa.loopback import is_loopback
from aaa.settings import Settings
from aaa.store.database import Database

GRACE_S = 2
"""What is being answered may take so long to end when the server stops."""
UNTAKEN_MS = 90_000
"""The kernel drops a connection whose peer takes nothing for so long (Linux)."""


async def serve(
    app: FastAPI,
    host: str,
    port: int,
    *,
    ready: asyncio.Event | None = None,
    stop: asyncio.Event,
) -> None:
    """Serve until `stop` is set. Before `ready` is set, `app.state.url` says where (port 0: any free).

    Raises `SetupError`: the port is taken, or others could come in without a token.
    """
    collect_seldom()  # a stream of rows would be searched for cycles that it has not
    with _listen(app, host, port) as listening:
        app.state.url = _url(host, listening.getsockname()[1])
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            log_level="warning",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listening])
        ender = asyncio.create_task(_end(server, stop))
        if ready is not None:
            ready.set()
        try:
            await server.main_loop()
        finally:
            ender.cancel()
            await app.state.listening.close()  # they would not end by themselves
            await server.shutdown(sockets=[listening])


async def _end(server: uvicorn.Server, stop: asyncio.Event) -> None:
    await stop.wait()
    server.should_exit = True


class Own(NamedTuple):
    """A control plane of this process's own, as `Client(*own)` takes it."""

    url: str
    token: SecretStr
    """Nobody else knows it: other users of this machine reach the port, too."""


@asynccontextmanager
async def local_api(
    settings: Settings, database: Database, catalogue: Catalogue
) -> AsyncIterator[Own]:
    """The control plane on this machine's loopback, on a free port, with a token made for this once."""
    token = secrets.token_urlsafe(32)
    app = create_app(settings, database, catalogue, token=token, requests=UNHURRIED)
    ready, stop = asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(serve(app, "127.0.0.1", 0, ready=ready, stop=stop))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if serving.done():
        waiting.cancel()
        await serving
    try:
        yield Own(app.state.url, SecretStr(token))
    finally:
        stop.set()
        await serving


def _listen(app: FastAPI, host: str, port: int) -> socket.socket:
    if not (app.state.guarded or is_loopback(host)):
        raise SetupError(
            f"{host!r} can be reached by others: set AAA_TOKEN to a secret that callers must send, "
            "make a token (`aaa tokens create --role admin --name ME`), "
            "or listen on 127.0.0.1"
        )
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SetupError(f"cannot listen on {host!r}: {error.strerror or error}") from error
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with contextlib.suppress(OSError, AttributeError):  # inherited by what is accepted
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNTAKEN_MS)
    try:
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise SetupError(_why(error, host, port)) from error
    return listening


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host} is in use: stop what listens there, or choose another with "
            "--port (0 takes any free one)"
        )
    if error.errno == errno.EACCES:
        return f"port {port} of {host} is not yours to take: choose one above 1023 with --port"
    return f"cannot listen on port {port} of {host}: {error.strerror or error}"


def _url(host: str, port: int) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}"
