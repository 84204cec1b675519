"""The stub over real sockets: every fault as a client meets it, counts, limits, many at once, LiteLLM."""

import asyncio
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from aaa.commands import provider as command
from aaa.errors import InputError, SetupError
from aaa.provider import Provider, quality, read_log, request_key, serve


def body(prompt: str = "Why?", model: str = "stub", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": prompt}], **more}


async def ask(
    provider: Provider, prompt: str = "Why?", key: str = "any", **more: Any
) -> httpx.Response:
    """One request on a connection of its own."""
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(timeout=30, verify=False, headers=headers) as client:
        return await client.post(f"{provider.base_url}/chat/completions", json=body(prompt, **more))


async def until(true: Callable[[], bool]) -> None:
    """Wait for what the server is about to notice; the suite's timeout ends it."""
    while not true():
        await asyncio.sleep(0.01)


def raw_request(data: dict[str, Any]) -> bytes:
    payload = orjson.dumps(data)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


# plain answers


async def test_a_plain_answer_is_openais() -> None:
    async with serve() as provider:
        response = await ask(provider, "Hello", max_tokens=50)
    reply = response.json()
    assert response.status_code == 200
    assert reply["object"] == "chat.completion"
    assert reply["model"] == "stub"
    assert reply["id"].startswith("chatcmpl-")
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert 0 < reply["usage"]["completion_tokens"] <= 50


async def test_models_health_and_unknown_routes() -> None:
    async with serve() as provider, httpx.AsyncClient(base_url=provider.url) as client:
        models = (await client.get("/v1/models")).json()["data"]
        assert "stub" in [model["id"] for model in models]
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert (await client.post("/chat/completions", json=body())).status_code == 200
        missing = await client.get("/v1/nothing")
        assert missing.status_code == 404
        assert missing.json()["error"]["code"] == "unknown_url"


async def test_what_is_no_request_is_refused_and_counted() -> None:
    async with serve() as provider, httpx.AsyncClient(base_url=provider.base_url) as client:
        for content in (b"{", b'{"model": "m"}', b"[]"):
            response = await client.post("/chat/completions", content=content)
            assert response.status_code == 400
            assert response.json()["error"]["type"] == "invalid_request_error"
        assert provider.stats()["by_status"] == {"400": 3}


@pytest.mark.parametrize("stream", [False, True])
async def test_another_process_sends_the_same_bytes(tmp_path: Path, stream: bool) -> None:
    data = body("Same?", seed=3, stream=stream, logprobs=True, top_logprobs=2)
    async with (
        serve() as provider,
        started(tmp_path, PYTHONHASHSEED="7") as (_, url),
        httpx.AsyncClient(timeout=30) as client,
    ):
        bases = (provider.base_url, url, url)
        replies = [await client.post(f"{base}/chat/completions", json=data) for base in bases]
    assert len({reply.content for reply in replies}) == 1


async def test_a_stream_says_what_the_whole_reply_says() -> None:
    async with serve() as provider:
        whole = (await ask(provider, "Tell me")).json()
        streamed = await ask(
            provider, "Tell me", stream=True, stream_options={"include_usage": True}
        )
    lines = [line for line in streamed.text.split("\n\n") if line]
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    said = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])
    assert said == whole["choices"][0]["message"]["content"]
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"] == whole["usage"]


# each fault, as it is met


REFUSALS = [
    ("401", 401, "invalid_api_key"),
    ("404", 404, "model_not_found"),
    ("429", 429, "rate_limit_exceeded"),
    ("500", 500, None),
    ("503", 503, None),
    ("overflow", 400, "context_length_exceeded"),
    ("filter", 400, "content_filter"),
]


@pytest.mark.parametrize(("fault", "status", "code"), REFUSALS)
async def test_a_refusal_has_openais_words(fault: str, status: int, code: str | None) -> None:
    async with serve(faults=f"{fault}=1") as provider:
        response = await ask(provider)
        assert response.status_code == status
        assert response.json()["error"]["code"] == code
        assert "retry-after" not in response.headers
        assert [(r.fault, r.status) for r in provider.log()] == [(fault, status)]


