"""The OpenAPI document: every route with its role, its errors and examples, and links from what makes a
thing to what can be done with it."""

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from aaa.api.examples import EXAMPLES
from aaa.api.guard import needs, role_of
from aaa.api.problems import Problem, errors

Json = dict[str, Any]
MADE_BY = {
    "round_id": (("post", "/v1/rounds", "202", "id"), ("get", "/v1/rounds", "200", "items/0/id")),
    "course_id": (
        ("post", "/v1/courses", "202", "id"),
        ("get", "/v1/courses", "200", "items/0/id"),
    ),
    "session_id": (("get", "/v1/rounds/{round_id}/sessions", "200", "items/0/id"),),
    "token_id": (("post", "/v1/tokens", "201", "id"),),
}
"""Path parameter -> where its values come from: method, path, status, place in the answer."""


def routes() -> APIRouter:
    """`/openapi.json`."""
    router = APIRouter()

    @router.get("/openapi.json", dependencies=[needs("open")], include_in_schema=False)
    async def openapi(request: Request) -> Json:
        return describe(request.app)

    return router


def describe(app: FastAPI) -> Json:
    """The document, made once."""
    if app.openapi_schema is None:
        described = get_openapi(
            title=app.title,
            version=app.version,
            description="Start rounds, follow them, take their preference pairs.",
            routes=app.routes,
        )
        _with_problems(described)
        for name, given in EXAMPLES.items():
            described["components"]["schemas"][name]["examples"] = list(given)
        _with_roles(described, app)
        for link in _links(described["paths"]):
            described["paths"][link[0]][link[1]]["responses"][link[2]].setdefault("links", {})[
                link[3]
            ] = link[4]
        app.openapi_schema = described
    return app.openapi_schema


def _with_problems(described: Json) -> None:
    parts = described.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    whole = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= whole.pop("$defs", {})
    schemas["Problem"] = whole
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for methods in described["paths"].values():
        for told in methods.values():
            if "requestBody" in told:  # whoever takes a body may find it unreadable, or too large
                of_bodies = {str(status): said for status, said in errors(400, 413).items()}
                told["responses"] = of_bodies | told["responses"]


def _with_roles(described: Json, app: FastAPI) -> None:
    """Who may call what, where tokens are wanted."""
    token = {"type": "http", "scheme": "bearer", "description": "`aaa tokens create`"}
    described["components"]["securitySchemes"] = {"token": token}
    described["security"] = [{"token": []}, {}]
    for route in app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                told = described["paths"][route.path_format][method.lower()]
                told["x-role"] = role_of(route)
                if role_of(route) == "open":
                    told["security"] = []


def _links(paths: Json) -> Iterator[tuple[str, str, str, str, Json]]:
    """(path, method, status, name, link) from what tells an id to each operation that takes it."""
    for path, methods in paths.items():
        for told in methods.values():
            taken = [name for name in MADE_BY if f"{{{name}}}" in path]
            for name in taken:
                for method, source, status, place in MADE_BY[name]:
                    parameters = {name: f"$response.body#/{place}"}
                    link = {"operationId": told["operationId"], "parameters": parameters}
                    yield source, method, status, told["operationId"], link
