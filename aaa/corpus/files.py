"""Rows as files: JSON lines or Parquet, whole under their final name or not there at all.

A file is written beside its name, flushed to the disk and renamed; a kill leaves a hidden draft at most
(`.NAME.draft-…`), a full disk not even that. Parquet is nested, compressed by zstd, in row groups that a
streaming reader holds easily. The same rows give the same bytes.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from hashlib import sha256
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import orjson

from aaa.errors import InputError, SetupError
from aaa.exporters import Row, line
from aaa.exporters._columns import Column, Columns, Json, MapOf

SUFFIXES = (".jsonl", ".parquet")
ROW_GROUP = 10_000
"""Rows of a row group, at most."""
GROUP_SIZE = 8 << 20
"""Bytes of a row group in memory after which it is written: rows may be of any size, memory is not."""
LOT = 1 << 20
"""Bytes of JSON lines that are written and hashed at a time."""
BATCH = 500
"""Rows that become Arrow at a time."""
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


class _Aside:
    """A thread that works on one lot while the next one is made; two are held at most."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "sink")
        self._working: Future[object] | None = None

    def do(self, work: Callable[..., object], *given: object) -> None:
        """Once the last lot is done. Raises what that raised."""
        self.wait()
        self._working = self._thread.submit(work, *given)

    def wait(self) -> None:
        """Raises what the work raised."""
        if self._working is not None:
            self._working.result()

    def close(self) -> None:
        self.wait()
        self._thread.shutdown()


class _Lines:
    """JSON lines."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._hash = sha256()
        self._aside = _Aside()
        self._lot: list[bytes] = []
        self._size = 0
        self.rows = 0

    def write(self, row: Row) -> None:
        text = line(row)
        self._lot.append(text)
        self._size += len(text)
        self.rows += 1
        if self._size >= LOT:
            self._hand_on()

    def _hand_on(self) -> None:
        self._aside.do(self._put, b"".join(self._lot))
        self._lot, self._size = [], 0

    def _put(self, lot: bytes) -> None:
        self._hash.update(lot)
        rest = memoryview(lot)
        while rest:
            rest = rest[self._file.write(rest) :]

    def close(self) -> str:
        self._hand_on()
        self._aside.close()
        self._file.close()
        return self._hash.hexdigest()


class _Parquet:
    """Parquet by pyarrow, a row group at a time. Rows wait as Arrow has them, a tenth of Python's objects."""

    def __init__(self, path: Path, columns: Columns) -> None:
        import pyarrow as pa  # a third of a second to import, and few exports need it
        import pyarrow.parquet as pq

        pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own gives back little: 50 MiB
        self._path, self._columns, self._schema = path, columns, schema(columns)
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._aside = _Aside()
        self._waiting: list[Row] = []
        self._group: list[Any] = []
        self.rows = 0

    def write(self, row: Row) -> None:
        self._waiting.append(row)
        self.rows += 1
        if len(self._waiting) == BATCH:
            self._take()

    def _take(self) -> None:
        self._group.append(batch(self._waiting, self._columns))
        self._waiting = []
        full = BATCH * len(self._group) >= ROW_GROUP
        if full or sum(batch.nbytes for batch in self._group) >= GROUP_SIZE:
            self._hand_on()

    def _hand_on(self) -> None:
        import pyarrow as pa

        self._aside.do(self._writer.write_table, pa.Table.from_batches(self._group, self._schema))
        self._group = []

    def close(self) -> str:
        if self._waiting or not self.rows:
            self._take()
        if self._group:
            self._hand_on()
        self._aside.close()
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


def batch(rows: Sequence[Row], columns: Columns) -> Any:
    """The rows as an Arrow record batch, column by column: quicker than row by row.

    Dictionaries of anybody's keys become lists, JSON becomes text. A column that a row lacks is null in it.
    """
    import pyarrow as pa

    return pa.RecordBatch.from_arrays(_parts(columns, rows), schema=schema(columns))


def _parts(columns: Columns, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """An array for each column."""
    return [_array(column, [row.get(name) for row in rows]) for name, column in columns.items()]


def _array(column: Column, values: Sequence[Any]) -> Any:
    import pyarrow as pa

    if isinstance(column, MapOf):
        keys = [key for value in values if value for key in value]
        held = [one for value in values if value for one in value.values()]
        entries = [_array(str, keys), _array(column.value, held)]
        return _lists(values, pa.StructArray.from_arrays(entries, names=["key", "value"]))
    if isinstance(column, Json):
        texts = [None if value is None else orjson.dumps(value).decode() for value in values]
        return pa.array(texts, pa.string())
    if isinstance(column, dict):
        nulls = [value is None for value in values]
        none = dict.fromkeys(column)
        parts = _parts(column, [value or none for value in values])
        mask = pa.array(nulls) if any(nulls) else None
        return pa.StructArray.from_arrays(parts, names=list(column), mask=mask)
    if isinstance(column, list):
        return _lists(
            values, _array(column[0], [one for value in values if value for one in value])
        )
    return pa.array(values, _arrow(column))


def _lists(values: Sequence[Any], held: Any) -> Any:
    """What they hold, all in a row, as one list for each; null where there was none."""
    import pyarrow as pa

    ends = accumulate((len(value) if value else 0 for value in values), initial=0)
    offsets = pa.array(ends, pa.int32())
    nulls = [value is None for value in values]
    mask = pa.array(nulls) if any(nulls) else None
    return pa.ListArray.from_arrays(offsets, held, mask=mask)
