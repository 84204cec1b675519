"""`aaa doctor`: looks at what AAA stands on and says what to mend."""

import asyncio
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from typing import Any

from aaa import tracing
from aaa.catalogue import open_catalogue
from aaa.commands.opening import say, show
from aaa.errors import AAAError, CheckError
from aaa.models.weights import ls
from aaa.sandbox.running import what_holds
from aaa.settings import Settings
from aaa.store.database import Database
from aaa.store.embedded import running
from aaa.store.opening import check_server, database_url
from aaa.store.schema import check_schema

PACKAGES = ("ray", "litellm", "sqlalchemy", "fastapi", "pydantic", "rich", "xllamacpp")
LEAST_FREE_GIB = 3


async def doctor(settings: Settings, as_json: bool) -> int:
    """Check and report; exit code 3 if something must be mended."""
    checks = [
        _python(),
        _packages(),
        _home(settings),
        await _database(settings),
        _catalogue(settings),
        _weights(settings),
        _keys(settings),
        _sandbox(),
        _spans(),
    ]
    if as_json:
        show({"checks": checks})
    else:
        for check in checks:
            say(f"{'ok  ' if check['ok'] else 'MEND'} {check['what']:12} {check['found']}")
    return 0 if all(check["ok"] for check in checks) else 3


def _check(what: str, ok: bool, found: str) -> dict[str, Any]:
    return {"what": what, "ok": ok, "found": found}


def _python() -> dict[str, Any]:
    return _check("python", sys.version_info >= (3, 11), f"{platform.python_version()}")


def _packages() -> dict[str, Any]:
    found = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    return _check("packages", True, found)


def _home(settings: Settings) -> dict[str, Any]:
    place = settings.home
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 2**30
    ok = free >= LEAST_FREE_GIB and os.access(place, os.W_OK)
    return _check("home", ok, f"{settings.home}, {free:.1f} GiB free")


async def _database(settings: Settings) -> dict[str, Any]:
    try:
        database = Database(database_url(settings))
        try:
            await check_server(database)
            await check_schema(database)
        finally:
            await database.close()
    except AAAError as error:
        fine = settings.database_url is None and "run `aaa db upgrade`" in str(error)
        return _check("database", fine, str(error) if not fine else "embedded, made at first run")
    where = "DATABASE_URL"
    if settings.database_url is None:
        found = await asyncio.to_thread(running, settings.home)
        where = "embedded" if found is None else f"embedded, pid {found.pid}"
    return _check("database", True, f"{where}, schema current")


def _catalogue(settings: Settings) -> dict[str, Any]:
    catalogue = open_catalogue(settings)
    problems = []
    for name in catalogue.agents():
        try:
            catalogue.card(name)
        except AAAError as error:
            problems.append(str(error))
    found = f"{len(catalogue.agents())} agents, {len(catalogue.scenarios())} scenarios"
    return _check("catalogue", not problems, "; ".join(problems) or found)


def _weights(settings: Settings) -> dict[str, Any]:
    present = [weights.name for weights in ls(settings.models) if weights.present]
    return _check("weights", True, ", ".join(present) or "none; `aaa models pull smollm2-135m`")


def _keys(settings: Settings) -> dict[str, Any]:
    catalogue = open_catalogue(settings)
    names = set()
    for agent in catalogue.agents():
        try:
            names.add(catalogue.card(agent).api_key_env)
        except AAAError:
            continue
    found = sorted(name for name in names if name and os.environ.get(name))
    return _check("keys", True, ", ".join(found) or "none set (local models need none)")


def _sandbox() -> dict[str, Any]:
    """Only the checker `python_tests` needs one, so a machine without is no fault."""
    try:
        return _check("sandbox", True, what_holds())
    except CheckError as error:
        return _check("sandbox", True, f"none, so `python_tests` cannot check here: {error}")


def _spans() -> dict[str, Any]:
    """That OpenTelemetry is configured and not installed stops no round, but somebody waits for spans."""
    if not tracing.is_on():
        return _check("spans", True, "off (OTEL_EXPORTER_OTLP_ENDPOINT is not set)")
    if importlib.util.find_spec("opentelemetry.sdk") is None:
        return _check(
            "spans", False, "wanted, but not installed: pip install 'aaa-orchestrator[otel]'"
        )
    content = ", with what was said" if tracing.tells_content() else ", without what was said"
    return _check("spans", True, f"sent to {tracing.endpoint()}{content}")
