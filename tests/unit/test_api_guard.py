"""Who may come in. Every cell of route x caller is asserted, over the routes that there are."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Body, FastAPI
from fastapi.routing import APIRoute

from aaa.api.app import create_app
from aaa.api.description import describe
from aaa.api.guard import Known, Role, check_caller, limit_body, needs, open_paths, role_of
from aaa.api.pacing import Buckets
from aaa.api.problems import MEDIA_TYPE, answer_problems
from aaa.settings import Settings
from aaa.store.database import Database
from tests.catalogues import small_catalogue

TOKEN = "a-long-secret"
OPEN = {"/livez", "/readyz", "/openapi.json"}
BAD_CALLERS: dict[str, str | None] = {
    "no header": None,
    "empty": "",
    "no scheme": TOKEN,
    "another scheme": f"Basic {TOKEN}",
    "no token": "Bearer",
    "blank token": "Bearer  ",
    "wrong token": "Bearer a-long-secreT",
    "a piece": f"Bearer {TOKEN[:-1]}",
    "more": f"Bearer {TOKEN}x",
    "not ASCII": "Bearer clé",
}


def control_plane(folder: Path, token: str | None) -> FastAPI:
    """An application whose database nobody reaches: whoever gets as far as it, got in."""
    database = Database("postgresql://nobody@127.0.0.1:9/none")
    return create_app(Settings(), database, small_catalogue(folder), token=token)


@pytest.fixture
def guarded(tmp_path: Path) -> FastAPI:
    return control_plane(tmp_path, TOKEN)


@pytest.fixture
def unguarded(tmp_path: Path) -> FastAPI:
    return control_plane(tmp_path, None)


def client(app: FastAPI, host: str = "http://localhost") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=host)


def calls(app: FastAPI) -> list[tuple[str, str, APIRoute]]:
    """(method, a path, route) of every route."""
    return [
        (method, _filled(route.path_format), route)
        for route in api_routes(app)
        for method in sorted(route.methods or ())
    ]


def api_routes(app: FastAPI) -> list[APIRoute]:
    routes = [route for route in app.routes if isinstance(route, APIRoute)]
    assert routes
    assert len(routes) == len(app.routes)  # nothing that these tests would not see
    return routes


def _filled(path: str) -> str:
    for name in ("round_id", "session_id", "pair_id", "name", "token_id"):
        path = path.replace(f"{{{name}}}", "1")
    return path


def test_every_route_states_a_role(guarded: FastAPI) -> None:
    routes = api_routes(guarded)
    assert {route.path for route in routes if role_of(route) == "open"} == OPEN
    for route in routes:
        reads = route.methods == {"GET"}
        wanted = "open" if route.path in OPEN else "viewer" if reads else "operator"
        wanted = "admin" if route.path.startswith("/v1/tokens") else wanted
        assert role_of(route) == wanted, route.path


def test_the_description_tells_roles_and_what_may_go_wrong(guarded: FastAPI) -> None:
    told = describe(guarded)["paths"]
    for route in api_routes(guarded):
        for method in (route.methods or ()) if route.include_in_schema else ():
            said = told[route.path_format][method.lower()]
            assert said["x-role"] == role_of(route)
            assert {"401", "403", "422", "429", "500", "503"} <= set(said["responses"])
            if "requestBody" in said:
                assert {"400", "413"} <= set(said["responses"]), route.path
    links = told["/v1/rounds"]["post"]["responses"]["202"]["links"]
    assert any("pause" in name for name in links)
    operations = {one["operationId"] for methods in told.values() for one in methods.values()}
    assert {link["operationId"] for link in links.values()} <= operations


def test_every_list_comes_in_pages(guarded: FastAPI) -> None:
    described = describe(guarded)
    schemas, lists = described["components"]["schemas"], 0
    for path, methods in described["paths"].items():
        told = methods.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        schema = told.get("application/json", {}).get("schema", {})
        assert schema.get("type") != "array", path
        fields = schemas.get(schema.get("$ref", "").rpartition("/")[2], {}).get("properties", {})
        if "items" in fields:
            lists += 1
            assert "next" in fields, path
            taken = {parameter["name"] for parameter in methods["get"]["parameters"]}
            assert {"limit", "cursor"} <= taken, path
    assert lists >= 9


async def test_a_method_that_is_not_possible_is_told_all_that_are(unguarded: FastAPI) -> None:
    async with client(unguarded) as api:
        response = await api.put("/v1/rounds")
        assert response.status_code == 405
        assert response.headers["allow"] == "GET, POST"
        assert "GET, POST is" in response.json()["detail"]


def test_a_route_without_a_role_is_refused() -> None:
    router = APIRouter()

    @router.get("/fine", dependencies=[needs("viewer")])
    async def fine() -> None: ...

    @router.get("/forgotten")
    async def forgotten() -> None: ...

    with pytest.raises(RuntimeError, match="without a role: /forgotten"):
        open_paths(router.routes)


def test_each_route_of_a_path_states_its_own_role() -> None:
    router = APIRouter()

    @router.post("/twice")
    async def forgotten() -> None: ...

    @router.get("/twice", dependencies=[needs("open")])
    async def fine() -> None: ...

    with pytest.raises(RuntimeError, match="without a role: /twice"):
        open_paths(router.routes)


def test_a_path_is_open_where_all_its_routes_are() -> None:
    router = APIRouter()

    @router.post("/both", dependencies=[needs("admin")])
    async def closed() -> None: ...

    @router.get("/both", dependencies=[needs("open")])
    async def opened() -> None: ...

    @router.get("/open", dependencies=[needs("open")])
    async def fine() -> None: ...

    assert open_paths(router.routes) == {"/open"}


@pytest.mark.parametrize("header", BAD_CALLERS.values(), ids=BAD_CALLERS)
async def test_no_route_without_the_token(guarded: FastAPI, header: str | None) -> None:
    headers = {} if header is None else {b"Authorization": header.encode()}
    async with client(guarded) as api:
        for method, path, route in calls(guarded):
            if route.path in OPEN:
                continue
            response = await api.request(method, path, headers=headers)
            assert response.status_code == 401, (method, path)
            assert response.headers["www-authenticate"].startswith("Bearer")
            assert response.headers["content-type"] == MEDIA_TYPE
            assert TOKEN not in response.text


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/nothing", "/", "/docs", "/LIVEZ", "//livez", "/livez/"]
)
async def test_what_is_no_route_is_closed_too(guarded: FastAPI, path: str) -> None:
    async with client(guarded) as api:
        assert (await api.get(path)).status_code == 401


@pytest.fixture
def no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is: nobody is given back what they took."""
    monkeypatch.setattr("aaa.api.guard.Buckets", partial(Buckets, clock=lambda: 0.0))


