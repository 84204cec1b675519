"""What the API says, as types: rounds, sessions, events. Typed and not validated, so that an older client
reads a newer server; `docs/design/events.md` says what each field means.
"""

from typing import Any, TypedDict

from aaa.types import Value

Json = dict[str, Any]


class Round(TypedDict):
    """A round as the API tells it; `docs/design/events.md` says what each field means."""

    id: str
    scenario: str
    description: str
    status: str
    reason: str
    message: str
    budget_usd: float | None
    budget_tokens: int | None
    budget_calls: int | None
    spent_usd: float
    reserved_usd: float
    spent_tokens: int
    reserved_tokens: int
    calls: int
    seat_budgets: dict[str, Json]
    concurrency: int
    sessions: dict[str, int]
    turns: int
    prompt_tokens: int
    completion_tokens: int
    verdicts: dict[str, int]
    pairs: int
    last_event: int
    created_at: str
    started_at: str | None
    finished_at: str | None
    seats: dict[str, list[str]]
    protocol: str


class SessionRow(TypedDict):
    """A session in a list: `seed` is its id, `turns` and `verdicts` are counts."""

    id: int
    round: str
    seed: str
    status: str
    reason: str
    message: str
    started_at: str | None
    finished_at: str | None
    turns: int
    verdicts: int


class Session(TypedDict):
    """A session with its whole transcript."""

    id: int
    round: str
    seed: Json
    status: str
    reason: str
    message: str
    started_at: str | None
    finished_at: str | None
    turns: list[Json]
    verdicts: list[Json]
    notes: list[Json]
    attempts: list[Json]


class Event(Value):
    """One thing that happened in a round."""

    id: int
    """1, 2, 3 … within the round, without a gap."""
    kind: str
    """`turn`, `verdict`, `session.started` …"""
    data: Json
