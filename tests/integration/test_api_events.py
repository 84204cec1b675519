"""Events over a real server: replayed, live, each once and in order, and nothing left behind."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI
from httpx_sse import EventSource
from pydantic import SecretStr

from aaa.api import guard, sse
from aaa.api.app import create_app
from aaa.api.pacing import Pace
from aaa.api.server import local_api, serve
from aaa.catalogue import Catalogue
from aaa.client import Client
from aaa.errors import ModelError, SetupError, StoreError
from aaa.settings import Settings
from aaa.store.database import Database
from aaa.store.events import append
from aaa.store.rounds import Round, create_round, get_round
from aaa.store.steering import cancel_round, pause_round, resume_round
from aaa.types import Call
from tests.playing import play_round, say


class Served(NamedTuple):
    app: FastAPI
    api: httpx.AsyncClient
    stop: asyncio.Event
    serving: asyncio.Task[None]


@asynccontextmanager
async def server(app: FastAPI) -> AsyncIterator[Served]:
    """`app` on a real port, and a client of it."""
    ready, stop = asyncio.Event(), asyncio.Event()
    serving = asyncio.create_task(serve(app, "127.0.0.1", 0, ready=ready, stop=stop))
    await ready.wait()
    async with httpx.AsyncClient(base_url=app.state.url, timeout=30) as api:
        yield Served(app, api, stop, serving)
    stop.set()
    await serving


@pytest.fixture
async def served(
    settings: Settings, database: Database, catalogue: Catalogue
) -> AsyncIterator[Served]:
    async with server(create_app(settings, database, catalogue, keep_alive_s=0.2)) as served:
        yield served


@pytest.fixture
async def round_id(database: Database, catalogue: Catalogue) -> str:
    scenario, folder = catalogue.scenario("small")
    script, seeds = catalogue.prepare(scenario, folder)
    return (await create_round(database, script, seeds)).id


Told = list[tuple[int, str, dict[str, Any]]]


async def follow(
    api: httpx.AsyncClient, round_id: str, *, last: int | None = None, most: int = 10**9
) -> Told:
    """Up to `most` events of a round, as a stock client hears them, until the server ends the stream."""
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    told: Told = []
    async with api.stream("GET", f"/v1/rounds/{round_id}/events", headers=headers) as response:
        assert response.status_code == 200
        async for event in EventSource(response).aiter_sse():
            assert event.data, "an event without data"
            told.append((int(event.id), event.event, json.loads(event.data)))
            if len(told) == most:
                break
    return told


def ids(told: Told) -> list[int]:
    return [id for id, _, _ in told]


async def test_live_to_the_end(served: Served, database: Database, round_id: str) -> None:
    following = asyncio.create_task(follow(served.api, round_id))
    await play_round(database, round_id)
    told = await following
    assert ids(told) == list(range(1, len(told) + 1))
    kinds = [kind for _, kind, _ in told]
    assert kinds[:2] == ["round.created", "round.running"]
    assert kinds[-1] == "round.completed"
    assert kinds.count("turn") == 36
    assert kinds.count("verdict") == 9
    assert all(data["at"].endswith("+00:00") for _, _, data in told)


async def test_replay_is_the_same(served: Served, database: Database, round_id: str) -> None:
    following = asyncio.create_task(follow(served.api, round_id))
    await play_round(database, round_id)
    assert await follow(served.api, round_id) == await following


async def test_resume_by_id(served: Served, database: Database, round_id: str) -> None:
    await play_round(database, round_id)
    whole = await follow(served.api, round_id)
    for last in (0, 1, 7, len(whole) - 1):
        assert await follow(served.api, round_id, last=last) == whole[last:]
    path = f"/v1/rounds/{round_id}/events?after={len(whole) - 1}"
    assert (await served.api.get(path)).text.count("event: ") == 1
    both = await served.api.get(path, headers={"Last-Event-ID": str(len(whole) - 3)})
    assert both.text.count("event: ") == 3


async def test_nothing_more_to_say(served: Served, database: Database, round_id: str) -> None:
    """A reader that has it all is told not to come back, as the standard has it."""
    await play_round(database, round_id)
    last = (await follow(served.api, round_id))[-1][0]
    for id in (last, last + 5):
        path, headers = f"/v1/rounds/{round_id}/events", {"Last-Event-ID": str(id)}
        response = await served.api.get(path, headers=headers)
        assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "\u0661", "9" * 19, "9" * 30, "1 2"])
async def test_ids_that_are_none(served: Served, round_id: str, last: str) -> None:
    headers = {b"Last-Event-ID": last.encode()}
    response = await served.api.get(f"/v1/rounds/{round_id}/events", headers=headers)
    assert response.status_code == 422


async def test_a_resumed_round_goes_on(
    served: Served, database: Database, round_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first end is not the last word: a replay from the start runs through it."""
    monkeypatch.setattr(sse, "BATCH", 1)  # so that each event is once the last one that was sent

    def refuse(call: Call) -> str:
        raise ModelError("auth", "no key")

    await play_round(database, round_id, refuse)
    assert (await follow(served.api, round_id))[-1][1] == "round.failed"
    await resume_round(database, round_id)
    following = asyncio.create_task(follow(served.api, round_id))
    await play_round(database, round_id, say)
    kinds = [kind for _, kind, _ in await following]
    assert kinds.index("round.failed") < kinds.index("round.completed") == len(kinds) - 1