async def test_a_wrong_key_is_told_back_as_openai_does() -> None:
    async with serve(faults="401=1") as provider:
        response = await ask(provider, key="sk-wrong")
        assert response.json()["error"]["message"].startswith(
            "Incorrect API key provided: sk-wrong. "
        )


async def test_retry_after_comes_in_seconds_or_as_a_date() -> None:
    async with serve(faults="429=1,retry_after=2s") as provider:
        assert (await ask(provider)).headers["retry-after"] == "2"
        provider.set_faults("503=1,retry_after=500ms")
        assert (await ask(provider)).headers["retry-after"] == "0.5"
        provider.set_faults("429=1,retry_after=date:1h")
        when = parsedate_to_datetime((await ask(provider)).headers["retry-after"]).timestamp()
        asked = when - provider.log()[-1].wall
        assert 3599 <= asked <= 3602


async def test_a_bad_gateway_and_a_web_page_are_html() -> None:
    async with serve(faults="502=1,model=a; html=1,model=b") as provider:
        for model, status in (("a", 502), ("b", 200)):
            response = await ask(provider, model=model)
            assert response.status_code == status
            assert response.headers["content-type"] == "text/html"
            assert b"<" in response.content


async def test_a_200_can_hold_an_error_no_choices_or_half_a_json() -> None:
    async with serve(
        faults="error_200=1,model=a; empty=1,model=b; truncated=1,model=c"
    ) as provider:
        responses = [await ask(provider, model=model) for model in "abc"]
        assert [r.status_code for r in responses] == [200, 200, 200]
        assert responses[0].json()["error"]["type"] == "server_error"
        assert responses[1].json()["choices"] == []
        with pytest.raises(json.JSONDecodeError):
            responses[2].json()
        assert [r.fault for r in provider.log()] == ["error_200", "empty", "truncated"]


async def test_length_cuts_the_reply_and_says_so() -> None:
    async with serve(faults="length=first:1") as provider:
        cut, whole = (await ask(provider)).json(), (await ask(provider)).json()
    assert cut["choices"][0]["finish_reason"] == "length"
    assert cut["usage"]["completion_tokens"] < whole["usage"]["completion_tokens"]
    said = whole["choices"][0]["message"]["content"]
    assert said.startswith(cut["choices"][0]["message"]["content"])


async def test_drop_closes_before_the_first_byte() -> None:
    async with serve(faults="drop=1") as provider:
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await ask(provider)
        assert [(r.fault, r.status) for r in provider.log()] == [("drop", None)]
        await until(lambda: provider.stats()["unsent"] == 1)


@pytest.mark.parametrize("stream", [False, True])
async def test_cut_closes_in_the_middle_of_the_body(stream: bool) -> None:
    async with serve(faults="cut=1") as provider:
        with pytest.raises(httpx.RemoteProtocolError, match=r"incomplete|without sending complete"):
            await ask(provider, stream=stream)
        assert [(r.fault, r.status) for r in provider.log()] == [("cut", 200)]


async def test_hang_never_answers() -> None:
    async with serve(faults="hang=1") as provider:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await ask(provider)
        assert [(r.fault, r.status, r.delay_s) for r in provider.log()] == [("hang", None, None)]
        await until(lambda: provider.stats()["in_flight"] == 0)
        assert provider.stats()["unsent"] == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_drip_is_the_right_answer_in_many_pieces(stream: bool) -> None:
    async with serve(faults="drip=first:1,over=200ms") as provider:
        pieces: list[bytes] = []
        async with httpx.AsyncClient() as client:
            url = f"{provider.base_url}/chat/completions"
            async with client.stream("POST", url, json=body(stream=stream)) as response:
                pieces.extend([piece async for piece in response.aiter_raw()])
        assert len(pieces) > 3
        assert b"".join(pieces) == (await ask(provider, stream=stream)).content
        assert provider.log()[0].delay_s == pytest.approx(0.2)


