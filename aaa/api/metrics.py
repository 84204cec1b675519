"""The route for Prometheus: calls, money, latencies, rounds, gates and streams, in its text format.

Labels are agents, states, outcomes and kinds: all bounded by the catalogue or by the code. Rounds,
sessions and seeds are never labels. Left out: traces.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import get_args

from fastapi import APIRouter, Response
from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from aaa.api.guard import needs
from aaa.api.meter import Meter
from aaa.api.problems import errors
from aaa.api.sse import Listening
from aaa.pace import State
from aaa.store.database import Database
from aaa.store.gates import GateRow, standing_gates
from aaa.store.totals import Totals, totals


def routes(database: Database, listening: Listening) -> APIRouter:
    """`/metrics`."""
    router, meter = APIRouter(tags=["watching"]), Meter(database)

    @router.get(
        "/metrics",
        dependencies=[needs("viewer")],
        response_class=Response,
        responses={**errors(), 200: {"content": {CONTENT_TYPE_LATEST.split(";")[0]: {}}}},
    )
    async def metrics() -> Response:
        """Figures for Prometheus, in its text format."""
        await meter.look()
        told = [
            *meter.families(),
            *of_totals(await totals(database)),
            *of_gates(await standing_gates(database), datetime.now(UTC)),
            *of_streams(listening, await listening.lag_s()),
        ]
        return Response(generate_latest(_Told(told)), media_type=CONTENT_TYPE_LATEST)

    return router


def of_totals(found: Totals) -> Iterator[GaugeMetricFamily]:
    """Sums over all rounds on record. Gauges: a round that is deleted takes its share away."""
    by_label = (
        ("aaa_rounds", "Rounds on record", "status", found.rounds),
        ("aaa_sessions", "Sessions on record", "status", found.sessions),
        ("aaa_verdicts", "Verdicts on record", "outcome", found.verdicts),
    )
    for name, told, label, counts in by_label:
        family = GaugeMetricFamily(name, told, labels=[label])
        for value, number in counts.items():
            family.add_metric([value], number)
        yield family
    yield GaugeMetricFamily("aaa_pairs", "Preference pairs on record", value=found.pairs)
    yield GaugeMetricFamily("aaa_spent_usd", "Dollars counted as spent", value=found.spent_usd)
    yield GaugeMetricFamily(
        "aaa_reserved_usd", "Most that calls in flight may cost", value=found.reserved_usd
    )


def of_gates(rows: Sequence[GateRow], now: datetime) -> Iterator[GaugeMetricFamily]:
    """How the gates of each model stand: its card may have been edited while rounds of the older one run."""
    of_agents: dict[str, list[GateRow]] = {}
    for row in rows:
        of_agents.setdefault(row.agent, []).append(row)
    numbers: dict[str, tuple[str, Callable[[GateRow], float]]] = {
        "in_flight": ("Calls in flight", lambda row: row.in_flight),
        "waiting": ("Calls that wait to begin", lambda row: row.waiting),
        "concurrency": ("Calls that may be in flight now", lambda row: row.concurrency),
        "opens_in_seconds": (
            "Until the next call may begin",
            lambda row: max(0.0, (row.opens_at - now).total_seconds()) if row.opens_at else 0.0,
        ),
    }
    for name, (told, value) in numbers.items():
        family = GaugeMetricFamily(f"aaa_gate_{name}", told, labels=["agent"])
        for agent, its in of_agents.items():
            together = max if name == "opens_in_seconds" else sum
            family.add_metric([agent], together(map(value, its)))
        yield family
    states = GaugeMetricFamily(
        "aaa_gate_state", "Gates in that state; mostly 1 or 0", labels=["agent", "state"]
    )
    for agent, its in of_agents.items():
        for state in get_args(State):
            states.add_metric([agent, state], sum(row.state == state for row in its))
    yield states


def of_streams(listening: Listening, lag_s: float) -> Iterator[GaugeMetricFamily]:
    """Event streams of this process."""
    readers = sum(stream.readers for stream in listening.streams.values())
    yield GaugeMetricFamily("aaa_event_readers", "Event streams that are open", value=readers)
    told = "Age of the oldest event that a stream which had caught up was not sent yet; 0: all were"
    yield GaugeMetricFamily("aaa_event_lag_seconds", told, value=lag_s)


class _Told(Collector):
    """Families that are known already."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Sequence[Metric]:
        return self._families
