"""The tables, as SQLAlchemy Core sees them. Migrations create them; a test holds the two equal.

Statements live beside what they do (`rounds.py`, `journal.py`, `reading.py`), never elsewhere.
"""

from decimal import Decimal
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from aaa.states import ROUND_STATUS, SESSION_STATUS
from aaa.types import OUTCOMES

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(v) for v in values)})", name=column)


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def _money(name: str) -> Column[Decimal]:
    return Column(name, Numeric(20, 10), nullable=False, server_default=text("0"))


def _budget() -> tuple[Column[Any], ...]:
    """Most that may be spent (`NULL`: no limit), what is spent, and what calls in flight could cost."""
    return (
        Column("budget_usd", Numeric(20, 10)),
        Column("budget_tokens", BigInteger),
        Column("budget_calls", BigInteger),
        _money("spent_usd"),
        _money("reserved_usd"),
        _count("spent_tokens"),
        _count("reserved_tokens"),
        _count("calls"),
    )


def _now(name: str) -> Column[object]:
    return Column(name, DateTime(timezone=True), nullable=False, server_default=func.now())


rounds = Table(
    "rounds",
    metadata,
    Column("id", Text, primary_key=True),
    Column("scenario", Text, nullable=False),
    Column("script", JSONB, nullable=False),
    Column("status", Text, nullable=False),  # the desired state: runners and seats obey it
    Column("reason", Text, nullable=False, server_default=""),
    Column("message", Text, nullable=False, server_default=""),
    Column(
        "halt", Boolean, nullable=False, server_default=text("false")
    ),  # break off what is in flight
    *_budget(),
    Column("concurrency", Integer, nullable=False),
    # counters, advanced in the transaction that makes them true
    _count("last_event"),
    _count("sessions_total"),
    *(_count(f"sessions_{status}") for status in SESSION_STATUS),
    _count("turns"),
    _count("prompt_tokens"),
    _count("completion_tokens"),
    *(_count(f"verdicts_{outcome}") for outcome in OUTCOMES),
    _count("pairs"),
    Column("idempotency_key", Text, unique=True),
    Column("request_hash", Text),
    _now("created_at"),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    _one_of("status", ROUND_STATUS),
    Index("ix_rounds_created_at_id", "created_at", "id"),
    Index("ix_rounds_status", "status", "created_at", "id"),
    postgresql_with={"fillfactor": "50"},  # the hot row: leave room for HOT updates
)