async def test_latency_delays_answers_but_not_refusals() -> None:
    async with serve(faults="latency=20ms; 500=first:1") as provider:
        await ask(provider)
        assert (await ask(provider)).status_code == 200
        assert [r.delay_s for r in provider.log()] == [0.0, 0.02]


async def test_faults_strike_the_first_attempts_of_each_request() -> None:
    async with serve(faults="500=first:2") as provider:
        statuses = [(await ask(provider, p)).status_code for p in ("a", "b", "a", "a", "b", "b")]
    assert statuses == [500, 500, 500, 200, 500, 200]


async def test_the_same_seed_fails_the_same_requests() -> None:
    async def failed(seed: int) -> list[int]:
        async with serve(faults="500=0.5", seed=seed) as provider:
            return [(await ask(provider, str(n))).status_code for n in range(30)]

    first = await failed(1)
    assert first == await failed(1)
    assert first != await failed(2)
    assert set(first) == {200, 500}


# limits


async def test_rpm_beyond_its_burst_is_429_with_retry_after() -> None:
    async with serve(faults="rpm=1,burst=3") as provider:
        responses = [await ask(provider, str(n)) for n in range(5)]
        assert [r.status_code for r in responses] == [200, 200, 200, 429, 429]
        assert all(0 < int(r.headers["retry-after"]) <= 60 for r in responses[3:])
        assert provider.stats()["by_fault"] == {"limit": 2, "none": 3}
        assert (await ask(provider, model="another")).status_code == 200


async def test_concurrency_beyond_its_limit_is_429_until_one_leaves() -> None:
    async with serve(faults="concurrency=2; hang=first:1") as provider:
        hanging = [asyncio.create_task(ask(provider, prompt)) for prompt in "ab"]
        await until(lambda: provider.stats()["in_flight"] == 2)
        refused = await ask(provider, "c")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert [record.in_flight for record in provider.log()] == [1, 2, 3]
        for task in hanging:
            task.cancel()
        await until(lambda: provider.stats()["in_flight"] == 0)
        assert (await ask(provider, "a")).status_code == 200


# the record


async def test_every_request_is_logged_before_its_answer(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    async with serve(faults="500=first:1,model=x", log=file) as provider:
        async with httpx.AsyncClient(base_url=provider.base_url) as client:
            for n, model in enumerate(("stub", "x", "x"), 1):
                headers = {"x-aaa-call": f"session/{n}"}
                response = await client.post(
                    "/chat/completions", json=body(model=model), headers=headers
                )
                assert response.headers["x-request-id"] == f"req-{n}"
                assert len(read_log(file)) == n
        assert read_log(file) == provider.log()
    plain, failed, again = read_log(file)
    assert (plain.n, plain.model, plain.fault, plain.status) == (1, "stub", None, 200)
    assert (failed.fault, failed.status, failed.attempt) == ("500", 500, 1)
    assert (again.fault, again.status, again.attempt) == (None, 200, 2)
    assert plain.key == request_key(body()) != failed.key == again.key
    assert [r.call for r in (plain, failed, again)] == ["session/1", "session/2", "session/3"]
    assert plain.t < failed.t < again.t


async def test_a_log_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text('{"n": 1}\n')
    with pytest.raises(InputError, match="line 1"):
        read_log(file)
    with pytest.raises(SetupError, match="nowhere"):
        async with serve(log=tmp_path / "nowhere" / "log.jsonl"):
            pass


async def test_log_stats_faults_and_reset_over_http() -> None:
    async with serve() as provider, httpx.AsyncClient(base_url=provider.url) as client:
        for prompt in "abc":
            await ask(provider, prompt)
        lines = (await client.get("/_log", params={"since": 1})).text.splitlines()
        assert [json.loads(line)["n"] for line in lines] == [2, 3]
        assert (await client.get("/_log?since=x")).status_code == 400
        stats = (await client.get("/_stats")).json()
        assert stats == provider.stats()
        assert (stats["requests"], stats["sent"], stats["peak_in_flight"]) == (3, 3, 1)
        assert stats["by_model"] == {"stub": 3}
        assert (await client.post("/_faults", content="500=1")).json() == {"faults": "500=1"}
        assert (await ask(provider)).status_code == 500
        refused = await client.post("/_faults", content="hamg=1")
        assert refused.status_code == 400
        assert "hamg" in refused.json()["error"]["message"]
        assert (await client.get("/_faults")).json() == {"faults": "500=1"}
        await client.post("/_reset")
        assert (await client.get("/_stats")).json()["requests"] == 0
        assert (await client.get("/_log")).text == ""


# the wire itself


async def exchanged(provider: Provider, *pieces: bytes) -> bytes:
    """What comes back for these bytes, sent piece by piece, until the server closes."""
    reader, writer = await asyncio.open_connection(*provider.address)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0.01)
    found = await reader.read()
    writer.close()
    await writer.wait_closed()
    return found


