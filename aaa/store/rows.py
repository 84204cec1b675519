"""Many rows or values in one statement: handed over as one parameter, unfolded by PostgreSQL.

A statement is then the same for one row and for a hundred: it is compiled, prepared and sent once.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from sqlalchemy import (
    ARRAY,
    JSON,
    Column,
    Select,
    Table,
    Text,
    bindparam,
    cast,
    func,
    literal,
    select,
)
from sqlalchemy import column as sql_column
from sqlalchemy.dialects.postgresql import Insert
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.sql.selectable import TableValuedAlias
from sqlalchemy.types import TypeEngine


def rows_of(*columns: Column[Any], **more: TypeEngine[Any]) -> TableValuedAlias:
    """Rows of these columns, to select from or to join: the parameter `rows`, by `many`."""
    named = [sql_column(c.name, c.type) for c in columns]
    named += [sql_column(name, type_) for name, type_ in more.items()]
    unfolded = func.json_to_recordset(cast(bindparam("rows", type_=Text), JSON))
    return unfolded.table_valued(*named).render_derived(name="given", with_types=True)


def insert_many(table: Table, *names: str) -> Insert:
    """An INSERT of these columns of the table, for as many rows as `many` is given."""
    rows = rows_of(*(table.c[name] for name in names))
    return pg_insert(table).from_select(names, rows.select())


def array_of(values: Iterable[Any], of: type[TypeEngine[Any]]) -> Select[Any]:
    """For `column.in_`: any number of values as one parameter, of which PostgreSQL takes 65,535 at most."""
    return select(func.unnest(literal(list(values), ARRAY(of))))


def many(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The parameter: column -> value; bytes by `hexed`, money as text."""
    return {"rows": orjson.dumps(list(rows)).decode()}


def hexed(value: bytes) -> str:
    """Bytes as PostgreSQL reads them from a text."""
    return f"\\x{value.hex()}"
