"""What sessions, turns, verdicts and pairs look like as JSON; `docs/design/events.md` is the contract.

Left out: rounds and seeds, which travel as the values that they are.
"""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from aaa.types import Failure, Message, Sampling, Seed, Side


class TurnShape(BaseModel):
    """A wish granted: what was asked, as sent, and what came back."""

    index: int
    seat: str
    agent: str
    purpose: str
    messages: list[Message]
    """What the model was sent; its card's persona comes before it."""
    sampling: Sampling
    shape: dict[str, Any] | None
    text: str
    finish_reason: str
    choice_logprobs: dict[str, float] | None
    logprob_floor: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None
    """`None`: unknown."""
    model: str
    """The model as the provider says it served it."""
    request_id: str | None
    latency_s: float
    failure: Failure | None


class BallotShape(BaseModel):
    """One judge's raw answer in one order."""

    judge: str
    order: str
    turn: int
    """Index of the turn that holds the judge's raw words."""
    prefers: Literal["a", "b", "tie"] | None
    scores: dict[Side, float] | None
    explanation: str
    error: str | None


class VerdictShape(BaseModel):
    """What a judging play concluded, after that many turns."""

    index: int
    after: int
    edge: str
    context: list[Message]
    a: int
    b: int
    outcome: str
    winner: Side | None
    margin: float | None
    ballots: list[BallotShape]
    judging: str
    related_judges: bool
    reason: str
    pair: str | None
    """Id of the pair it makes, if any."""


class AttemptShape(BaseModel):
    """One request to a provider."""

    index: int
    attempt: int
    agent: str
    status: Literal["asking", "answered", "failed", "abandoned"]
    kind: str | None
    message: str | None
    cost_usd: float | None
    started_at: datetime
    finished_at: datetime | None


class SessionShape(BaseModel):
    """A session with its whole transcript."""

    id: int
    round: str
    seed: Seed
    status: str
    reason: str
    message: str
    started_at: datetime | None
    finished_at: datetime | None
    turns: list[TurnShape]
    verdicts: list[VerdictShape]
    notes: list[dict[str, Any]]
    """What the play concluded besides: `evolved`, `steps`, `consensus`, by `kind`."""
    attempts: list[AttemptShape]


class Spent(BaseModel):
    """What some turns took."""

    calls: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None
    """`None` where a call's is unknown; so it is for tokens."""
    latency_s: float


class Said(BaseModel):
    """A ballot, with what the judge said word for word."""

    judge: str
    model: str
    order: str
    turn: int
    prefers: Literal["a", "b", "tie"] | None
    scores: dict[Side, float] | None
    explanation: str
    error: str | None
    text: str
    choice_logprobs: dict[str, float] | None
