"""An export's memory is that of the rows under way, however many rows there are: nothing gathers them."""

import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from aaa.catalogue import Catalogue
from aaa.commands.export import export
from aaa.commands.export_asked import Wanted
from aaa.scenario import Scenario
from aaa.settings import Settings
from aaa.store import reading, records
from aaa.store.database import Database
from aaa.store.rounds import create_round
from aaa.types import Call
from tests.catalogues import small_scenario
from tests.playing import play_round, say

FEW, MANY = 12, 60
"""Seeds of two rounds."""
LETTERS = 30_000
"""Of each answer, so that what is held is seen."""


def at_length(call: Call) -> str:
    return say(call) if call.purpose == "ballot" else say(call) + "x" * LETTERS


async def round_of(database: Database, catalogue: Catalogue, seeds: int) -> str:
    inline = [{"id": f"s{n:03}", "prompt": f"Question {n}?"} for n in range(seeds)]
    plain = small_scenario() | {"name": f"of-{seeds}", "seeds": {"inline": inline}}
    scenario = Scenario.model_validate(plain)
    made = await create_round(database, *catalogue.prepare(scenario, Path()))
    await play_round(database, made.id, at_length)
    return made.id


async def stream(app: FastAPI, round_id: str, format: str) -> int:
    """Bytes of the API's answer, of which nothing is kept here."""
    total = 0

    asked = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> dict[str, Any]:
        for said in asked:
            return said
        return await asyncio.Future()  # who asked stays

    async def send(message: Any) -> None:
        nonlocal total
        total += len(message.get("body", b""))

    path = f"/v1/rounds/{round_id}/pairs"
    await app(
        {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "scheme": "http",
            "query_string": f"format={format}".encode(), "headers": [(b"host", b"localhost")],
            "http_version": "1.1", "client": ("127.0.0.1", 1), "server": ("localhost", 80), "root_path": "",
        },
        receive,
        send,
    )  # fmt: skip
    return total


async def peak(work: Callable[[], Awaitable[object]]) -> int:
    """Most bytes held at once beyond what was held before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        await work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


async def test_an_export_holds_few_rows_at_a_time(
    app: FastAPI, settings: Settings, database: Database, catalogue: Catalogue, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    for module in (records, reading):
        monkeypatch.setattr(module, "CHUNK", 2)
    few, many = [await round_of(database, catalogue, seeds) for seeds in (FEW, MANY)]

    async def to_a_file(id: str) -> int:
        file = tmp_path / f"{id}.jsonl"
        await export(settings, Wanted((id,), "trl-dpo", str(file))._replace(audit=False))
        return file.stat().st_size

    ways: dict[str, Callable[[str], Awaitable[int]]] = {
        "pairs over the API": lambda id: stream(app, id, "trl-dpo"),
        "sessions over the API": lambda id: stream(app, id, "transcripts"),
        "pairs to a file": to_a_file,
    }
    for way, read in ways.items():
        more = -await read(few)  # besides, what is imported and cached at the first time is so now
        small, large = [await peak(partial(read, id)) for id in (few, many)]
        more += await read(many)
        assert more > 3e6, way
        assert large - small < more / 2, f"{way}: {small} bytes held, {large} for {more} bytes more"