LAST = b"GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n"


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with serve(faults="latency=10ms,model=slow") as provider:
        slow, fast = raw_request(body(model="slow")), raw_request(body(model="fast"))
        found = await exchanged(provider, slow + fast + LAST)
    assert found.count(b"HTTP/1.1 200 OK") == 3
    assert found.index(b'"model":"slow"') < found.index(b'"model":"fast"') < found.index(b'"ok"')


async def test_requests_may_come_in_bits_and_chunks() -> None:
    data = raw_request(body())
    chunked = b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    payload = orjson.dumps(body())
    parts = [b"%x\r\n%b\r\n" % (len(p), p) for p in (payload[:9], payload[9:])]
    async with serve() as provider:
        bits = await exchanged(provider, data[:11], data[11:70], data[70:] + LAST)
        chunks = await exchanged(provider, chunked + parts[0], parts[1] + b"0\r\n\r\n" + LAST)
        assert [r.key for r in provider.log()] == [request_key(body())] * 2
    strip = b"x-request-id: req-"
    assert bits.replace(strip + b"1", b"") == chunks.replace(strip + b"2", b"")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"nonsense\r\n\r\n",
        b"GET / FTP/1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n-5\r\n",
        b"x" * 70_000,
    ],
    ids=lambda data: data[:60].decode(),
)
async def test_what_is_no_http_is_refused_and_closed(nonsense: bytes) -> None:
    async with serve() as provider:
        found = await exchanged(provider, nonsense)
        assert found.startswith(b"HTTP/1.1 400 ")
        assert (await ask(provider)).status_code == 200


async def test_closing_ends_what_hangs() -> None:
    async with serve(faults="hang=1") as provider:
        hanging = asyncio.create_task(ask(provider))
        await until(lambda: provider.stats()["in_flight"] == 1)
    with pytest.raises(httpx.TransportError):
        await hanging
    assert provider.stats()["in_flight"] == 0


# processes


