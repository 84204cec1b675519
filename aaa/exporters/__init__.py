"""Exporters: one file each, a pure `rows(source) -> rows` as dictionaries.

A format's id is its file's name with `-` for `_`; `FORMATS` finds the files, so a new format is one new
file. It says what it is made of (`MADE_OF`): `records` (`rows` takes one canonical record, a decided pair) or
`transcripts` (`rows` takes a whole session); what its columns hold (`COLUMNS`); and perhaps:

- `key(row)`: rows of the same seed with equal keys are written once;
- `beside(file)`: what is written beside a file of it, name -> text, for a trainer to be pointed at.

Row order is the source's, key order is as the file writes it: the same journal always gives the same bytes.
Left out: which records and in which order (`aaa.store.records`), what is selected (`aaa.corpus`).
"""

import importlib
from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import cache
from typing import Any, Literal, NamedTuple

import orjson

from aaa import plugins
from aaa.errors import InputError, NotFound
from aaa.exporters._columns import Columns
from aaa.records import Record, records
from aaa.transcripts import Transcript

Row = dict[str, Any]

FORMATS: tuple[str, ...] = tuple(name.replace("_", "-") for name in plugins.names("exporters"))
"""Ids of all formats, sorted."""


class Exporter(NamedTuple):
    """A file in `aaa/exporters/`."""

    format: str
    made_of: Literal["records", "transcripts"]
    columns: Columns
    rows: Callable[[Any], Iterator[Row]]
    key: Callable[[Row], Hashable] | None
    beside: Callable[[str], Mapping[str, str]]
    words: bool
    """Whether a row tells what judges said word for word: reading that takes twice as long."""


@cache
def exporter(format: str) -> Exporter:
    """That format. Raises `NotFound` listing the formats, or `InputError` for a broken file."""
    if format not in FORMATS:
        raise NotFound(f"no format {format!r}; there are: {', '.join(FORMATS)}")
    module = importlib.import_module(f"{__name__}.{format.replace('-', '_')}")
    missing = [name for name in ("MADE_OF", "COLUMNS", "rows") if not hasattr(module, name)]
    if missing:
        raise InputError(f"exporter {module.__name__!r} lacks {', '.join(missing)}")
    return Exporter(
        format=format,
        made_of=module.MADE_OF,
        columns=module.COLUMNS,
        rows=module.rows,
        key=getattr(module, "key", None),
        beside=getattr(module, "beside", lambda _: {}),
        words=getattr(module, "WORDS", False),
    )


def rows(transcript: Transcript, format: str) -> Iterator[Row]:
    """The transcript's rows. Raises as `exporter`."""
    made = exporter(format)
    if made.made_of == "transcripts":
        yield from made.rows(transcript)
        return
    fresh = Fresh(made)
    for record in records(transcript):
        yield from fresh.rows(record)


class Fresh:
    """The rows of records that are new among those of their seed; records of a seed come one after
    another.
    """

    def __init__(self, made: Exporter) -> None:
        self._made = made
        self._seed = ""
        self._seen: set[Hashable] = set()
        self.repeated = 0
        """Rows left out since they were there before."""

    def rows(self, record: Record) -> Iterator[Row]:
        """The record's rows, without those that are there already."""
        key = self._made.key
        return self._made.rows(record) if key is None else self._new(record, key)

    def _new(self, record: Record, key: Callable[[Row], Hashable]) -> Iterator[Row]:
        if record["seed"]["id"] != self._seed:
            self._seed, self._seen = record["seed"]["id"], set()
        for row in self._made.rows(record):
            found = key(row)
            if found in self._seen:
                self.repeated += 1
            else:
                self._seen.add(found)
                yield row


def lines(transcript: Transcript, format: str) -> Iterator[bytes]:
    """The transcript's rows as JSON lines: UTF-8, each with its newline. Raises as `exporter`."""
    return map(line, rows(transcript, format))


def line(row: Row) -> bytes:
    """A row as JSON: UTF-8, with its newline."""
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
