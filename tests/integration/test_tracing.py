"""Spans as a collector gets them: OTLP over HTTP, the conventions for generative AI, and no words unasked."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from aaa import tracing
from aaa.errors import ModelError
from aaa.here import Here, work_for
from aaa.models import Model, Request
from aaa.models.traced import Traced
from aaa.scenario import AgentCard
from aaa.types import JsonShape, Message, Reply, Sampling, Seed
from tests.helpers.otlp import Collector, collector

CARD = AgentCard(
    name="anna", model="mistral/large", api_base="http://127.0.0.1:8123/v1", family="birch"
)
REQUEST = Request(
    messages=(Message(role="user", content="a question of canary"),),
    sampling=Sampling(temperature=0.5, max_tokens=9, stop=("END",)),
    shape=JsonShape(name="verdict", fields={}),
    seed=7,
)
REPLY = Reply(
    text="an answer of canary",
    finish_reason="length",
    prompt_tokens=30,
    completion_tokens=9,
    cost_usd=0.25,
    model="large-2",
    request_id="cmpl-1",
)


class Says:
    """A model that replies, or fails."""

    def __init__(self, said: Reply | Exception) -> None:
        self.said = said

    async def complete(self, request: Request) -> Reply:
        if isinstance(self.said, Exception):
            raise self.said
        return self.said

    async def close(self) -> None: ...


class Claim(NamedTuple):
    round: str
    session: int
    epoch: int
    seed: Seed


CLAIM = Claim("r-1", 12, 3, Seed(id="sky", prompt=REQUEST.messages))


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that this process sends to."""
    with collector() as kept:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", kept.url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        tracing._tracer.cache_clear()
        yield kept
        tracer = tracing._tracer()
        if tracer is not None:
            tracer.provider.shutdown()
    tracing._tracer.cache_clear()


async def ask(said: Reply | Exception, card: AgentCard = CARD) -> None:
    model: Model = Traced(card, Says(said))
    work_for("r-1", 12, 3, 4, "teacher", "critique")
    try:
        await model.complete(REQUEST)
    finally:
        await tracing.flush()


async def test_a_call_is_one_client_span_by_the_conventions(spans: Collector) -> None:
    await ask(REPLY)
    (span,) = spans.spans
    assert (span.name, span.kind, span.failed) == ("chat large", 3, False)
    assert span.service["service.name"] == "aaa"
    assert span.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "mistral_ai",
        "gen_ai.request.model": "large",
        "gen_ai.agent.name": "anna",
        "server.address": "127.0.0.1",
        "server.port": 8123,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.stop_sequences": ["END"],
        "gen_ai.request.seed": 7,
        "gen_ai.output.type": "json",
        "gen_ai.response.model": "large-2",
        "gen_ai.response.id": "cmpl-1",
        "gen_ai.response.finish_reasons": ["length"],
        "gen_ai.usage.input_tokens": 30,
        "gen_ai.usage.output_tokens": 9,
        "gen_ai.conversation.id": "12",
        "aaa.cost_usd": 0.25,
        "aaa.round": "r-1",
        "aaa.session": 12,
        "aaa.epoch": 3,
        "aaa.turn": 4,
        "aaa.seat": "teacher",
        "aaa.purpose": "critique",
    }


async def test_what_fails_is_told_by_its_kind_alone(spans: Collector) -> None:
    with pytest.raises(ModelError):
        await ask(ModelError("rate_limited", "slow down, you of canary"))
    (span,) = spans.spans
    assert span.failed
    assert span.attributes["error.type"] == "rate_limited"
    assert "gen_ai.response.model" not in span.attributes
    assert b"canary" not in b"".join(spans.bodies)


