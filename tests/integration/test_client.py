"""The client, the follower and the live view against a real server on loopback, drops included."""

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import pytest
import uvicorn
from pydantic import SecretStr
from rich.console import Console

from aaa import client as client_module
from aaa.client import Client, Event, connect
from aaa.commands import watch as watch_command
from aaa.dashboard import live
from aaa.dashboard.following import follow
from aaa.errors import AAAError, Conflict, InputError, NotFound, SetupError
from aaa.settings import Settings
from tests.helpers.classroom import START, events, iso, round_json, session_json
from tests.helpers.hostile import OUR_OWN

Send = Callable[[dict[str, Any]], Awaitable[None]]
ROUND = events(3)


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Stub:
    """A control plane that says what it is told to, and remembers what it was asked."""

    script: list[Event] = field(default_factory=lambda: list(ROUND))
    breaks_after: int | None = None
    """Events of one connection before it is dropped in the middle of the next one."""
    forgets: bool = False
    """It begins at the first event whatever the client asks for, as behind a proxy that eats headers."""
    refusals: int = 0
    """How many event streams are first answered with 503."""
    status: int = 200
    answer: Any = None
    url: str = ""
    asked: list[Request] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        request = Request(
            scope["method"],
            scope["raw_path"].decode(),
            dict(parse_qsl(scope["query_string"].decode())),
            {key.decode(): value.decode() for key, value in scope["headers"]},
            json.loads(body) if body else None,
        )
        self.asked.append(request)
        if self.answer is None and request.path.endswith("/events"):
            await self.stream(request, send)
        elif isinstance(self.answer, bytes):
            await reply(send, self.status, self.answer, "application/x-ndjson")
        else:
            answer = self.read(request) if self.answer is None else self.answer
            kind = "application/problem+json" if self.status >= 400 else "application/json"
            await reply(send, self.status, json.dumps(answer).encode(), kind)

    def read(self, request: Request) -> Any:
        """What a control plane of `script` would say."""
        if request.path.startswith("/v1/sessions/"):
            return session_json(self.script, request.path.rsplit("/", 1)[1], len(self.script))
        status = self.script[-1].kind.removeprefix("round.")
        whole = round_json(3, last_event=len(self.script)) | {"status": status}
        listed = request.method == "GET" and request.path == "/v1/rounds"
        return {"items": [whole], "next": None} if listed else whole

    async def stream(self, request: Request, send: Send) -> None:
        if self.refusals:
            self.refusals -= 1
            await reply(send, 503, b"{}", "application/problem+json")
            return
        last = 0 if self.forgets else int(request.headers.get("last-event-id", 0))
        if last == len(ROUND):
            await reply(send, 204, b"", "text/event-stream")
            return
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await chunk(send, ": keep-alive\n\n")
        for number, event in enumerate(e for e in self.script if e.id > last):
            said = (
                f"id: {event.id}\nevent: {event.kind}\ndata: {json.dumps(event.data)}\n\n: keep\n\n"
            )
            if number == self.breaks_after:
                await chunk(send, said[: len(said) // 2])
                raise ConnectionAbortedError("the stub hangs up")
            await chunk(send, said)
        await send({"type": "http.response.body", "body": b""})


async def reply(send: Send, status: int, body: bytes, kind: str) -> None:
    headers = [(b"content-type", kind.encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def chunk(send: Send, text: str) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


@asynccontextmanager
async def serving(stub: Stub, port: int = 0) -> AsyncIterator[Stub]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        config = uvicorn.Config(stub, log_level="critical", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        stub.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            yield stub
        finally:
            server.should_exit = True
            await running


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with serving(Stub()) as stub:
        yield stub


@pytest.fixture
async def client(stub: Stub) -> AsyncIterator[Client]:
    async with Client(stub.url, SecretStr("t0ken")) as client:
        yield client


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(client_module, "LONGEST_DELAY_S", 0.05)


# Events


async def test_events_come_in_order_and_end_with_the_round(stub: Stub, client: Client) -> None:
    seen = [event async for event in client.events("r_7k2m")]
    assert seen == ROUND
    assert "last-event-id" not in stub.asked[0].headers


async def test_a_dropped_stream_goes_on_where_it_broke(stub: Stub, client: Client) -> None:
    stub.breaks_after = 7
    told: list[tuple[str, float]] = []
    seen = [e async for e in client.events("r", on_drop=lambda *why: told.append(why))]
    assert seen == ROUND
    assert len(told) == len(stub.asked) - 1 == (len(ROUND) - 1) // 7
    assert [int(r.headers.get("last-event-id", 0)) for r in stub.asked] == list(
        range(0, len(ROUND), 7)
    )
    assert all("broke" in why and 0 < delay <= 0.05 for why, delay in told)


async def test_a_server_that_repeats_itself_is_heard_once(stub: Stub, client: Client) -> None:
    stub.script, stub.forgets = ROUND[:10], True
    seen = []
    async with aclosing(client.events("r")) as arriving:
        async for event in arriving:
            seen.append(event.id)
            stub.script = ROUND if len(seen) == 10 else stub.script
    assert seen == [event.id for event in ROUND]


async def test_a_stream_that_ends_without_the_round_goes_on(stub: Stub, client: Client) -> None:
    stub.script = ROUND[:10]
    seen = []
    async with aclosing(client.events("r")) as arriving:
        async for event in arriving:
            seen.append(event.id)
            if len(seen) == 10:
                stub.script = ROUND
    assert seen == [event.id for event in ROUND]


async def test_after_skips_what_is_known(client: Client) -> None:
    seen = [event.id async for event in client.events("r", after=len(ROUND) - 2)]
    assert seen == [len(ROUND) - 1, len(ROUND)]


async def test_a_round_that_has_nothing_more_to_say(client: Client) -> None:
    assert [event async for event in client.events("r", after=len(ROUND))] == []


async def test_a_restarted_server_is_found_again(stub: Stub) -> None:
    told: list[str] = []
    seen = []
    async with serving(Stub(script=ROUND[:5])) as first:
        port = int(first.url.rsplit(":", 1)[1])
        client = Client(first.url)
        arriving = client.events("r", on_drop=lambda why, _: told.append(why))
        seen += [await anext(arriving) for _ in range(5)]
    waiting = asyncio.create_task(anext(arriving))
    while not any("nobody answers" in why for why in told):
        await asyncio.sleep(0.01)
    async with serving(Stub(refusals=2), port):
        seen.append(await waiting)
        seen += [event async for event in arriving]
    assert seen == ROUND
    assert "the server answered 503" in told
    await client.__aexit__(None, None, None)


async def test_a_server_that_never_answered_is_not_waited_for(client: Client, stub: Stub) -> None:
    stub.refusals = 1
    with pytest.raises(SetupError, match="the server answered 503"):
        await anext(client.events("r"))


async def test_patience_has_an_end(client: Client, stub: Stub) -> None:
    stub.script = ROUND[:3]
    arriving = client.events("r", patience_s=0.1)
    assert [(await anext(arriving)).id for _ in range(3)] == [1, 2, 3]
    stub.refusals = 10_000
    with pytest.raises(
        SetupError, match=r"no word of round 'r' for 0\.1 s: the server answered 503"
    ):
        await anext(arriving)


async def test_refusals_of_a_stream_are_raised_at_once(client: Client, stub: Stub) -> None:
    stub.status, stub.answer = 404, {"title": "Not Found", "detail": "no round 'r'"}
    with pytest.raises(NotFound, match="no round 'r'"):
        await anext(client.events("r"))


# Errors


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (400, InputError, "^it is wrong$"),
        (422, InputError, "^it is wrong$"),
        (404, NotFound, "^it is wrong$"),
        (409, Conflict, "^it is wrong$"),
        (401, SetupError, "set AAA_TOKEN"),
        (403, SetupError, "higher role"),
        (503, SetupError, "not ready: it is wrong"),
        (500, AAAError, "the server said 500: it is wrong"),
        (429, AAAError, "the server said 429: it is wrong"),
    ],
)
async def test_problems_become_errors(
    stub: Stub, client: Client, status: int, kind: type[AAAError], said: str
) -> None:
    stub.status, stub.answer = status, {"title": "Wrong", "detail": "it is wrong"}
    with pytest.raises(AAAError, match=said) as caught:
        await client.round("r")
    assert type(caught.value) is kind


async def test_places_of_a_problem_are_named(stub: Stub, client: Client) -> None:
    wrong = [{"loc": ["body", "budget_usd"], "msg": "must be a number"}]
    stub.status, stub.answer = 422, {"title": "Unprocessable", "errors": wrong}
    with pytest.raises(InputError, match=r"Unprocessable \(body\.budget_usd: must be a number\)"):
        await client.start_round("quickstart")


async def test_a_problem_without_words_has_the_status_line(stub: Stub, client: Client) -> None:
    stub.status, stub.answer = 500, b"<html>"
    with pytest.raises(AAAError, match="the server said 500: Internal Server Error"):
        await client.round("r")


async def test_something_else_than_json(stub: Stub, client: Client) -> None:
    stub.answer = b"<html>hello"
    with pytest.raises(SetupError, match="something else than JSON"):
        await client.round("r")


async def test_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        async with Client(url) as client:
            with pytest.raises(SetupError, match=r"nobody answers at .*; start `aaa serve`"):
                await client.rounds()
            with pytest.raises(SetupError, match="nobody answers"):
                await anext(client.events("r"))


def test_a_url_that_is_none() -> None:
    with pytest.raises(InputError, match="'localhost:8000' is no URL"):
        Client("localhost:8000")
    with pytest.raises(SetupError, match="AAA_URL is not set"):
        connect(Settings())


# Requests


async def test_a_round_is_started_with_an_idempotency_key(stub: Stub, client: Client) -> None:
    made = await client.start_round("quickstart", overrides={"seeds.limit": 2}, budget_usd=1)
    await client.start_round({"name": "own"}, idempotency_key="mine")
    first, second = stub.asked
    assert made["id"] == "r_7k2m"
    assert (first.method, first.path) == ("POST", "/v1/rounds")
    assert first.body == {
        "scenario": "quickstart", "overrides": {"seeds.limit": 2}, "budget_usd": 1,
    }  # fmt: skip
    assert first.headers["authorization"] == "Bearer t0ken"
    assert len(first.headers["idempotency-key"]) >= 16
    assert second.headers["idempotency-key"] == "mine"
    assert second.body == {"scenario": {"name": "own"}, "overrides": {}}


async def test_steering(stub: Stub, client: Client) -> None:
    await client.pause("r")
    await client.resume("r")
    await client.cancel("a/../b?c")
    await client.retune("r", {"budget_usd": 2})
    assert [(r.method, r.path) for r in stub.asked] == [
        ("POST", "/v1/rounds/r/pause"),
        ("POST", "/v1/rounds/r/resume"),
        ("POST", "/v1/rounds/a%2F..%2Fb%3Fc/cancel"),
        ("PATCH", "/v1/rounds/r"),
    ]
    assert stub.asked[-1].body == {"budget_usd": 2}


async def test_lists_follow_their_cursors(
    stub: Stub, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"id": f"s{n}"} for n in range(450)]

    def page(self: Stub, request: Request) -> Any:
        start, size = int(request.query.get("cursor", 0)), int(request.query["limit"])
        after = start + size if start + size < len(rows) else None
        return {"items": rows[start : start + size], "next": after and str(after)}

    monkeypatch.setattr(Stub, "read", page)
    assert [row["id"] for row in await client.sessions("r", status="failed")] == [
        row["id"] for row in rows
    ]
    assert [r.query.get("cursor") for r in stub.asked] == [None, "200", "400"]
    assert {r.query["status"] for r in stub.asked} == {"failed"}
    assert len(await client.rounds(limit=250)) == 250


async def test_pairs_are_streamed_into_a_file(stub: Stub, client: Client) -> None:
    stub.answer = b'{"a": 1}\n{"a": 2}\n'
    out = io.BytesIO()
    assert await client.pairs("r", out, format="trl-kto") == 2
    assert out.getvalue() == stub.answer
    assert stub.asked[0].query == {"format": "trl-kto"}


async def test_the_rest(stub: Stub, client: Client) -> None:
    assert await client.ready()
    stub.answer = {"items": [{"name": "x"}], "next": None}
    assert await client.agents() == await client.scenarios() == [{"name": "x"}]
    stub.answer = {"id": "p"}
    assert await client.explain("p") == {"id": "p"}
    stub.status = 503
    assert not await client.ready()


# Watching


def paused_round() -> list[Event]:
    kinds = ("round.created", "round.running", "round.paused", "round.running", "round.paused")
    return [
        Event(id=n, kind=kind, data={"at": iso(START + n), "reason": "x"})
        for n, kind in enumerate(kinds, 1)
    ]


async def test_following_stops_where_the_round_stands_still(stub: Stub, client: Client) -> None:
    stub.script = paused_round()
    round = await client.round("r")
    seen = [event.id async for event in follow(client, round, stop_at_pause=True)]
    assert seen == [1, 2, 3, 4, 5]


async def test_the_live_view_draws_a_round_to_its_end(stub: Stub, client: Client) -> None:
    stub.breaks_after = 20
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=24, no_color=True)
    final = await live.watch(client, "r_7k2m", console=console)
    assert final["status"] == "completed"
    screen = out.getvalue()
    assert screen.index("\x1b[?1049h") < screen.index("\x1b[?1049l")
    last = OUR_OWN.sub("", screen[screen.rindex("\x1b[?1049l") :])
    assert "● completed" in last
    assert "3/3 sessions" in last


async def test_leaving_restores_the_terminal(stub: Stub, client: Client) -> None:
    stub.script = ROUND[:20]
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, height=24, no_color=True)
    watching = asyncio.create_task(live.watch(client, "r_7k2m", console=console))
    while "prompt" not in out.getvalue() or "Why is the sky blue" not in out.getvalue():
        await asyncio.sleep(0.02)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    assert "\x1b[?1049l" in out.getvalue()
    assert out.getvalue().rindex("\x1b[?25h") > out.getvalue().rindex("\x1b[?25l")