seat_usage = Table(
    "seat_usage",
    metadata,
    Column("round_id", Text, ForeignKey("rounds.id", ondelete="CASCADE"), nullable=False),
    Column("seat", Text, nullable=False),
    *_budget(),
    PrimaryKeyConstraint("round_id", "seat"),
    postgresql_with={"fillfactor": "50"},
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("round_id", Text, ForeignKey("rounds.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("seed_id", Text(collation="C"), nullable=False),
    Column("seed", JSONB, nullable=False),
    Column("status", Text, nullable=False),
    Column("runner", Text),
    Column("epoch", Integer, nullable=False, server_default=text("0")),
    Column("lease_until", DateTime(timezone=True)),
    Column("reason", Text, nullable=False, server_default=""),
    Column("message", Text, nullable=False, server_default=""),
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    UniqueConstraint("round_id", "position"),
    UniqueConstraint("round_id", "seed_id", name="uq_sessions_round_id_seed_id"),
    _one_of("status", SESSION_STATUS),
    Index("ix_sessions_open", "round_id", "status", "position"),
    postgresql_with={"fillfactor": "80"},
)

messages = Table(
    "messages",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("role", Text, nullable=False),
    Column("content", Text, nullable=False),
)

attempts = Table(
    "attempts",
    metadata,
    Column("session_id", BigInteger, nullable=False),
    Column("index", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("seat", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column(
        "key", Text, nullable=False
    ),  # of one intent: it tells a repeated commit from a second attempt
    Column("status", Text, nullable=False),
    Column("kind", Text),
    Column("message", Text),
    _money("reserved_usd"),
    _count("reserved_tokens"),
    Column("cost_usd", Numeric(20, 10)),  # what counts as spent: the worst, where nobody can know
    Column("tokens", BigInteger),
    Column(
        "reply", JSONB(none_as_null=True)
    ),  # an answer that came after another had become the turn
    _now("started_at"),
    Column(
        "expires_at", DateTime(timezone=True), nullable=False
    ),  # then nobody waits for it any more
    Column("finished_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("session_id", "index", "attempt"),
    ForeignKeyConstraint(["session_id"], ["sessions.id"], ondelete="CASCADE"),
    _one_of("status", ("asking", "answered", "failed", "abandoned")),
    Index("ix_attempts_open", "expires_at", postgresql_where=text("status = 'asking'")),
    postgresql_with={"fillfactor": "70"},
)

turns = Table(
    "turns",
    metadata,
    Column("session_id", BigInteger, nullable=False),
    Column("index", Integer, nullable=False),
    Column("seat", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("messages", ARRAY(LargeBinary), nullable=False),
    Column("sampling", JSONB, nullable=False),
    Column("shape", JSONB),
    Column("text", Text, nullable=False),
    Column("finish_reason", Text, nullable=False),
    Column("failure", JSONB),
    Column("choice_logprobs", JSONB),
    Column("logprob_floor", Float),
    Column("model", Text, nullable=False),
    Column("request_id", Text),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("cost_usd", Float),
    Column("latency_s", Float, nullable=False),
    Column("attempt", Integer, nullable=False),
    _now("at"),
    PrimaryKeyConstraint("session_id", "index"),
    ForeignKeyConstraint(["session_id"], ["sessions.id"], ondelete="CASCADE"),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("session_id", BigInteger, nullable=False),
    Column("index", Integer, nullable=False),
    Column("after", Integer, nullable=False),
    Column("edge", Text, nullable=False),
    Column("context", ARRAY(LargeBinary), nullable=False),
    Column("a", Integer, nullable=False),
    Column("b", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("winner", Text),
    Column("margin", Float),
    Column("judging", Text, nullable=False),
    Column("related_judges", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("pair_id", Text),
    _now("at"),
    PrimaryKeyConstraint("session_id", "index"),
    ForeignKeyConstraint(["session_id"], ["sessions.id"], ondelete="CASCADE"),
    _one_of("outcome", OUTCOMES),
    Index("ix_verdicts_pair_id", "pair_id", postgresql_where=text("pair_id IS NOT NULL")),
)

ballots = Table(
    "ballots",
    metadata,
    Column("session_id", BigInteger, nullable=False),
    Column("verdict", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("judge", Text, nullable=False),
    Column("order", Text, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("prefers", Text),
    Column("scores", JSONB),
    Column("explanation", Text, nullable=False),
    Column("error", Text),
    PrimaryKeyConstraint("session_id", "verdict", "number"),
    ForeignKeyConstraint(
        ["session_id", "verdict"],
        ["verdicts.session_id", "verdicts.index"],
        name="fk_ballots_verdict",
        ondelete="CASCADE",
    ),
)

notes = Table(
    "notes",
    metadata,
    Column("session_id", BigInteger, nullable=False),
    Column("index", Integer, nullable=False),  # one sequence for notes of all kinds, verdicts too
    Column("after", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("data", JSONB, nullable=False),
    _now("at"),
    PrimaryKeyConstraint("session_id", "index"),
    ForeignKeyConstraint(["session_id"], ["sessions.id"], ondelete="CASCADE"),
)

events = Table(
    "events",
    metadata,
    Column("round_id", Text, nullable=False),
    Column("id", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    _now("at"),
    Column("data", JSONB, nullable=False),
    PrimaryKeyConstraint("round_id", "id"),
    ForeignKeyConstraint(["round_id"], ["rounds.id"], ondelete="CASCADE"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    _now("started_at"),
    _now("beat_at"),
    Column("info", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
)

gates = Table(
    "gates",
    metadata,
    Column("seat", Text, primary_key=True),  # name of the actor before whose model it stands
    Column("agent", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("concurrency", Integer, nullable=False),
    Column("in_flight", Integer, nullable=False),
    Column("waiting", Integer, nullable=False),
    Column("opens_at", DateTime(timezone=True)),
    Column("hold_until", DateTime(timezone=True)),
    Column("why", Text, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column(
        "waited_s", Float, nullable=False, server_default=text("0")
    ),  # of all calls that its seat let in
    _now("beat_at"),
)

commands = Table(
    "commands",
    metadata,
    Column("key", Text, primary_key=True),  # an Idempotency-Key of a steering command that was done
    Column("request_hash", Text, nullable=False),
    _now("at"),
)

courses = Table(
    "courses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("scenario", Text, nullable=False),
    Column("script", JSONB, nullable=False),
    Column("status", Text, nullable=False),  # the desired state: the conductor obeys it
    Column("reason", Text, nullable=False, server_default=""),
    Column("message", Text, nullable=False, server_default=""),
    Column("student", Text, nullable=False),  # who is taught now
    Column("parent", Text),
    Column("next_student", Text),  # who is from the next stage on, where somebody asked for another
    Column("next_parent", Text),
    Column("budget_usd", Numeric(20, 10)),
    Column("budget_tokens", BigInteger),
    Column("budget_calls", BigInteger),
    Column("concurrency", Integer, nullable=False),
    Column("idempotency_key", Text, unique=True),
    Column("request_hash", Text),
    _now("created_at"),
    Column("finished_at", DateTime(timezone=True)),
    _one_of("status", ROUND_STATUS),
    Index("ix_courses_created_at_id", "created_at", "id"),
)

steps = Table(
    "steps",
    metadata,
    Column("course_id", Text, ForeignKey("courses.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("stage", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("play", Integer),
    Column("status", Text, nullable=False),
    Column("round_id", Text, ForeignKey("rounds.id", ondelete="SET NULL")),
    Column("data", JSONB, nullable=False, server_default=text("'{}'::jsonb")),  # what it found
    Column("started_at", DateTime(timezone=True)),
    Column("finished_at", DateTime(timezone=True)),
    PrimaryKeyConstraint("course_id", "position"),
    _one_of("status", ("waiting", "running", "done")),
)

course_seeds = Table(
    "course_seeds",
    metadata,
    Column("course_id", Text, ForeignKey("courses.id", ondelete="CASCADE"), nullable=False),
    Column("use", Text, nullable=False),  # `pool`, or `gate:` and the stage
    Column("position", Integer, nullable=False),
    Column("seed", JSONB, nullable=False),
    Column("stage", Integer),  # that took it; NULL: none yet
    PrimaryKeyConstraint("course_id", "use", "position"),
)

generations = Table(
    "generations",
    metadata,
    Column("agent", Text, primary_key=True),
    Column("student", Text, nullable=False),  # the agent at the head of its line
    Column("generation", Integer, nullable=False),
    Column("parent", Text),
    Column("model", Text, nullable=False),
    Column("course_id", Text, ForeignKey("courses.id", ondelete="SET NULL")),
    Column("stage", Text),
    Column("admission", JSONB),  # what its gate found; NULL: it met none
    Column("admitted", Boolean),  # NULL: not decided yet
    _now("at"),
    Index("ix_generations_student_generation", "student", "generation"),
)

calibrations = Table(
    "calibrations",
    metadata,
    Column("round_id", Text, ForeignKey("rounds.id", ondelete="CASCADE"), nullable=False),
    Column("judge", Text, nullable=False),
    Column("key", Text, nullable=False),  # hash of card, judging play, options and source
    Column("calibration", JSONB, nullable=False),
    _now("at"),
    PrimaryKeyConstraint("round_id", "judge"),
    Index("ix_calibrations_judge_key_at", "judge", "key", "at"),
)

TOKEN_ROLES = ("viewer", "operator", "admin")

tokens = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False, unique=True),  # SHA-256; the token is kept nowhere
    _now("created_at"),
    Column("expires_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    _one_of("role", TOKEN_ROLES),
)