async def test_it_ends_though_the_database_is_away_at_that_moment(
    served: Served, database: Database, round_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last word may be sent before anybody can tell that it is the last."""
    away = 3

    async def looked(database: Database, round_id: str) -> Round:
        nonlocal away
        away -= 1
        if away >= 0:
            raise StoreError("the database does not answer")
        return await get_round(database, round_id)

    monkeypatch.setattr(sse, "get_round", looked)
    monkeypatch.setattr(sse, "LONGEST_POLL_S", 0.05)
    following = asyncio.create_task(follow(served.api, round_id))
    await cancel_round(database, round_id)
    assert [kind for _, kind, _ in await following] == ["round.created", "round.cancelled"]
    assert away < 0


async def test_it_ends_for_who_says_to_have_more_than_there_is(
    served: Served, database: Database, round_id: str
) -> None:
    """As after a restore of an older backup."""
    following = asyncio.create_task(follow(served.api, round_id, last=1000))
    while not served.app.state.listening.streams:
        await asyncio.sleep(0.01)
    await cancel_round(database, round_id)
    assert await following == []


async def test_pause_does_not_end_it(served: Served, database: Database, round_id: str) -> None:
    following = asyncio.create_task(follow(served.api, round_id))
    await pause_round(database, round_id)
    await cancel_round(database, round_id)
    assert [kind for _, kind, _ in await following] == [
        "round.created",
        "round.paused",
        "round.cancelled",
    ]


async def test_many_writers_many_readers(served: Served, database: Database, round_id: str) -> None:
    """No reader misses or doubles an event, wherever it drops off and comes back."""
    writers, each = 16, 25
    total = 1 + writers * each

    async def write(writer: int) -> None:
        for number in range(each):
            async with database.begin() as connection:
                await append(connection, round_id, [("note", {"by": [writer, number]})])

    async def read(step: int) -> Told:
        told: Told = []
        while len(told) < total:
            last = told[-1][0] if told else None
            most = min(step, total - len(told))
            told += await follow(served.api, round_id, last=last, most=most)
        return told

    readers = [asyncio.create_task(read(step)) for step in (7, 31, 90, total, total)]
    await asyncio.gather(*(write(writer) for writer in range(writers)))
    for told in await asyncio.gather(*readers):
        assert ids(told) == list(range(1, total + 1))
        assert len({tuple(data["by"]) for _, kind, data in told if kind == "note"}) == total - 1


async def test_one_poller_for_all_who_listen(
    served: Served, database: Database, round_id: str
) -> None:
    listening = served.app.state.listening
    readers = [asyncio.create_task(follow(served.api, round_id)) for _ in range(5)]
    while not (listening.streams and listening.streams[round_id].readers == 5):
        await asyncio.sleep(0.01)
    assert len(listening.pollers) == 1
    await cancel_round(database, round_id)
    await asyncio.gather(*readers)
    await _nobody_listens(served)


async def test_a_reader_that_leaves_leaves_nothing(served: Served, round_id: str) -> None:
    for _ in range(3):
        await follow(served.api, round_id, most=1)
    reader = asyncio.create_task(follow(served.api, round_id))
    await asyncio.sleep(0.1)
    reader.cancel()
    await asyncio.gather(reader, return_exceptions=True)
    await _nobody_listens(served)


async def test_a_stalled_reader_is_dropped(
    settings: Settings, database: Database, catalogue: Catalogue, round_id: str
) -> None:
    """It takes nothing for a while: its connection ends, those who listen hear all the same."""
    async with server(create_app(settings, database, catalogue, stalled_s=0.3)) as served:
        for _ in range(60):
            async with database.begin() as connection:
                await append(connection, round_id, [("note", {"text": "x" * 20_000})] * 10)
        port = int(served.app.state.url.rpartition(":")[2])
        stalled = socket.create_connection(("127.0.0.1", port))
        path = f"/v1/rounds/{round_id}/events"
        stalled.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        while not served.app.state.listening.streams:
            await asyncio.sleep(0.01)
        await _nobody_listens(served)
        await cancel_round(database, round_id)
        assert len(await follow(served.api, round_id)) == 602
        stalled.close()


async def test_lag_is_the_age_of_what_a_late_reader_was_not_sent(
    served: Served, database: Database, round_id: str
) -> None:
    """Who replays is not late; who has caught up and takes nothing more is, until it has gone."""
    listening = served.app.state.listening
    async with listening.join(await get_round(database, round_id)) as stream:
        replaying = stream.frames(0)
        assert await anext(replaying) == sse.CONNECTED
        await asyncio.sleep(0.2)
        assert b"round.created" in await anext(replaying)
        assert await listening.lag_s() == 0  # it has not caught up yet
        waiting = asyncio.create_task(anext(replaying))
        await asyncio.sleep(0.1)
        assert await listening.lag_s() == 0  # all was sent
        async with database.begin() as connection:
            await append(connection, round_id, [("note", {})] * 2)
        await waiting
        await asyncio.sleep(0.3)  # it has these, and takes no more
        assert 0.3 <= await listening.lag_s() < 30
        text = (await served.api.get("/metrics")).text
        assert float(re.findall(r"^aaa_event_lag_seconds (.*)", text, re.MULTILINE)[0]) >= 0.3
        await replaying.aclose()
        assert await listening.lag_s() == 0


async def _nobody_listens(served: Served) -> None:
    listening = served.app.state.listening
    while listening.streams or listening.pollers:  # the suite's own limit ends a wait for ever
        await asyncio.sleep(0.01)


async def test_an_old_reader_catches_up_from_the_database(
    served: Served, database: Database, round_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory holds the newest events only; who is behind them reads on from the table."""
    monkeypatch.setattr(sse, "TAIL", 10)
    first = asyncio.create_task(follow(served.api, round_id))
    await asyncio.sleep(0.1)
    for number in range(50):
        async with database.begin() as connection:
            await append(connection, round_id, [("note", {"n": number})] * 10)
    behind = asyncio.create_task(follow(served.api, round_id, last=3))
    await asyncio.sleep(0.1)
    assert len(served.app.state.listening.streams[round_id].tail) <= 10
    await cancel_round(database, round_id)
    assert ids(await first) == list(range(1, 503))
    assert ids(await behind) == list(range(4, 503))


async def test_keep_alive_between_events(served: Served, database: Database, round_id: str) -> None:
    """Comments keep a silent stream alive; a stock parser does not take them for events."""
    lines: list[str] = []
    async with served.api.stream("GET", f"/v1/rounds/{round_id}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        async for line in response.aiter_lines():
            lines.append(line)
            if lines.count(": keep-alive") == 3:
                break
    assert lines[0] == ": connected"
    assert lines[1:3] == ["id: 1", "event: round.created"]
    following = asyncio.create_task(follow(served.api, round_id))  # asserts data in each event
    await asyncio.sleep(0.7)
    await cancel_round(database, round_id)
    assert len(await following) == 2


def test_keep_alive_is_as_promised() -> None:
    assert sse.KEEP_ALIVE_S <= 15


async def test_a_frame_is_one_line_of_data(
    served: Served, database: Database, round_id: str
) -> None:
    """Whatever a model says, it cannot end its event or begin another."""
    hostile = "a\nb\r\nc\r\u2028\u2029\x85data: x\n\nid: 99\nevent: round.completed\n\n"
    async with database.begin() as connection:
        await append(connection, round_id, [("note", {"text": hostile})])
    await cancel_round(database, round_id)
    told = await follow(served.api, round_id)
    assert ids(told) == [1, 2, 3]
    assert told[1][2]["text"] == hostile


async def test_stopping_ends_streams_and_readers_go_on_elsewhere(
    settings: Settings, database: Database, catalogue: Catalogue, round_id: str
) -> None:
    heard: Told = []
    async with server(create_app(settings, database, catalogue)) as first:
        following = asyncio.create_task(follow(first.api, round_id))
        await asyncio.sleep(0.2)
        first.stop.set()
        heard += await following  # ended properly: no broken connection
        await first.serving
    await cancel_round(database, round_id)
    async with server(create_app(settings, database, catalogue)) as second:
        heard += await follow(second.api, round_id, last=heard[-1][0])
    assert ids(heard) == [1, 2]


async def test_our_client_through_a_restart(
    settings: Settings, database: Database, catalogue: Catalogue, round_id: str
) -> None:
    """The same port again after a stop: no event missing, none twice."""
    app = create_app(settings, database, catalogue)
    heard: list[int] = []
    async with server(app) as first:
        url, port = app.state.url, int(app.state.url.rpartition(":")[2])
        async with Client(url) as client:

            async def listen() -> None:
                async for event in client.events(round_id):
                    heard.append(event.id)  # noqa: PERF401 (looked at meanwhile)

            listening = asyncio.create_task(listen())
            while not heard:
                await asyncio.sleep(0.01)
            first.stop.set()
            await first.serving
            await play_round(database, round_id)
            ready, stop = asyncio.Event(), asyncio.Event()
            again = asyncio.create_task(
                serve(
                    create_app(settings, database, catalogue),
                    "127.0.0.1",
                    port,
                    ready=ready,
                    stop=stop,
                )
            )
            await listening
            stop.set()
            await again
    assert heard == list(range(1, len(heard) + 1))
    assert len(heard) > 80


async def test_a_port_in_use(served: Served, settings: Settings, database: Database) -> None:
    port = int(served.app.state.url.rpartition(":")[2])
    app = create_app(settings, database, Catalogue((), ()))
    with pytest.raises(SetupError, match=rf"port {port} of 127\.0\.0\.1 is in use: .* --port"):
        await serve(app, "127.0.0.1", port, stop=asyncio.Event())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "aaa.example"])
