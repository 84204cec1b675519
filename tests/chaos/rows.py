"""Everything that a database holds, as values to compare."""

import json
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.rows import dict_row

Rows = Mapping[str, list[dict[str, Any]]]
"""Table -> its rows, each column as JSON has it."""


def connect(url: str) -> "psycopg.Connection[dict[str, Any]]":
    """A connection of our own that commits each statement."""
    return psycopg.connect(url, autocommit=True, row_factory=dict_row)


def all_rows(url: str) -> Rows:
    """Every row of every table, but for the schema's version."""
    with connect(url) as connection:
        named = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
        ).fetchall()
        tables = [row["tablename"] for row in named if row["tablename"] != "alembic_version"]
        return {
            name: [
                row["whole"]
                for row in connection.execute(f'SELECT to_jsonb(t) AS whole FROM "{name}" AS t')
            ]
            for name in tables
        }


def count(rows: Rows) -> int:
    """Rows in all tables."""
    return sum(map(len, rows.values()))


def differing(before: Rows, after: Rows) -> int:
    """Rows that are not in both, looking only at tables and columns that `before` has."""
    return sum(_differing(rows, after.get(name, [])) for name, rows in before.items())


def _differing(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> int:
    columns = sorted(before[0]) if before else []
    a, b = ({json.dumps([row.get(c) for c in columns]) for row in rows} for rows in (before, after))
    return len(a ^ b) if len(before) == len(after) else max(len(a ^ b), 1)