async def test_words_are_told_where_they_are_asked_for(
    spans: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ask(REPLY)
    assert b"canary" not in b"".join(spans.bodies)
    for value in ("no_content", "EVENT_ONLY", "false", "1"):
        monkeypatch.setenv(tracing.CONTENT, value)
        await ask(REPLY)
        assert b"canary" not in b"".join(spans.bodies)
    for value in ("true", "SPAN_ONLY", "span_and_event"):
        monkeypatch.setenv(tracing.CONTENT, value)
        await ask(REPLY)
        told = spans.spans[-1].attributes
        assert json.loads(told["gen_ai.input.messages"]) == [
            {"role": "user", "parts": [{"type": "text", "content": "a question of canary"}]}
        ]
        assert json.loads(told["gen_ai.output.messages"]) == [
            {
                "role": "assistant",
                "parts": [{"type": "text", "content": "an answer of canary"}],
                "finish_reason": "length",
            }
        ]


async def test_calls_lie_below_the_session_that_another_process_holds(spans: Collector) -> None:
    """The ids follow from the session, so nobody has to be told; each drive is a span of its own."""

    async def drive(claim: Claim) -> None:
        await Traced(CARD, Says(REPLY)).complete(REQUEST)

    await tracing.driven(drive, CLAIM)
    await tracing.driven(drive, CLAIM._replace(epoch=4))
    await ask(REPLY)  # as a seat does, with nothing but the wish
    first, second = spans.named("session")
    calls = spans.named("chat")
    assert {span.trace for span in spans.spans} == {first.trace}
    assert [call.parent for call in calls] == [first.id, second.id, first.id]
    assert first.id != second.id
    assert first.parent == second.parent == b""
    assert first.attributes["aaa.seed"] == "sky"
    assert first.kind == 1


async def test_a_share_of_sessions_is_kept_whole_or_not_at_all(
    spans: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")

    async def drive(claim: Claim) -> None: ...

    for session in range(40):
        await tracing.driven(drive, CLAIM._replace(session=session))
        work_for("r-1", session, 3, 0)
        await Traced(CARD, Says(REPLY)).complete(REQUEST)
    await tracing.flush()
    kept = {span.trace for span in spans.named("session")}
    assert 0 < len(kept) < 40
    assert sorted(span.trace for span in spans.named("chat")) == sorted(kept)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_BSP_SCHEDULE_DELAY", "500ms"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100000"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
    ],
)
async def test_a_slip_in_a_variable_costs_spans_alone(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv(name, value)
    tracing._tracer.cache_clear()
    for _ in range(2):
        await ask(REPLY)
    if (tracer := tracing._tracer()) is not None:
        tracer.provider.shutdown()
    tracing._tracer.cache_clear()


async def test_a_collector_that_is_away_costs_spans_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    tracing._tracer.cache_clear()
    try:
        await ask(REPLY)
        tracer = tracing._tracer()
        assert tracer is not None
        tracer.provider.shutdown()
    finally:
        tracing._tracer.cache_clear()


def test_ids_are_never_zero_and_differ() -> None:
    places = [Here("r", session, epoch) for session in range(50) for epoch in range(3)]
    assert len({tracing.span_id(place) for place in places}) == 150
    assert len({tracing.trace_id(place) for place in places}) == 50


def test_nothing_of_opentelemetry_is_loaded_where_it_is_off() -> None:
    """Whole processes: what another test imported must not count."""
    asked = (
        "import asyncio, sys\n"
        "from aaa import tracing\n"
        "from aaa.models import open_model\n"
        "from aaa.scenario import AgentCard\n"
        "from aaa.settings import Settings\n"
        "card = AgentCard(name='a', model='openai/a', api_base='http://127.0.0.1:9', family='f')\n"
        "print(type(open_model(card, Settings())).__name__)\n"
        "asyncio.run(tracing.flush())\n"
        "print(any(name.startswith('opentelemetry.sdk') for name in sys.modules))\n"
    )

    def said(**env: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", asked],
            env={"PYTHONPATH": ":".join(sys.path), **env},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout.split()

    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    assert said() == ["DirectModel", "False"]
    assert said(**endpoint, OTEL_SDK_DISABLED="true") == ["DirectModel", "False"]
    assert said(**endpoint, OTEL_TRACES_EXPORTER="none") == ["DirectModel", "False"]
    assert said(**endpoint) == ["Traced", "True"]
