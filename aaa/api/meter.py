"""Calls, tokens, dollars, latencies and failures as Prometheus counts them, from the events of rounds.

Each look reads what rounds have said since the look before, so every replica tells the same rates.
Counters begin at 0 with the process, as Prometheus expects. Labels are agents and kinds of failure, both
bounded. Left out: the gates (`gates`), and sums over all rounds (`store.totals`).
"""

import asyncio
from typing import Any, get_args

from prometheus_client import CollectorRegistry, Counter, Histogram

from aaa.errors import FailureKind
from aaa.store.database import Database
from aaa.store.events import Event, read_events
from aaa.store.totals import newest_events

BUCKETS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)
"""Upper bounds of latency buckets: from a cached short answer to a long one of a slow model."""
MOST_AGENTS = 256
"""Agents with figures of their own; others are summed as `other`."""
BATCH, MOST_BATCHES = 1000, 20
"""Events read at a time, and how often in one look: the rest comes with the next."""
KINDS = frozenset(get_args(FailureKind))


class Meter:
    """The counters, and how far each live round was read."""

    def __init__(self, database: Database) -> None:
        self.registry = CollectorRegistry()
        self._database = database
        self._read: dict[str, int] | None = None
        """Round -> id of the last event counted; `None` before the first look: the past is not counted."""
        self._looking = asyncio.Lock()
        self._agents: set[str] = set()
        self._calls = self._counter("aaa_calls", "Calls answered, or refused for good", "outcome")
        self._failures = self._counter("aaa_call_failures", "Attempts that failed", "kind")
        self._retries = self._counter("aaa_call_retries", "Attempts to be tried again", "kind")
        self._tokens = self._counter("aaa_tokens", "Tokens as providers counted them", "direction")
        self._cost = self._counter("aaa_cost_usd", "Dollars, as far as prices are known")
        self._seconds = Histogram(
            "aaa_call_seconds",
            "From a call's begin to its answer",
            ["agent"],
            buckets=BUCKETS_S,
            registry=self.registry,
        )

    def _counter(self, name: str, told: str, *labels: str) -> Counter:
        return Counter(name, told, ["agent", *labels], registry=self.registry)

    async def look(self) -> None:
        """Count what rounds have said since the last look. Raises `StoreError`."""
        async with self._looking, self._database.begin() as connection:
            ends = await newest_events(connection)
            if self._read is None:
                self._read = ends
                return
            left = MOST_BATCHES
            for round_id in {*self._read, *ends}:  # one that ended is read to its last event
                read = self._read.setdefault(round_id, 0)
                while left and (events := await read_events(connection, round_id, read, BATCH)):
                    for event in events:
                        self._count(event)
                    read, left = events[-1].id, left - 1
                self._read[round_id] = read
            if left:
                self._read = {id_: read for id_, read in self._read.items() if id_ in ends}

    def _count(self, event: Event) -> None:
        data = event.data
        if event.kind == "call.failed":
            labels = self._agent(data), self._kind(data.get("kind"))
            self._failures.labels(*labels).inc()
            if data.get("retry_in_s") is not None:
                self._retries.labels(*labels).inc()
        elif event.kind == "turn":
            self._turn(self._agent(data), data)

    def _turn(self, agent: str, data: dict[str, Any]) -> None:
        self._calls.labels(agent, "refused" if data.get("failure") else "answered").inc()
        self._seconds.labels(agent).observe(max(0.0, data.get("latency_s") or 0.0))
        self._tokens.labels(agent, "prompt").inc(data.get("prompt_tokens") or 0)
        self._tokens.labels(agent, "completion").inc(data.get("completion_tokens") or 0)
        self._cost.labels(agent).inc(data.get("cost_usd") or 0)

    def _agent(self, data: dict[str, Any]) -> str:
        name = str(data.get("agent"))
        if name not in self._agents and len(self._agents) >= MOST_AGENTS:
            return "other"
        self._agents.add(name)
        return name

    def _kind(self, kind: object) -> str:
        return str(kind) if kind in KINDS else "other"
