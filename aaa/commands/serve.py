"""`aaa serve`: control plane and supervisor, until stopped."""

import asyncio
import logging
from contextlib import nullcontext
from typing import Any

from aaa.catalogue import open_catalogue
from aaa.cluster.keeper import Supervised, supervising
from aaa.commands.opening import say
from aaa.commands.stopping import stopping
from aaa.errors import SetupError
from aaa.loopback import is_loopback
from aaa.preflight import check_cluster
from aaa.settings import Settings

log = logging.getLogger(__name__)


async def serve(settings: Settings, host: str, port: int, *, api: bool, supervisor: bool) -> int:
    """Serve until SIGINT or SIGTERM. Raises `SetupError` before anything listens."""
    if supervisor:
        check_cluster(settings)
    stop = asyncio.Event()
    async with supervising(settings, stop) if supervisor else nullcontext() as supervised:
        await _serve(settings, host, port, stop, api=api, supervised=supervised)
    return 0


async def _serve(
    settings: Settings,
    host: str,
    port: int,
    stop: asyncio.Event,
    *,
    api: bool,
    supervised: Supervised | None,
) -> None:
    # two seconds, in which the supervisor loads
    from aaa.api.app import create_app
    from aaa.api.server import serve as serve_api
    from aaa.store.opening import open_database
    from aaa.store.tokens import any_token

    async with open_database(settings) as database:
        catalogue = open_catalogue(settings)
        token = None if settings.token is None else settings.token.get_secret_value()
        guarded = token is not None or await any_token(database)
        if not (guarded or is_loopback(host)):
            raise SetupError(
                f"{host} can be reached from other machines: make a token first (`aaa tokens create "
                "--role admin --name ME`) or set AAA_TOKEN to a secret, or listen on 127.0.0.1"
            )
        ready = asyncio.Event()
        tasks: list[asyncio.Task[None]] = []
        announcing: asyncio.Task[None] | None = None
        with stopping(stop):
            if api:
                app = create_app(settings, database, catalogue, token=token, guarded=guarded)
                tasks.append(
                    asyncio.create_task(serve_api(app, host, port, ready=ready, stop=stop))
                )
                announcing = asyncio.create_task(_announce(ready, app, settings.log == "json"))
            if supervised is not None:
                tasks.append(supervised.with_database(database.url))
            try:
                await asyncio.gather(*tasks)
            finally:
                stop.set()
                if announcing is not None:
                    announcing.cancel()  # what never listened is never announced
                await asyncio.gather(*tasks, return_exceptions=True)


async def _announce(ready: asyncio.Event, app: Any, as_json: bool) -> None:
    await ready.wait()
    told = f"AAA listens on {app.state.url} (description: /openapi.json, readiness: /readyz)"
    if as_json:
        log.info(told)
    else:
        say(told)
