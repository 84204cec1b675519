"""What a watcher knows of a round: values that `state.reduce` replaces and `render` reads.

Frozen dataclasses instead of `Value`, because a state is replaced hundreds of times a second and its
input was checked where it entered. Bounded: only counters grow with the number of sessions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from aaa.dashboard.rates import NOTHING, Window
from aaa.dashboard.theatre import Ruling, Stage
from aaa.states import ENDED

NOTES = ("evolved", "steps", "consensus", "dropped")
"""What plays conclude besides verdicts; what was dropped counts as that, whatever it was to be."""
SEATS = ("student", "teacher", "judge")
"""The seats that most protocols have, in the order in which they speak."""


class Happening(Protocol):
    """An event, as `aaa.client.Event` has it."""

    @property
    def id(self) -> int: ...
    @property
    def kind(self) -> str: ...
    @property
    def data(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that is under way, or waits: to begin, or to be tried again."""

    seat: str
    agent: str
    purpose: str
    attempt: int
    """0: none has begun."""
    since: float
    """Epoch seconds when it was first heard of."""
    retry_at: float | None = None
    """Epoch seconds of the next attempt; `None`: nothing failed, or it waits no longer for that."""
    trouble: str = ""
    """Why the last attempt failed."""
    gate: str = ""
    """What it waits for before it begins: a gate's state, or `starting`; `""`: it has begun."""
    opens_at: float | None = None
    """Epoch seconds when its gate lets the next one in, as it was told; `None`: nobody knows."""

    @property
    def in_flight(self) -> bool:
        """Whether it is being answered now."""
        return not self.gate and self.retry_at is None


@dataclass(frozen=True, slots=True)
class Running:
    """A session that runs."""

    seed: str
    since: float
    touched: float
    """When it was last heard of."""
    turns: int = 0
    calls: Mapping[int, Waiting] = field(default_factory=dict)
    """Turn index -> what it waits for."""


@dataclass(frozen=True, slots=True)
class Lane:
    """An agent in a seat."""

    answered: int = 0
    refused: int = 0
    """Turns that failed for good."""
    failed: int = 0
    """Attempts that failed, tried again or not."""
    latency_s: float = 0.0
    """Sum over answered calls."""
    window: Window = NOTHING
    last_failure: str = ""
    last_failure_at: float | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """How a model's gate stands, as `GET /v1/gates` told it."""

    state: str
    """`open`, `full`, `rate`, `holding` or `down`."""
    concurrency: int
    """Calls that may be in flight now."""
    in_flight: int
    waiting: int
    """Calls that wait to begin."""
    opens_at: float | None
    """Epoch seconds when the next call may begin; `None`: when one in flight ends, or now."""
    why: str
    """What the provider said, where it is dead."""


@dataclass(frozen=True, slots=True)
class Rated:
    """A player on the round's board."""

    player: str
    rating: float
    low: float | None
    high: float | None
    """Bounds at 95 %; `None`: open on that side."""
    battles: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """All failures of one kind."""

    count: int
    at: float
    who: str
    """`seat agent`, or the session's seed."""
    message: str


@dataclass(frozen=True, slots=True)
class Told:
    """A verdict of any session, for the list of the latest."""

    at: float
    seed: str
    ruling: Ruling


@dataclass(frozen=True, slots=True)
class State:
    """A round as seen by a watcher. Times are epoch seconds."""

    id: str
    scenario: str
    status: str = "queued"
    reason: str = ""
    message: str = ""
    budget_usd: float | None = None
    concurrency: int | None = None
    total: int = 0
    """Sessions in the round."""
    last_id: int = 0
    """Id of the newest event seen."""
    counted_to: int = 0
    """Id up to which the counters came with the round; events until there change none of them."""
    known_id: int = 0
    """Id of the newest event when the watcher came: before it, he is catching up."""
    last_at: float = 0.0
    started_at: float | None = None
    resumed_at: float | None = None
    """When it last went from standing to running, or its first event that was read; ETA counts from here."""
    ended_at: float | None = None
    finished: Mapping[str, int] = field(default_factory=dict)
    """`completed`, `failed`, `cancelled` -> sessions."""
    turns_finished: int = 0
    """Turns of the sessions that completed."""
    finishes: tuple[float, ...] = ()
    """When the latest sessions finished, since `resumed_at`."""
    turns: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    spent_usd: float = 0.0
    reserved_usd: float = 0.0
    """What calls in flight could cost at most, when the round was last looked at."""
    unpriced: int = 0
    """Answered turns of unknown cost."""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    pairs: int = 0
    noted: Mapping[str, int] = field(default_factory=dict)
    """Kind of note, as in `NOTES` -> how many."""
    window: Window = NOTHING
    lanes: Mapping[tuple[str, str], Lane] = field(default_factory=dict)
    """(seat, agent) -> its lane."""
    gates: Mapping[str, Gate] = field(default_factory=dict)
    """Agent -> its gate, where a seat stands behind it."""
    unseated: bool = False
    """Whether a model of the round had no seat yet when it was last looked."""
    running: Mapping[str, Running] = field(default_factory=dict)
    """Session id -> what it does, oldest first."""
    troubles: Mapping[str, Trouble] = field(default_factory=dict)
    """Kind of failure -> how often and the last one, latest last."""
    ratings: tuple[Rated, ...] = ()
    """Who battled in this round, best first, as of the last look."""
    latest: tuple[Told, ...] = ()
    """The latest verdicts, newest last."""
    stage: Stage | None = None
    pinned: bool = False
    """Whether the stage keeps its session, whatever other sessions do."""
    course: str = ""
    """Which part of which course the round is; `""`: of none, as far as is known."""
    connection: str = ""
    """What is wrong with the event stream; `""`: nothing."""
    hint: str = "Ctrl-C leaves; the round goes on without you"
    """What the last row says while nothing is wrong."""

    @property
    def done(self) -> int:
        return sum(self.finished.values())

    @property
    def is_over(self) -> bool:
        return self.status in ENDED