@pytest.mark.usefixtures("no_time_passes")
async def test_who_guesses_is_slowed_down_and_who_came_in_is_not_locked_out(tmp_path: Path) -> None:
    """Behind a proxy they all come from one address."""
    guarded = control_plane(tmp_path, TOKEN)
    right, wrong = ({"Authorization": f"Bearer {t}"} for t in (TOKEN, "wrong"))
    async with client(guarded) as api:
        assert (await api.get("/v1/scenarios", headers=right)).status_code == 200
        said = [(await api.get("/v1/scenarios", headers=wrong)).status_code for _ in range(102)]
        assert said[:100] == [401] * 100
        assert set(said[100:]) == {429, 503}  # this database tells nobody what is on record
        refused = await api.get("/v1/scenarios")
        assert refused.status_code == 429
        assert refused.headers["content-type"] == MEDIA_TYPE
        assert int(refused.headers["retry-after"]) >= 1
        assert (await api.get("/v1/scenarios", headers=right)).status_code == 200


@pytest.mark.usefixtures("no_time_passes")
async def test_the_operators_secret_cannot_be_guessed_fast(tmp_path: Path) -> None:
    """It may be short: from an address that guesses it is not tried, though this once it is right."""

    async def role(token: str) -> Role | None:
        tried.append(token)
        return None

    async def hashes() -> frozenset[bytes]:
        return frozenset()

    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    tried: list[str] = []
    door = check_caller(app, Known(role, hashes), frozenset())
    transport = httpx.ASGITransport(door)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
        for number in range(200):
            await api.get("/v1/rounds", headers={"Authorization": f"Bearer {number}"})
    assert tried == [str(number) for number in range(100)]


