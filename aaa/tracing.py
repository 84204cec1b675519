"""Spans for OpenTelemetry: one for each model call, one for each session that is driven. Off by default.

On where `OTEL_EXPORTER_OTLP_ENDPOINT` (or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`) is set; the SDK's own
variables (`OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER` …) then hold. Sent as OTLP over HTTP by a thread of its
own; a collector that is away costs spans and nothing else. A session is one trace: its ids follow from round,
session and claim, so the processes that serve it agree without telling each other, and a session that is
resumed goes on in its trace. Left out: metrics (`/metrics` has them), logs, gRPC.

The SDK is an extra (`otel`), known here only, and imported when the first span is made.
"""

import asyncio
import hashlib
import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

from aaa import __version__
from aaa.here import Here, here, work_for
from aaa.types import Seed

log = logging.getLogger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
ON_SPANS = frozenset({"true", "span_only", "span_and_event"})
"""Values of `CONTENT` that ask for what was said; we send no events of OpenTelemetry."""
DELAY_MS = 500
"""Spans wait so long for others before they are sent, unless `OTEL_BSP_SCHEDULE_DELAY` says otherwise:
a process that ends by force loses no more."""
FLUSH_MS = 3_000

Attributes = Mapping[str, Any]
"""Name -> text, number, truth or a sequence of texts. `None` is left out."""


class Claimed(Protocol):
    """A session that somebody drives."""

    @property
    def round(self) -> str: ...
    @property
    def session(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def seed(self) -> Seed: ...


C = TypeVar("C", bound=Claimed)


class Span:
    """One span while it lasts; of nothing where tracing is off."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def tell(self, attributes: Attributes) -> None:
        if self._span is not None:
            self._span.set_attributes(_known(attributes))

    def fail(self, kind: str) -> None:
        """It ended in an error of this kind. Its message stays here: providers quote prompts in theirs."""
        if self._span is not None:
            from opentelemetry.trace import StatusCode

            self._span.set_attribute("error.type", kind)
            self._span.set_status(StatusCode.ERROR)


def is_on(environ: Mapping[str, str] | None = None) -> bool:
    """Whether spans are wanted: an endpoint is named, and nothing of OpenTelemetry's says no."""
    env = os.environ if environ is None else environ
    if env.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    if env.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() == "none":
        return False
    return any(env.get(name) for name in ENDPOINTS)


def endpoint() -> str:
    """Where spans go, without what a URL may hold of secrets."""
    named = os.environ.get(ENDPOINTS[1]) or os.environ.get(ENDPOINTS[0], "")
    parts = urlsplit(named)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def tells_content(environ: Mapping[str, str] | None = None) -> bool:
    """Whether spans of calls may hold what was asked and answered."""
    env = os.environ if environ is None else environ
    return env.get(CONTENT, "").strip().lower() in ON_SPANS


@contextmanager
def call_span(name: str, attributes: Attributes) -> Iterator[Span]:
    """A span around one request to a model, below its session's. What is raised ends it as an error."""
    tracer = _tracer()
    if tracer is None:
        yield Span()
        return
    place = here()
    told = attributes if place is None else {**attributes, **_told_of(place)}
    with tracer.open(name, told, place, is_call=True) as span:
        yield span


async def driven(drive: Callable[[C], Awaitable[None]], claim: C) -> None:
    """Drive a claimed session, as one span; lines and calls below it know which session they serve."""
    work_for(claim.round, claim.session, claim.epoch)
    log.info("seed %s is driven, claim %d", claim.seed.id, claim.epoch)
    tracer = _tracer()
    if tracer is None:
        await drive(claim)
    else:
        place = Here(claim.round, claim.session, claim.epoch)
        with tracer.open("session", {**_told_of(place), "aaa.seed": claim.seed.id}, place):
            await drive(claim)
    log.info("seed %s is left", claim.seed.id)


async def flush() -> None:
    """Send what is waiting, within `FLUSH_MS`: for who is about to end."""
    tracer = _tracer()
    if tracer is not None:
        await asyncio.to_thread(tracer.provider.force_flush, FLUSH_MS)


def _told_of(place: Here) -> dict[str, Any]:
    return {
        "gen_ai.conversation.id": str(place.session),
        "aaa.round": place.round,
        "aaa.session": place.session,
        "aaa.epoch": place.epoch,
        "aaa.turn": place.turn,
        "aaa.seat": place.seat,
        "aaa.purpose": place.purpose,
    }


def _known(attributes: Attributes) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def trace_id(place: Here) -> int:
    """128 bits that a session has in every process."""
    return _hash(f"{place.round}/{place.session}", 16)


def span_id(place: Here) -> int:
    """64 bits that one drive of a session has."""
    return _hash(f"{place.round}/{place.session}/{place.epoch}", 8)


def _hash(text: str, size: int) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=size).digest(), "big") or 1


