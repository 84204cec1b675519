"""Courses of several stages, and the generations of their students"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

NOW = sa.text("now()")
STATUS = "status IN ('queued', 'running', 'paused', 'completed', 'failed', 'cancelled')"


def _of_course(table: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_course_id_courses")
    return sa.ForeignKeyConstraint(["course_id"], ["courses.id"], name=name, ondelete="CASCADE")


def upgrade() -> None:
    op.create_table(
        "courses",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("scenario", sa.Text(), nullable=False),
        sa.Column("script", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("student", sa.Text(), nullable=False),
        sa.Column("parent", sa.Text()),
        sa.Column("budget_usd", sa.Numeric(20, 10)),
        sa.Column("budget_tokens", sa.BigInteger()),
        sa.Column("budget_calls", sa.BigInteger()),
        sa.Column("concurrency", sa.Integer(), nullable=False),
        sa.Column("idempotency_key", sa.Text()),
        sa.Column("request_hash", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(STATUS, name=op.f("ck_courses_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_courses")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_courses_idempotency_key")),
    )
    op.create_index("ix_courses_created_at_id", "courses", ["created_at", "id"], unique=False)
    op.create_table(
        "steps",
        sa.Column("course_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("play", sa.Integer()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("round_id", sa.Text()),
        sa.Column(
            "data",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "status IN ('waiting', 'running', 'done')", name=op.f("ck_steps_status")
        ),
        _of_course("steps"),
        sa.ForeignKeyConstraint(
            ["round_id"], ["rounds.id"], name=op.f("fk_steps_round_id_rounds"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("course_id", "position", name=op.f("pk_steps")),
    )
    op.create_table(
        "course_seeds",
        sa.Column("course_id", sa.Text(), nullable=False),
        sa.Column("use", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("seed", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("stage", sa.Integer()),
        _of_course("course_seeds"),
        sa.PrimaryKeyConstraint("course_id", "use", "position", name=op.f("pk_course_seeds")),
    )
    op.create_table(
        "generations",
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("student", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("parent", sa.Text()),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("course_id", sa.Text()),
        sa.Column("stage", sa.Text()),
        sa.Column("admission", postgresql.JSONB(astext_type=sa.Text())),
        sa.Column("admitted", sa.Boolean()),
        sa.Column("at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["course_id"],
            ["courses.id"],
            name=op.f("fk_generations_course_id_courses"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("agent", name=op.f("pk_generations")),
    )
    op.create_index(
        "ix_generations_student_generation", "generations", ["student", "generation"], unique=False
    )


def downgrade() -> None:
    op.drop_index("ix_generations_student_generation", table_name="generations")
    op.drop_table("generations")
    op.drop_table("course_seeds")
    op.drop_table("steps")
    op.drop_index("ix_courses_created_at_id", table_name="courses")
    op.drop_table("courses")
