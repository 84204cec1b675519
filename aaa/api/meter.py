"""Calls, tokens, dollars, latencies, failures and waits as Prometheus counts them.

Each look counts what rounds have said since the look before, all of it and of every round, so every replica
tells the same rates; the database does the sums (`store.counting`). Counters begin at 0 with the process, as
Prometheus expects. Labels are agents and kinds of failure, both bounded. Left out: how gates stand, and sums
over all rounds (`metrics`).
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import get_args

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from aaa.errors import FailureKind
from aaa.store.counting import Count, Newest, count_events, last_end, newest_events, time_of
from aaa.store.database import Database
from aaa.store.gates import Waited, waited_at_gates

BUCKETS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)
"""Upper bounds of latency buckets: from a cached short answer to a long one of a slow model."""
MOST_AGENTS = 256
"""Agents with figures of their own; others are summed as `other`."""
BATCH = 20_000
"""Events that one statement counts: none takes long, and what is counted stays so if a later one fails."""
KINDS = frozenset(get_args(FailureKind))
COUNTERS = {
    "aaa_calls": ("Calls answered, or refused for good", "outcome"),
    "aaa_call_failures": ("Attempts that failed", "kind"),
    "aaa_call_retries": ("Attempts to be tried again", "kind"),
    "aaa_tokens": ("Tokens as providers counted them", "direction"),
    "aaa_cost_usd": ("Dollars, as far as prices are known", None),
    "aaa_gate_waited_seconds": ("How long calls had waited for a limit when they began", None),
}
"""Counter -> what it counts, and its label besides `agent`."""


class Meter:
    """The counters, and how far each live round was counted."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read: dict[str, int] | None = None
        """Round -> id of the last event counted; `None` before the first look: the past is not counted."""
        self._looked_at: datetime
        self._looking = asyncio.Lock()
        self._agents: set[str] = set()
        self._sums: dict[str, dict[tuple[str, ...], float]] = {
            name: defaultdict(float) for name in COUNTERS
        }
        self._seconds: dict[str, list[float]] = {}
        """Agent -> turns within each bucket's bound, turns in all, seconds in all."""
        self._waited: dict[str, float] = {}
        """Seat -> what it had told by the last look."""

    async def look(self) -> None:
        """Count what rounds have said since the last look. Raises `StoreError`: the rest comes next time."""
        async with self._looking:
            async with self._database.begin() as connection:
                now = await time_of(connection)
                newest = await newest_events(connection)
                waited = await waited_at_gates(connection)
            self._count_waits(waited)
            if self._read is None:
                self._read = {id_: found.event for id_, found in newest.items()}
            else:
                for round_id, found in newest.items():
                    await self._count_round(self._read, round_id, found)
                self._read = {id_: self._read[id_] for id_ in newest}
            self._looked_at = now

    async def _count_round(self, read: dict[str, int], round_id: str, newest: Newest) -> None:
        if round_id not in read:
            read[round_id] = await self._begin(round_id, newest)
        for after, until in pairwise((*range(read[round_id], newest.event, BATCH), newest.event)):
            async with self._database.begin() as connection:
                for found in await count_events(connection, round_id, after, until, BUCKETS_S):
                    self._count(found)
            read[round_id] = until

    async def _begin(self, round_id: str, newest: Newest) -> int:
        """The event after which a round is counted: all of a new one, what is new of a resumed one."""
        if newest.created_at > self._looked_at:
            return 0
        async with self._database.begin() as connection:
            return await last_end(connection, round_id, newest.event)

    def _count(self, found: Count) -> None:
        agent = self._agent(found.agent)
        if found.event == "turn":
            self._add("aaa_calls", found.number, agent, "refused" if found.refused else "answered")
            self._add("aaa_tokens", found.prompt_tokens, agent, "prompt")
            self._add("aaa_tokens", found.completion_tokens, agent, "completion")
            self._add("aaa_cost_usd", found.cost_usd, agent)
            more = (*found.within, found.number, found.seconds)
            before = self._seconds.get(agent, [0.0] * len(more))
            self._seconds[agent] = [sum(two) for two in zip(before, more, strict=True)]
            return
        kind = found.kind if found.kind in KINDS else "other"
        self._add("aaa_call_failures", found.number, agent, str(kind))
        if found.retried:
            self._add("aaa_call_retries", found.number, agent, str(kind))

    def _count_waits(self, told: Sequence[Waited]) -> None:
        """A seat that tells less than before began again at 0."""
        first = self._read is None
        for seat, agent, s in told:
            before = self._waited.get(seat, s if first else 0.0)
            self._add(
                "aaa_gate_waited_seconds", s - before if s >= before else s, self._agent(agent)
            )
        self._waited = {seat: s for seat, _, s in told}

    def _add(self, counter: str, amount: float, *labels: str) -> None:
        self._sums[counter][labels] += amount

    def _agent(self, name: str | None) -> str:
        if str(name) not in self._agents and len(self._agents) >= MOST_AGENTS:
            return "other"
        self._agents.add(str(name))
        return str(name)

    def families(self) -> Iterator[Metric]:
        """The counters as Prometheus reads them."""
        for name, (told, label) in COUNTERS.items():
            labels = ["agent"] if label is None else ["agent", label]
            counter = CounterMetricFamily(name, told, labels=labels)
            for values, amount in self._sums[name].items():
                counter.add_metric(values, amount)
            yield counter
        seconds = HistogramMetricFamily(
            "aaa_call_seconds", "From a call's begin to its answer", labels=["agent"]
        )
        bounds = [*map(floatToGoString, BUCKETS_S), "+Inf"]
        for agent, (*within, total) in self._seconds.items():
            seconds.add_metric([agent], list(zip(bounds, within, strict=True)), total)
        yield seconds
