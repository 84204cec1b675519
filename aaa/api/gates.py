"""Routes that tell how each model's gate stands: `/v1/gates` for people, `/metrics` for Prometheus.

Both are read from rows that seats write about once a second, so any replica of the control plane tells the
same. Labels are agents and states: bounded by the catalogue.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, get_args

from fastapi import APIRouter, Query, Response
from prometheus_client import generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from aaa.api.guard import needs
from aaa.api.paging import CLEAN
from aaa.api.problems import errors
from aaa.pace import State
from aaa.store.database import Database
from aaa.store.gates import GateRow, standing_gates
from aaa.types import Value

OfRound = Annotated[
    str | None,
    Query(
        alias="round", max_length=200, pattern=CLEAN, description="Id of a round: its agents only"
    ),
]


class Gates(Value):
    """Every gate that has a seat behind it."""

    items: list[GateRow]


def routes(database: Database) -> APIRouter:
    """`/v1/gates` and `/metrics`."""
    router = APIRouter(tags=["watching"])

    @router.get("/v1/gates", dependencies=[needs("viewer")], responses=errors(404))
    async def gates(of_round: OfRound = None) -> Gates:
        """How each model's gate stands: calls in flight and waiting, its limit now, what they wait for."""
        return Gates(items=await standing_gates(database, of_round))

    @router.get(
        "/metrics",
        dependencies=[needs("viewer")],
        response_class=Response,
        responses={**errors(), 200: {"content": {CONTENT_TYPE_LATEST.split(";")[0]: {}}}},
    )
    async def metrics() -> Response:
        """The same for Prometheus, in its text format."""
        text = exposition(await standing_gates(database), datetime.now(UTC))
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return router


def exposition(rows: Sequence[GateRow], now: datetime) -> bytes:
    """The gates in Prometheus' text format."""
    numbers: dict[str, tuple[str, Callable[[GateRow], float]]] = {
        "in_flight": ("Calls in flight", lambda row: row.in_flight),
        "waiting": ("Calls that wait to begin", lambda row: row.waiting),
        "concurrency": ("Calls that may be in flight now", lambda row: row.concurrency),
        "opens_in_seconds": (
            "Until the next call may begin",
            lambda row: max(0.0, (row.opens_at - now).total_seconds()) if row.opens_at else 0.0,
        ),
    }
    families = []
    for name, (told, value) in numbers.items():
        family = GaugeMetricFamily(f"aaa_gate_{name}", told, labels=["agent"])
        for row in rows:
            family.add_metric([row.agent], value(row))
        families.append(family)
    states = GaugeMetricFamily(
        "aaa_gate_state", "1 for the state it is in", labels=["agent", "state"]
    )
    for row in rows:
        for state in get_args(State):
            states.add_metric([row.agent, state], float(row.state == state))
    text: bytes = generate_latest(_Told([*families, states]))
    return text


class _Told(Collector):
    """Families that are known already."""

    def __init__(self, families: Sequence[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Sequence[GaugeMetricFamily]:
        return self._families
