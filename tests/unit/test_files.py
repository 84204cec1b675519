"""Sinks: Parquet holds what the rows hold, whatever their size, and memory is bounded by bytes."""

import resource
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from aaa.corpus import files
from aaa.corpus.files import open_sink, plainer
from aaa.exporters._columns import JSON, Columns, MapOf

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


def as_arrow(row: dict[str, Any]) -> dict[str, Any]:
    make = plainer(COLUMNS)
    assert make is not None
    made: dict[str, Any] = make(row)
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


def test_what_arrow_takes_is_left_alone_and_the_rest_is_made_plain() -> None:
    assert plainer({"id": str, "chat": [{"role": str}]}) is None
    assert as_arrow(row(2)) == row(2) | {
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
