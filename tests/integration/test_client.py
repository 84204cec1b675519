"""The client, the follower and the plain lines against a real server on loopback, drops included."""

import asyncio
import io
import json
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest
from pydantic import SecretStr

from aaa.client import Client, Event, connect, following
from aaa.commands import watch as watch_command
from aaa.dashboard.following import follow
from aaa.errors import AAAError, Conflict, InputError, NotFound, SetupError
from aaa.settings import Settings
from tests.helpers.classroom import START, iso
from tests.helpers.stub_api import ROUND, Request, Stub, serving


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
    monkeypatch.setattr(following, "FIRST_DELAY_S", 0.01)
    monkeypatch.setattr(following, "LONGEST_DELAY_S", 0.05)


# Events


async def test_events_come_in_order_and_end_with_the_round(stub: Stub, client: Client) -> None:
    seen = [event async for event in client.events("r_7k2m")]
    assert seen == ROUND
    assert "last-event-id" not in stub.asked[0].headers


async def test_a_dropped_stream_goes_on_where_it_broke(stub: Stub, client: Client) -> None:
    stub.breaks_after = 7
    told: list[tuple[str, float]] = []
    back: list[int] = []
    seen = [
        e
        async for e in client.events(
            "r", on_drop=lambda *why: told.append(why), on_back=back.append
        )
    ]
    assert seen == ROUND
    assert back == list(range(7, len(ROUND), 7))
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
    await client.rejudge("r", {"judges": ["j"]})
    await client.move_course("c", "pause")
    keys = {r.headers["idempotency-key"] for r in stub.asked if r.method == "POST"}
    assert len(keys) == 5


async def test_lists_follow_their_cursors(
    stub: Stub, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"id": n} for n in range(450)]

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


async def test_a_selection_of_few_rows_may_be_silent_for_long(stub: Stub) -> None:
    """A server that looks at a million pairs before the first that is wanted, with other answers at once."""
    stub.answer, stub.silent_s = b'{"a": 1}\n', 0.6
    async with Client(stub.url, timeout_s=0.3) as client:
        assert await client.pairs("r", io.BytesIO()) == 1
        assert [row async for row in client.rows("r", format="trl-dpo")] == [{"a": 1}]
        with pytest.raises(SetupError):
            await client.script("r")


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
