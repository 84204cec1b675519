"""Rows as files: JSON lines or Parquet, whole under their final name or not there at all.

A file is written beside its name, flushed to the disk and renamed; a kill leaves a hidden draft at most
(`.NAME.draft-…`), a full disk not even that. Parquet is nested, compressed by zstd, in row groups that a
streaming reader holds easily. The same rows give the same bytes.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import orjson

from aaa.errors import InputError, SetupError
from aaa.exporters import Row, line
from aaa.exporters._columns import Column, Columns, Json, MapOf

SUFFIXES = (".jsonl", ".json", ".parquet")
ROW_GROUP = 10_000
"""Rows of a row group: of answers of 2 KB some 40 MB in memory."""
DRAFT = ".draft-"
"""How the part after the name begins that a draft has."""


class Sink(Protocol):
    """Where rows go."""

    rows: int

    def write(self, row: Row) -> None: ...

    def close(self) -> str:
        """SHA-256 of the file."""


def kind_of(path: Path) -> str:
    """`jsonl` or `parquet`, by the suffix. Raises `InputError` for any other."""
    if path.suffix not in SUFFIXES:
        raise InputError(
            f"{str(path)!r}: exports are JSONL or Parquet; give a name that ends in .jsonl or .parquet, "
            "or a folder's, that ends in /"
        )
    return "parquet" if path.suffix == ".parquet" else "jsonl"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A draft to write to, which becomes `path` when the block ends well, and is gone when it does not.

    Raises `SetupError` where it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}{DRAFT}", dir=path.parent)
        os.close(descriptor)
    except OSError as error:
        raise unwritable(path, error) from error
    draft = Path(name)
    try:
        yield draft
        flush(draft)
        draft.chmod(0o644)
        draft.replace(path)
        flush(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):
            draft.unlink()


def unwritable(path: Path, error: OSError) -> SetupError:
    return SetupError(f"{str(path)!r} cannot be written: {error.strerror or error}")


def flush(path: Path) -> None:
    """To the disk, whatever wrote it: a rename must not come before what it names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_sink(path: Path, columns: Columns, kind: str) -> Sink:
    """A sink of that kind that writes to `path`."""
    return _Parquet(path, columns) if kind == "parquet" else _Lines(path)


class _Lines:
    """JSON lines."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=1 << 20)
        self._hash = sha256()
        self.rows = 0

    def write(self, row: Row) -> None:
        text = line(row)
        self._file.write(text)
        self._hash.update(text)
        self.rows += 1

    def close(self) -> str:
        self._file.close()
        return self._hash.hexdigest()


class _Parquet:
    """Parquet by pyarrow, a row group at a time."""

    def __init__(self, path: Path, columns: Columns) -> None:
        import pyarrow.parquet as pq  # a third of a second to import, and few exports need it

        self._path, self._columns, self._schema = path, columns, schema(columns)
        self._nested = any(map(_odd, columns.values()))
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._waiting: list[Row] = []
        self.rows = 0

    def write(self, row: Row) -> None:
        self._waiting.append(plain(row, self._columns) if self._nested else row)
        self.rows += 1
        if len(self._waiting) == ROW_GROUP:
            self.flush()

    def flush(self) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(self._waiting, self._schema))
        self._waiting = []

    def close(self) -> str:
        if self._waiting or not self.rows:
            self.flush()
        self._writer.close()
        return hashed(self._path)


def hashed(path: Path) -> str:
    """SHA-256 of a file."""
    found = sha256()
    with path.open("rb") as file:
        while part := file.read(1 << 20):
            found.update(part)
    return found.hexdigest()


def schema(columns: Columns) -> Any:
    """The Arrow schema of those columns."""
    import pyarrow as pa

    return pa.schema([(name, _arrow(column)) for name, column in columns.items()])


def _arrow(column: Column) -> Any:
    import pyarrow as pa

    if isinstance(column, MapOf):
        return pa.list_(pa.struct([("key", pa.string()), ("value", _arrow(column.value))]))
    if isinstance(column, Json):
        return pa.string()
    if isinstance(column, dict):
        return pa.struct([(name, _arrow(part)) for name, part in column.items()])
    if isinstance(column, list):
        return pa.list_(_arrow(column[0]))
    return {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}[column]


def _odd(column: Column) -> bool:
    """Whether there is something in it that Arrow does not take as it is."""
    if isinstance(column, dict):
        return any(map(_odd, column.values()))
    return isinstance(column, MapOf | Json) or (isinstance(column, list) and _odd(column[0]))


def plain(value: Any, column: Column) -> Any:
    """A value as Arrow takes it: dictionaries of anybody's keys as lists, JSON as text."""
    if value is None:
        return None
    if isinstance(column, MapOf):
        return [{"key": key, "value": plain(one, column.value)} for key, one in value.items()]
    if isinstance(column, Json):
        return orjson.dumps(value).decode()
    if isinstance(column, dict):
        return {name: plain(value[name], part) for name, part in column.items()}
    if isinstance(column, list) and not isinstance(column[0], type):
        return [plain(one, column[0]) for one in value]
    return value