async def test_no_open_door_without_a_token(
    settings: Settings, database: Database, host: str
) -> None:
    app = create_app(settings, database, Catalogue((), ()))
    with pytest.raises(SetupError, match="set AAA_TOKEN"):
        await serve(app, host, 0, stop=asyncio.Event())


async def test_a_host_that_is_none(settings: Settings, database: Database) -> None:
    app = create_app(settings, database, Catalogue((), ()), token="t")
    with pytest.raises(SetupError, match="cannot listen on"):
        await serve(app, "no such host", 0, stop=asyncio.Event())
    with pytest.raises(SetupError, match="cannot listen on"):
        await serve(app, "192.0.2.1", 0, stop=asyncio.Event())


async def test_local_api(settings: Settings, database: Database, catalogue: Catalogue) -> None:
    async with (
        local_api(settings, database, catalogue) as own,
        Client(*own) as client,
    ):
        made = await client.start_round("small")
        assert [row["id"] for row in await client.rounds()] == [made["id"]]
        assert not await client.ready()
    async with Client(*own) as client:
        with pytest.raises(SetupError, match="nobody answers"):
            await client.rounds()


async def test_a_local_api_serves_nobody_but_its_own_client(
    settings: Settings, database: Database, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other users of the machine reach its port, too: whatever they send, they are nobody."""
    monkeypatch.setattr(guard, "REQUESTS", Pace(per_s=0.001, burst=3))
    with_token = settings.model_copy(update={"token": SecretStr("everybody-knows")})
    async with local_api(with_token, database, catalogue) as own, Client(*own) as client:
        for token in (None, with_token.token):
            async with Client(own.url, token) as other:
                with pytest.raises(SetupError, match="wants a valid token"):
                    await other.create_token("mine", "admin", None)
                with pytest.raises(SetupError, match="wants a valid token"):
                    await other.rounds()
        for _ in range(5):  # who serves only itself does not slow itself down
            assert await client.tokens() == []
        async with local_api(settings, database, catalogue) as second:
            assert second.token != own.token