@cache
def _tracer() -> "_Tracer | None":
    """This process's, opened with the first span; `None` where tracing is off or cannot be."""
    if not is_on():
        return None
    try:
        return _Tracer()
    except ImportError:
        log.warning(
            "%s is set, but OpenTelemetry is not installed, so no spans are sent: "
            "pip install 'aaa-orchestrator[otel]'",
            next(name for name in ENDPOINTS if os.environ.get(name)),
        )
    except Exception as error:  # noqa: BLE001 (a slip in a variable of the SDK costs spans and no call)
        log.warning("no spans are sent; OpenTelemetry refuses how it is set up: %s", error)
    return None


class _Tracer:
    """The SDK, set up by its variables, with ids that follow from the session."""

    def __init__(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        name = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "aaa"}
        self.ids = _ids()
        self.provider = TracerProvider(
            resource=Resource.create({**name, "service.version": __version__}),
            id_generator=self.ids,
        )
        delay_ms = None if os.environ.get("OTEL_BSP_SCHEDULE_DELAY") else DELAY_MS
        self.provider.add_span_processor(
            BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=delay_ms)
        )
        self._tracer = self.provider.get_tracer("aaa", __version__)

    @contextmanager
    def open(
        self, name: str, attributes: Attributes, place: Here | None, *, is_call: bool = False
    ) -> Iterator[Span]:
        from opentelemetry.trace import SpanKind

        if not is_call:
            self.ids.next = place
        span = self._tracer.start_span(
            name,
            context=self._below(place) if is_call else _nowhere(),
            kind=SpanKind.CLIENT if is_call else SpanKind.INTERNAL,
            attributes=_known(attributes),
        )
        self.ids.next = None
        told = Span(span)
        try:
            yield told
        except BaseException as error:
            told.fail(str(getattr(error, "kind", type(error).__name__)))
            raise
        finally:
            span.end()

    def _below(self, place: Here | None) -> Any:
        """The context of a call: its session's span, which another process holds."""
        if place is None:
            return _nowhere()
        from opentelemetry import trace

        trace_ = trace_id(place)
        sampler: Any = self.provider.sampler
        sampled = sampler.should_sample(None, trace_, "session").decision.is_sampled()
        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if sampled else 0)
        parent = trace.SpanContext(trace_, span_id(place), is_remote=True, trace_flags=flags)
        return trace.set_span_in_context(trace.NonRecordingSpan(parent), _nowhere())


def _nowhere() -> Any:
    from opentelemetry.context import Context

    return Context()


def _ids() -> Any:
    """An id generator: random, but for the session that is named in `next`."""
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class Ids(RandomIdGenerator):
        next: Here | None = None

        def generate_trace_id(self) -> int:
            return super().generate_trace_id() if self.next is None else trace_id(self.next)

        def generate_span_id(self) -> int:
            return super().generate_span_id() if self.next is None else span_id(self.next)

        def is_trace_id_random(self) -> bool:
            return True

    return Ids()
