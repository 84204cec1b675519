"""Every route x every kind of caller (S1), over the routes that there are; and what is kept of tokens."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import text

from aaa.api import guard
from aaa.api.app import create_app
from aaa.api.guard import RANKS, role_of
from aaa.api.pacing import Pace
from aaa.api.problems import MEDIA_TYPE
from aaa.catalogue import Catalogue
from aaa.settings import Settings
from aaa.store.database import Database
from aaa.store.tokens import TokenRole, any_token, create_token, revoke_token, role_of_token

ROLES: tuple[TokenRole, ...] = ("viewer", "operator", "admin")
INSIDE = {200, 201, 202, 204, 404, 409, 422, 503}
"""What a route says to who got in: it looked at what was asked."""


@pytest.fixture
def guarded(
    settings: Settings, database: Database, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> FastAPI:
    for name in ("REQUESTS", "MISSES"):  # each cell is asked here, not how often
        monkeypatch.setattr(guard, name, Pace(per_s=1e6, burst=1e6))
    return create_app(settings, database, catalogue, guarded=True)


@pytest.fixture
async def inside(guarded: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(guarded)
    async with httpx.AsyncClient(transport=transport, base_url="http://aaa.example") as client:
        yield client


async def bearers(database: Database) -> dict[str, tuple[str | None, TokenRole | None]]:
    """Kind of caller -> (Authorization, its role)."""
    made = {role: (await create_token(database, name=role, role=role)).token for role in ROLES}
    expired = await create_token(database, name="expired", role="admin", for_s=0.001)
    revoked = await create_token(database, name="revoked", role="admin")
    await revoke_token(database, revoked.id)
    await asyncio.sleep(0.05)
    return {
        "nobody": (None, None),
        "malformed": ("Bearer", None),
        "unknown": (f"Bearer {made['admin'][:-1]}x", None),
        "a hash": (f"Bearer aaa_{'0' * 43}", None),
        "expired": (f"Bearer {expired.token}", None),
        "revoked": (f"Bearer {revoked.token}", None),
        **{role: (f"Bearer {token}", role) for role, token in made.items()},
    }


def calls(app: FastAPI) -> list[tuple[str, str, APIRoute]]:
    routes = [route for route in app.routes if isinstance(route, APIRoute)]
    assert len(routes) == len(app.routes)
    filled = [(route, route.path_format.replace("{", "").replace("}", "")) for route in routes]
    return [(m, path, route) for route, path in filled for m in sorted(route.methods or ())]


async def test_every_cell_of_route_and_caller(
    guarded: FastAPI, inside: httpx.AsyncClient, database: Database
) -> None:
    known, cells = await bearers(database), 0
    for method, path, route in calls(guarded):
        needed = role_of(route)
        assert needed is not None, f"{route.path} states no role"
        for kind, (header, role) in known.items():
            headers = {} if header is None else {"Authorization": header}
            said = (await inside.request(method, path, headers=headers)).status_code
            if needed == "open":
                assert said in INSIDE, (method, path, kind, said)
            elif role is None:
                assert said == 401, (method, path, kind, said)
            elif RANKS.index(role) < RANKS.index(needed):
                assert said == 403, (method, path, kind, said)
            else:
                assert said in INSIDE, (method, path, kind, said)
            cells += 1
    assert cells == len(known) * len(calls(guarded)) > 300


async def test_a_token_is_told_once_and_kept_nowhere(
    inside: httpx.AsyncClient, database: Database
) -> None:
    admin = await create_token(database, name="first", role="admin")
    headers = {"Authorization": f"Bearer {admin.token}"}
    asked = {"name": "dashboard", "role": "viewer", "expires_in_s": 60}
    made = (await inside.post("/v1/tokens", json=asked, headers=headers)).json()
    assert made["token"].startswith("aaa_")
    assert len(made["token"]) == 47
    listed = await inside.get("/v1/tokens", headers=headers)
    assert made["token"] not in listed.text
    assert [row["name"] for row in listed.json()["items"]] == ["dashboard", "first"]
    async with database.begin() as connection:
        rows = (await connection.execute(text("SELECT tokens::text FROM tokens"))).scalars().all()
    assert not [row for row in rows if made["token"] in row or admin.token in row]
    own = {"Authorization": f"Bearer {made['token']}"}
    assert (await inside.get("/v1/rounds", headers=own)).status_code == 200
    assert (await inside.delete(f"/v1/tokens/{made['id']}", headers=own)).status_code == 403
    assert (await inside.delete(f"/v1/tokens/{made['id']}", headers=headers)).status_code == 200
    assert (await inside.get("/v1/rounds", headers=own)).status_code == 401
    gone = await inside.delete("/v1/tokens/t-none", headers=headers)
    assert gone.status_code == 404
    assert gone.headers["content-type"] == MEDIA_TYPE


async def test_who_has_a_token_is_let_in_while_others_guess_from_the_same_address(
    settings: Settings, database: Database, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with a token never seen before; and guesses cost the database next to nothing."""
    asked: list[str] = []

    async def counted(database: Database, token: str) -> TokenRole | None:
        asked.append(token)
        return await role_of_token(database, token)

    monkeypatch.setattr(guard, "role_of_token", counted)
    monkeypatch.setattr(guard, "MISSES", Pace(per_s=0.001, burst=3))
    app = create_app(settings, database, catalogue, guarded=True)
    ours = await create_token(database, name="ours", role="viewer")
    revoked = await create_token(database, name="revoked", role="viewer")

    async def said(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return (await api.get("/v1/rounds", headers=headers)).status_code

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://aaa.example") as api:
        assert await said(revoked.token) == 200
        await revoke_token(database, revoked.id)
        guesses = [await said(f"aaa_{number}") for number in range(20)]
        assert guesses == [401] * 3 + [429] * 17
        assert len(asked) == 1 + 3
        assert await said(ours.token) == 200
        assert [await said(revoked.token) for _ in range(5)] == [429] * 5
        assert len(asked) == 1 + 3 + 2
        made = await create_token(database, name="made just now", role="viewer")
        await asyncio.sleep(guard.HASHES_S)
        assert await said(made.token) == 200


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"name": "x", "role": "open"},
        {"name": "", "role": "admin"},
        {"name": "x\x1b[2J", "role": "admin"},
        {"name": "x", "role": "admin", "expires_in_s": 0},
        {"name": "x", "role": "admin", "expires_in_s": 1e300},
        {"name": "x", "role": "admin", "token": "mine"},
    ],
)
async def test_wrong_wishes_make_no_token(
    api: httpx.AsyncClient, database: Database, asked: dict[str, object]
) -> None:
    response = await api.post("/v1/tokens", json=asked)
    assert response.status_code == 422
    assert response.headers["content-type"] == MEDIA_TYPE
    assert not await any_token(database)


async def test_pages_of_tokens(api: httpx.AsyncClient, database: Database) -> None:
    made = [(await create_token(database, name=str(n), role="viewer")).id for n in range(5)]
    seen, query = [], "limit=2"
    while True:
        page = (await api.get(f"/v1/tokens?{query}")).json()
        seen += [row["id"] for row in page["items"]]
        if page["next"] is None:
            break
        query = f"limit=2&cursor={page['next']}"
    assert seen == made[::-1]
    wrong = await api.get("/v1/tokens?cursor=t-none")
    assert (wrong.status_code, "is no `next`" in wrong.text) == (422, True)


async def test_what_is_no_token_of_ours_is_not_looked_for(database: Database) -> None:
    assert await role_of_token(Database("postgresql://nobody@127.0.0.1:9/none"), "secret") is None
    assert await role_of_token(database, "aaa_") is None
    made = await create_token(database, name="x", role="viewer")
    assert await role_of_token(database, made.token) == "viewer"
    assert await any_token(database)
    await revoke_token(database, made.id)
    again = await revoke_token(database, made.id)
    assert again.revoked_at is not None
    assert not await any_token(database)