async def test_an_error_of_the_stream_passes_through_the_view(stub: Stub, client: Client) -> None:
    async def breaking() -> AsyncIterator[Event]:
        yield ROUND[0]
        raise SetupError("gone for good")

    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24)
    with pytest.raises(SetupError, match="gone for good"):
        await live.show(round_json(3), breaking(), client.session, console=console)


@pytest.mark.parametrize(
    ("script", "code"),
    [(ROUND, 0), ([*ROUND[:-1], ROUND[-1].model_copy(update={"kind": "round.failed"})], 1),
     (paused_round(), 4)],
)  # fmt: skip
async def test_the_command_prints_lines_and_says_how_it_ended(
    stub: Stub, client: Client, capsys: pytest.CaptureFixture[str], script: list[Event], code: int
) -> None:
    stub.script = script
    got = await watch_command.watch(client, None, tui=False, as_json=True, stop_at_pause=True)
    assert got == code
    printed = [json.loads(row) for row in capsys.readouterr().out.splitlines()]
    assert [row["id"] for row in printed] == [event.id for event in script]
    await watch_command.watch(client, "r_7k2m", tui=False, as_json=False, stop_at_pause=True)
    assert "round running" in capsys.readouterr().out


async def test_the_command_without_any_round(stub: Stub, client: Client) -> None:
    stub.answer = {"items": [], "next": None}
    with pytest.raises(NotFound, match="aaa run quickstart"):
        await watch_command.watch(client, None, tui=False, as_json=False)
