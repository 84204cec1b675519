"""Routes for whoever watches the process: is it alive, and can it do its work?"""

import asyncio
from collections.abc import Mapping
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from aaa.api.guard import needs
from aaa.api.problems import errors, problem
from aaa.errors import StoreError
from aaa.store.database import Database
from aaa.store.leases import alive
from aaa.store.schema import schema_version

HEARTBEAT_S = 15
"""A process of the cluster that was not heard of for so long is gone."""
PATIENCE_S = 5.0
"""Longest wait for the database."""
CLUSTER = ("supervisor", "runner")
OK = "ok"


class Alive(BaseModel):
    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    status: Literal["ready"] = "ready"
    checks: dict[str, str]
    """Check -> `ok`."""


def routes(database: Database) -> APIRouter:
    """`/livez` and `/readyz`; both are open."""
    router = APIRouter(tags=["health"])

    @router.get("/livez", dependencies=[needs("open")], responses=errors())
    async def livez() -> Alive:
        """This process answers."""
        return Alive()

    @router.get("/readyz", dependencies=[needs("open")], response_model=Ready, responses=errors())
    async def readyz(request: Request) -> Ready | Response:
        """Database, schema and cluster are there; 503 says what is not."""
        checks = await check(database)
        wrong = [f"{name}: {said}" for name, said in checks.items() if said != OK]
        if wrong:
            return problem(request.url.path, 503, "; ".join(wrong), checks=checks)
        return Ready(checks=checks)

    return router


async def check(database: Database) -> Mapping[str, str]:
    """Check -> `ok`, or what is wrong in a few words."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            found, wanted = await schema_version(database)
            if found != wanted:
                return {
                    "database": OK,
                    "schema": f"is {found or 'empty'}, this code needs {wanted}",
                }
            heard = await alive(database, CLUSTER, HEARTBEAT_S)
    except (StoreError, TimeoutError):
        return {"database": "does not answer"}
    silent = f"none was heard of for {HEARTBEAT_S} s"
    cluster = {kind: OK if heard.get(kind) else silent for kind in CLUSTER}
    return {"database": OK, "schema": OK, **cluster}
