"""Rounds by status, which who plays and steers looks for all the time; whom a course teaches next"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_rounds_status", "rounds", ["status", "created_at", "id"])
    op.add_column("courses", sa.Column("next_student", sa.Text()))
    op.add_column("courses", sa.Column("next_parent", sa.Text()))


def downgrade() -> None:
    op.drop_column("courses", "next_parent")
    op.drop_column("courses", "next_student")
    op.drop_index("ix_rounds_status", "rounds")