@pytest.mark.usefixtures("no_time_passes")
async def test_a_token_may_ask_so_often(tmp_path: Path) -> None:
    guarded = control_plane(tmp_path, TOKEN)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with client(guarded) as api:
        said = [(await api.get("/v1/nothing", headers=headers)).status_code for _ in range(700)]
    assert set(said) == {404, 429}
    assert said[:500] == [404] * 500


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_token_lets_in(guarded: FastAPI, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {TOKEN}"}
    async with client(guarded) as api:
        assert (await api.get("/v1/scenarios", headers=headers)).status_code == 200
        assert (await api.get("/v1/nothing", headers=headers)).status_code == 404


async def test_open_routes_need_no_token(guarded: FastAPI) -> None:
    async with client(guarded) as api:
        assert (await api.get("/livez")).json() == {"status": "alive"}
        assert (await api.get("/openapi.json")).status_code == 200


@pytest.mark.parametrize(
    ("role", "needed", "status"),
    [
        ("viewer", "viewer", 200),
        ("viewer", "operator", 403),
        ("viewer", "admin", 403),
        ("operator", "viewer", 200),
        ("operator", "operator", 200),
        ("operator", "admin", 403),
        ("admin", "admin", 200),
        (None, "viewer", 403),
        (None, "open", 200),
    ],
)
async def test_roles(role: str | None, needed: Any, status: int) -> None:
    app = FastAPI()
    answer_problems(app)

    @app.get("/", dependencies=[needs(needed)])
    async def route() -> None: ...

    async def with_role(scope: Any, receive: Any, send: Any) -> None:
        await app(scope | ({} if role is None else {"aaa.role": role}), receive, send)

    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(with_role), base_url="http://localhost"
    ) as api:
        assert (await api.get("/")).status_code == status


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:80", "127.0.0.1", "127.0.0.1:8000", "[::1]", "[::1]:9", "LocalHost"],
)
async def test_this_machine_is_served_without_a_token(unguarded: FastAPI, host: str) -> None:
    async with client(unguarded) as api:
        assert (await api.get("/livez", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "evil.example@localhost",
        "localhost:80@evil.example",
        "127.0.0.2",
        "0.0.0.0",
        "[::2]",
        "[::1",
        "localhost:http",
        "localhost, evil.example",
        "",
    ],
)
async def test_other_hosts_are_not(unguarded: FastAPI, host: str) -> None:
    async with client(unguarded) as api:
        for method, path, _ in calls(unguarded):
            response = await api.request(method, path, headers={"Host": host})
            assert response.status_code == 421, (method, path)
            assert response.headers["content-type"] == MEDIA_TYPE


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://localhost.evil.example"]
)
async def test_pages_of_others_are_not_served(unguarded: FastAPI, origin: str) -> None:
    async with client(unguarded) as api:
        response = await api.post("/v1/rounds/r/cancel", headers={"Origin": origin})
        assert response.status_code == 421


async def test_our_own_pages_are_served(unguarded: FastAPI) -> None:
    async with client(unguarded) as api:
        response = await api.get("/livez", headers={"Origin": "http://127.0.0.1:3000"})
        assert response.status_code == 200
        assert not [name for name in response.headers if name.startswith("access-control")]


async def test_host_does_not_matter_with_a_token(guarded: FastAPI) -> None:
    async with client(guarded, "http://aaa.example") as api:
        assert (await api.get("/livez")).status_code == 200


async def bytes_of(*sizes: int) -> AsyncIterator[bytes]:
    for size in sizes:
        yield b"1" * size


@pytest.mark.parametrize(
    ("sizes", "status"), [((10,), 200), ((11,), 413), ((5, 5), 200), ((5, 5, 1), 413)]
)
@pytest.mark.parametrize("announced", [True, False])
async def test_large_bodies_are_refused(
    sizes: tuple[int, ...], status: int, announced: bool
) -> None:
    app = FastAPI()
    answer_problems(app)
    read = 0

    @app.post("/")
    async def route(body: Annotated[Any, Body()]) -> None:
        nonlocal read
        read += 1

    app.add_middleware(limit_body, most_bytes=10)
    content = b"1" * sum(sizes)
    headers = {"Content-Type": "application/json"}
    async with client(app) as api:
        sent = content if announced else bytes_of(*sizes)
        response = await api.post("/", content=sent, headers=headers)
    assert response.status_code == status
    assert read == (1 if status == 200 else 0)
    if status == 413:
        assert response.headers["content-type"] == MEDIA_TYPE
        assert response.json()["detail"] == "bodies may have 10 bytes at most"


async def test_guard_leaves_other_protocols_alone() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def nothing(*_: Any) -> Any: ...

    async def role(token: str) -> Role | None: ...

    async def hashes() -> frozenset[bytes]:
        return frozenset()

    await check_caller(app, Known(role, hashes), frozenset())(
        {"type": "lifespan"}, nothing, nothing
    )
    assert seen == ["lifespan"]
