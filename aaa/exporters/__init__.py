"""Exporters: one file each, a pure `rows(source) -> rows` as dictionaries.

A format's id is its file's name with `-` for `_`; `FORMATS` finds the files, so a new format is one new
file. It says what it is made of (`MADE_OF`): `records` (`rows` takes one canonical record, a decided pair) or
`transcripts` (`rows` takes a whole session); what its columns hold (`COLUMNS`); and perhaps:

- `key(row)`: rows of the same seed with equal keys are written once;
- `lost(record)`: the key that a row of the rejected answer would have; no row of its seed has that key;
- `beside(file)`: what is written beside a file of it, name -> text, for a trainer to be pointed at.

Row order is the source's, key order is as the file writes it: the same journal always gives the same bytes.
Left out: which records and in which order (`aaa.store.records`), what is selected (`aaa.corpus`).
"""

import importlib
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
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
    lost: Callable[[Record], Hashable] | None
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
        lost=getattr(module, "lost", None),
        beside=getattr(module, "beside", lambda _: {}),
        words=getattr(module, "WORDS", False),
    )


def rows(transcript: Transcript, format: str) -> Iterator[Row]:
    """The transcript's rows. Raises as `exporter`."""
    made = exporter(format)
    if made.made_of == "transcripts":
        yield from made.rows(transcript)
        return
    for _, row in fresh_rows(made, list(records(transcript))):
        yield row


def fresh_rows(
    made: Exporter,
    found: Sequence[Record],
    before: Sequence[Record] = (),
    left_out: Counter[str] | None = None,
) -> Iterator[tuple[Record, Row]]:
    """Each row with its record, less `repeated` and `contradicted` ones, which `left_out` counts.

    `found` and `before` are all records of their seeds: those that are wanted, and those that an earlier
    file has the rows of.
    """
    lost = {(_seed(r), made.lost(r)) for r in (*before, *found)} if made.lost else set()
    key = made.key
    seen = {(_seed(r), key(row)) for r in before for row in made.rows(r)} if key else set()
    for record in found:
        for row in made.rows(record):
            if key:
                this = _seed(record), key(row)
                why = "contradicted" if this in lost else "repeated" if this in seen else None
                if why is not None:
                    if left_out is not None:
                        left_out[why] += 1
                    continue
                seen.add(this)
            yield record, row


def _seed(record: Record) -> str:
    id: str = record["seed"]["id"]
    return id


def lines(transcript: Transcript, format: str) -> Iterator[bytes]:
    """The transcript's rows as JSON lines: UTF-8, each with its newline. Raises as `exporter`."""
    return map(line, rows(transcript, format))


def line(row: Row) -> bytes:
    """A row as JSON: UTF-8, with its newline."""
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
