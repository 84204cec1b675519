"""Budgets of tokens, calls and seats; attempts that tell what they cost and when they expire; gates"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MONEY = sa.Numeric(precision=20, scale=10)
ZERO = {"server_default": sa.text("0"), "nullable": False}


def budget(*, money: bool) -> list[sa.Column]:
    usd = [
        sa.Column("budget_usd", MONEY, nullable=True),
        sa.Column("spent_usd", MONEY, **ZERO),
        sa.Column("reserved_usd", MONEY, **ZERO),
    ]
    return [
        *(usd if money else []),
        sa.Column("budget_tokens", sa.BigInteger(), nullable=True),
        sa.Column("budget_calls", sa.BigInteger(), nullable=True),
        sa.Column("spent_tokens", sa.BigInteger(), **ZERO),
        sa.Column("reserved_tokens", sa.BigInteger(), **ZERO),
        sa.Column("calls", sa.BigInteger(), **ZERO),
    ]


def upgrade() -> None:
    halt = sa.Column("halt", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    for column in (halt, *budget(money=False)):
        op.add_column("rounds", column)
    op.create_table(
        "seat_usage",
        sa.Column("round_id", sa.Text(), nullable=False),
        sa.Column("seat", sa.Text(), nullable=False),
        *budget(money=True),
        sa.ForeignKeyConstraint(
            ["round_id"],
            ["rounds.id"],
            name=op.f("fk_seat_usage_round_id_rounds"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("round_id", "seat", name=op.f("pk_seat_usage")),
        postgresql_with={"fillfactor": "50"},
    )
    _attempts()
    op.create_table(
        "gates",
        sa.Column("seat", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("in_flight", sa.Integer(), nullable=False),
        sa.Column("waiting", sa.Integer(), nullable=False),
        sa.Column("opens_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("hold_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "beat_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("seat", name=op.f("pk_gates")),
    )
    _count_what_was()


def _attempts() -> None:
    columns = (
        sa.Column("seat", sa.Text(), nullable=True),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("reserved_tokens", sa.BigInteger(), **ZERO),
        sa.Column("tokens", sa.BigInteger(), nullable=True),
        sa.Column("reply", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
    )
    for column in columns:
        op.add_column("attempts", column)
    op.execute(
        """
        UPDATE attempts a SET
            key = '', expires_at = a.started_at + interval '1 hour',
            seat = coalesce(
                (SELECT t.seat FROM turns t WHERE (t.session_id, t.index) = (a.session_id, a.index)),
                (SELECT s.key FROM sessions x JOIN rounds r ON r.id = x.round_id,
                    jsonb_each(r.script->'scenario'->'seats') s
                 WHERE x.id = a.session_id AND s.value ? a.agent LIMIT 1),
                ''),
            tokens = (SELECT t.prompt_tokens + t.completion_tokens FROM turns t
                      WHERE (t.session_id, t.index, t.attempt) = (a.session_id, a.index, a.attempt))
        """
    )
    for name in ("seat", "key", "expires_at"):
        op.alter_column("attempts", name, nullable=False)
    op.create_index(
        "ix_attempts_open",
        "attempts",
        ["expires_at"],
        postgresql_where=sa.text("status = 'asking'"),
    )
    op.execute("ALTER TABLE attempts SET (fillfactor = 70)")


def _count_what_was() -> None:
    """Rounds from before: their seats' usage, and their tokens and calls so far."""
    op.execute(
        """
        INSERT INTO seat_usage (round_id, seat)
        SELECT r.id, jsonb_object_keys(r.script->'scenario'->'seats') FROM rounds r
        """
    )
    op.execute(
        """
        WITH used AS (
            SELECT s.round_id, a.seat, count(*) AS calls, coalesce(sum(a.tokens), 0) AS tokens,
                   coalesce(sum(a.cost_usd), 0) AS usd,
                   coalesce(sum(a.reserved_usd) FILTER (WHERE a.status = 'asking'), 0) AS reserved
            FROM attempts a JOIN sessions s ON s.id = a.session_id GROUP BY 1, 2)
        UPDATE seat_usage u SET calls = used.calls, spent_tokens = used.tokens,
               spent_usd = used.usd, reserved_usd = used.reserved
        FROM used WHERE (u.round_id, u.seat) = (used.round_id, used.seat)
        """
    )
    op.execute(
        """
        UPDATE rounds r SET calls = used.calls, spent_tokens = used.tokens
        FROM (SELECT round_id, sum(calls) AS calls, sum(spent_tokens) AS tokens
              FROM seat_usage GROUP BY 1) used
        WHERE r.id = used.round_id
        """
    )


def downgrade() -> None:
    op.drop_table("gates")
    op.execute("ALTER TABLE attempts RESET (fillfactor)")
    op.drop_index("ix_attempts_open", table_name="attempts")
    for name in ("expires_at", "reply", "tokens", "reserved_tokens", "key", "seat"):
        op.drop_column("attempts", name)
    op.drop_table("seat_usage")
    for column in reversed(budget(money=False)):
        op.drop_column("rounds", column.name)
    op.drop_column("rounds", "halt")
