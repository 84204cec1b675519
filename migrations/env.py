"""Alembic's entry: one transaction for all steps, one migrator at a time (advisory lock)."""

from alembic import context
from sqlalchemy import create_engine, text

from aaa.store.tables import metadata

LOCK = 4_202_611_220_001

engine = create_engine(context.config.attributes["url"])
with engine.begin() as connection:
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    context.configure(
        connection=connection,
        target_metadata=metadata,
        compare_type=True,
        compare_server_default=True,
    )
    context.run_migrations()
engine.dispose()