@asynccontextmanager
async def started(
    folder: Path, *arguments: str, **environ: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A provider in a process of its own, and its base URL; stopped by SIGTERM, which is exit code 0."""
    port_file = folder / "port"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "aaa.provider", "--port", "0", "--port-file", str(port_file), *arguments),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environ},
    )
    assert process.stderr is not None
    try:
        line = (await process.stderr.readline()).decode()
        await until(port_file.exists)
        url = f"http://127.0.0.1:{int(port_file.read_text())}/v1"
        assert f"api_base: {url}" in line
        yield process, url
    finally:
        process.send_signal(signal.SIGTERM)
        assert (await process.stderr.read()).decode() == ""
        assert await process.wait() == 0


async def test_two_thousand_at_once_are_held_and_answered(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 3000:
        pytest.skip(f"this machine allows {hard} open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 3000), hard))
    try:
        async with started(tmp_path, "--faults", "hang=first:1") as (process, url):
            await _crowd(process.pid, url, 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def _crowd(pid: int, url: str, size: int) -> None:
    port = httpx.URL(url).port
    idle_kib = _resident_kib(pid)
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(size)]
    async with httpx.AsyncClient(base_url=url.removesuffix("/v1"), timeout=60) as client:

        async def in_flight() -> int:
            return int((await client.get("/_stats")).json()["in_flight"])

        for n, (_, writer) in enumerate(connections):
            writer.write(raw_request(body(f"question {n}")))
        while await in_flight() < size:
            await asyncio.sleep(0.05)
        assert _resident_kib(pid) - idle_kib < 100 * 1024
        for _, writer in connections:
            writer.close()
        while await in_flight():
            await asyncio.sleep(0.05)

        async def again(n: int) -> str:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(raw_request(body(f"question {n}", max_tokens=20)))
            writer.write(raw_request(body(f"another question {n}")))
            writer.write(LAST)
            found = (await reader.read()).decode()
            writer.close()
            await writer.wait_closed()
            return found

        await client.post("/_faults", content="")
        answers = await asyncio.gather(*(again(n) for n in range(size)))
        assert all(text.count("HTTP/1.1 200 OK") == 3 for text in answers)
        stats = (await client.get("/_stats")).json()
    assert stats["peak_in_flight"] == size
    assert (stats["requests"], stats["sent"], stats["unsent"]) == (3 * size, 2 * size, size)


def _resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1])


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (("--faults", "hamg=1"), 2, "hamg"),
        (("--judge", "position=7"), 2, "position=7"),
        (("--log", "nowhere/log"), 3, "nowhere/log"),
    ],
)
async def test_a_bad_start_is_one_line_and_an_exit_code(
    arguments: tuple[str, ...], code: int, named: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aaa.provider", *arguments), stderr=asyncio.subprocess.PIPE
    )
    _, prose = await process.communicate()
    assert process.returncode == code
    assert prose.decode().count("\n") == 1
    assert named in prose.decode()


async def test_help_shows_the_grammar() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aaa.provider", "--help"), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    assert b"lognormal:MEDIAN:SIGMA" in out


async def test_a_taken_port_is_a_setup_error() -> None:
    async with serve() as provider:
        port = provider.address[1]
        with pytest.raises(SetupError, match=f"{port}.*--port"):
            async with serve(port=port):
                pass
        with pytest.raises(SetupError, match=str(port)):
            await asyncio.to_thread(command.run, port=port)


# as the product asks


async def test_litellm_reads_text_usage_logprobs_json_and_streams(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    one, two = "a first answer", "a second answer"
    prompt = f"Answer A:\n<text-1>\n{one}\n</text-1>\n\nAnswer B:\n<text-1>\n{two}\n</text-1>"
    schema = {
        "type": "object",
        "properties": {"better": {"type": "string", "enum": ["A", "B", "tie"]}},
        "required": ["better"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema}}
    better = "A" if quality(one) > quality(two) else "B"
    async with serve() as provider:

        async def complete(content: str, **more: Any) -> Any:
            return await litellm.acompletion(
                model="openai/stub",
                api_base=provider.base_url,
                api_key="any",
                messages=[{"role": "user", "content": content}],
                num_retries=0,
                max_retries=0,
                **more,
            )

        plain = await complete("Hello")
        assert plain.choices[0].message.content
        assert plain.usage.completion_tokens > 0
        listed = await complete(prompt, max_tokens=1, logprobs=True, top_logprobs=5)
        tops = listed.choices[0].logprobs.content[0].top_logprobs
        assert tops[0].token == listed.choices[0].message.content == better
        assert {"A", "B"} <= {top.token for top in tops}
        verdict = await complete(prompt, response_format=form)
        assert json.loads(verdict.choices[0].message.content) == {"better": better}
        parts = [part async for part in await complete("Hello", stream=True)]
        said = "".join(part.choices[0].delta.content or "" for part in parts)
        assert said == plain.choices[0].message.content
        provider.set_faults("429=1,retry_after=7s")
        with pytest.raises(litellm.RateLimitError) as raised:
            await complete("Hello")
        assert raised.value.litellm_response_headers["retry-after"] == "7"
        assert provider.stats()["requests"] == 5
