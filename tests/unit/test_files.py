"""Sinks: Parquet holds what the rows hold, whatever their size, and memory is bounded by bytes."""

import resource
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aaa.corpus import files
from aaa.corpus.files import batch, open_sink, schema
from aaa.exporters._columns import JSON, Column, Columns, Json, MapOf

COLUMNS: Columns = {
    "id": str,
    "tags": [str],
    "answer": {"text": str, "scores": MapOf(float), "turn": int},
    "ballots": [{"judge": str, "scores": MapOf([str]), "any": JSON}],
    "any": JSON,
}


def row(number: int, text: str = "said") -> dict[str, Any]:
    """A row with nulls in other places than its neighbours."""
    odd = number % 2 == 0
    return {
        "id": str(number),
        "tags": ["a", "ü"] if odd else [],
        "answer": None if number % 5 == 0 else {
            "text": text, "scores": {"b": 1.0, "a": 0.5} if odd else None, "turn": number},
        "ballots": [{"judge": "j", "scores": {"x": ["y"]}, "any": {"k": [number, None]}},
                    {"judge": "i", "scores": None, "any": None}] if odd else None,
        "any": [1, "two"] if odd else None,
    }  # fmt: skip


def plain(column: Column | Columns, value: Any) -> Any:
    """A value as Parquet gives it back: what anybody's keys name is a list, JSON is text."""
    if value is None:
        return None
    if isinstance(column, MapOf):
        return [{"key": key, "value": plain(column.value, one)} for key, one in value.items()]
    if isinstance(column, Json):
        return orjson.dumps(value).decode()
    if isinstance(column, dict):
        return {name: plain(part, value.get(name)) for name, part in column.items()}
    if isinstance(column, list):
        return [plain(column[0], one) for one in value]
    return value


def as_arrow(row: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = plain(COLUMNS, row)
    return made


def written(path: Path, rows: list[dict[str, Any]]) -> pq.ParquetFile:
    sink = open_sink(path, COLUMNS, "parquet")
    for one in rows:
        sink.write(one)
    assert sink.rows == len(rows)
    assert sink.close() == files.hashed(path)
    return pq.ParquetFile(path)


@pytest.mark.parametrize("count", [0, 1, files.BATCH, files.ROW_GROUP + 1])
def test_parquet_holds_the_rows(tmp_path: Path, count: int) -> None:
    rows = [row(number) for number in range(count)]
    file = written(tmp_path / "rows.parquet", rows)
    assert file.read().to_pylist() == [as_arrow(one) for one in rows]
    assert file.num_row_groups == max(1, -(-count // files.ROW_GROUP))


def test_dictionaries_of_anybodys_keys_become_lists_and_json_becomes_text() -> None:
    assert batch([row(2)], COLUMNS).to_pylist() == [
        row(2)
        | {
            "answer": {
                "text": "said",
                "scores": [{"key": "b", "value": 1.0}, {"key": "a", "value": 0.5}],
                "turn": 2,
            },
            "ballots": [
                {"judge": "j", "scores": [{"key": "x", "value": ["y"]}], "any": '{"k":[2,null]}'},
                {"judge": "i", "scores": None, "any": None},
            ],
            "any": '[1,"two"]',
        }
    ]


def values(column: Column | Columns) -> st.SearchStrategy[Any]:
    """Whatever a column may hold, null included."""
    texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
    whole = st.integers(-(2**63), 2**63 - 1)
    plain = {str: texts, int: whole, float: st.floats(allow_nan=False), bool: st.booleans()}
    if isinstance(column, MapOf):
        found: st.SearchStrategy[Any] = st.dictionaries(texts, values(column.value), max_size=3)
    elif isinstance(column, Json):
        found = st.recursive(
            texts | st.booleans(), lambda one: st.lists(one, max_size=2), max_leaves=4
        )
    elif isinstance(column, dict):
        found = st.fixed_dictionaries({}, optional={n: values(part) for n, part in column.items()})
    elif isinstance(column, list):
        found = st.lists(values(column[0]), max_size=3)
    else:
        found = plain[column]
    return st.none() | found


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(values(COLUMNS).filter(lambda row: row is not None), max_size=6))
def test_rows_by_column_are_what_arrow_makes_of_them_row_by_row(rows: list[dict[str, Any]]) -> None:
    made, by_row = batch(rows, COLUMNS), [as_arrow(one) for one in rows]
    assert made.schema == schema(COLUMNS)
    made.validate(full=True)
    assert made.to_pylist() == pa.RecordBatch.from_pylist(by_row, schema(COLUMNS)).to_pylist()
    assert made.to_pylist() == by_row


def test_long_rows_make_row_groups_of_few(tmp_path: Path) -> None:
    """A row group is held in memory by whoever reads or writes it."""
    long = "x" * (files.GROUP_SIZE // files.BATCH)
    rows = [row(number, long) for number in range(4 * files.BATCH)]
    file = written(tmp_path / "rows.parquet", rows)
    assert file.num_row_groups > 1
    assert file.metadata.num_rows == len(rows)
    sizes = [file.metadata.row_group(n).total_byte_size for n in range(file.num_row_groups)]
    assert max(sizes) < 2.5 * files.GROUP_SIZE


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    rows = [row(number) for number in range(2 * files.ROW_GROUP)]
    for name in ("one.parquet", "two.parquet"):
        written(tmp_path / name, rows)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """As on a full disk: no file may grow beyond that."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_while_a_row_group_is_written_is_told(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "rows.parquet", COLUMNS, "parquet")
    rows = (row(number, f"{number} said") for number in range(3 * files.ROW_GROUP))
    with small_disk(50_000), pytest.raises(OSError, match="File too large"):
        deque(map(sink.write, rows), maxlen=0)
