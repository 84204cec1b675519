"""The control plane: routes over the store, nothing else. It needs no Ray and holds no state of rounds.

Kill it, restart it, run several: what rounds do is decided by rows. Left out: listening on a port
(`server.py`).
"""

from collections.abc import Iterator

from fastapi import FastAPI
from starlette.routing import BaseRoute

import aaa
from aaa.api import catalogue as agents_and_scenarios
from aaa.api import (
    courses,
    description,
    events,
    gates,
    health,
    judging,
    metrics,
    pairs,
    ratings,
    rounds,
    sessions,
    tokens,
)
from aaa.api.guard import callers, check_caller, limit_body, open_paths
from aaa.api.pacing import Pace
from aaa.api.problems import STALLED_S, answer_problems, last_resort
from aaa.api.sse import KEEP_ALIVE_S, Listening
from aaa.catalogue import Catalogue
from aaa.settings import Settings
from aaa.store.database import Database


def create_app(
    settings: Settings,
    database: Database,
    catalogue: Catalogue,
    *,
    token: str | None = None,
    guarded: bool | None = None,
    requests: Pace | None = None,
    keep_alive_s: float = KEEP_ALIVE_S,
    stalled_s: float = STALLED_S,
) -> FastAPI:
    """The control plane's application.

    `guarded` (by default where there is `token`), every `/v1` route wants that token or one on record;
    else only this machine's users are served. `requests` is how often a token may ask (`None`: as `pacing`
    says).
    `app.state.listening` are the event streams, to be closed before the server stops.
    """
    listening = Listening(database, keep_alive_s=keep_alive_s)
    app = FastAPI(
        title="AAA",
        version=aaa.__version__,
        routes=list(_routes(database, catalogue, listening)),
        openapi_url=None,  # our own route, which states its role
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.listening = listening
    app.state.guarded = token is not None if guarded is None else guarded
    answer_problems(app)
    app.add_middleware(limit_body)
    known = callers(token, database) if app.state.guarded else None
    app.add_middleware(check_caller, known=known, opened=open_paths(app.routes), requests=requests)
    app.add_middleware(last_resort, stalled_s=stalled_s)  # added last, so outermost
    return app


def _routes(database: Database, catalogue: Catalogue, listening: Listening) -> Iterator[BaseRoute]:
    """Every route, flat: what is not listed here does not exist."""
    for router in (
        health.routes(database),
        rounds.routes(database, catalogue),
        courses.routes(database, catalogue),
        events.routes(database, listening),
        sessions.routes(database),
        pairs.routes(database),
        gates.routes(database),
        metrics.routes(database, listening),
        ratings.routes(database),
        judging.routes(database, catalogue),
        tokens.routes(database),
        agents_and_scenarios.routes(database, catalogue),
        description.routes(),
    ):
        yield from router.routes
