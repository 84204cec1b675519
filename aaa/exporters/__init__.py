"""Exporters: one file each, a pure `rows(transcript) -> rows` as dictionaries.

A format's id is its file's name with `-` for `_`; `FORMATS` finds the files, so a new format is one new
file. Row order is the transcript's, key order is as the file writes it: the same journal always gives
the same bytes. Left out: which sessions, and in which order (`store.reading.transcripts`).
"""

import importlib
from collections.abc import Callable, Iterator
from typing import Any

import orjson

from aaa import plugins
from aaa.errors import InputError, NotFound
from aaa.transcripts import Transcript

Row = dict[str, Any]
Exporter = Callable[[Transcript], Iterator[Row]]

FORMATS: tuple[str, ...] = tuple(name.replace("_", "-") for name in plugins.names("exporters"))
"""Ids of all formats, sorted."""


def exporter(format: str) -> Exporter:
    """`rows` of that format. Raises `NotFound` listing the formats, or `InputError` for a broken file."""
    if format not in FORMATS:
        raise NotFound(f"no format {format!r}; there are: {', '.join(FORMATS)}")
    module = importlib.import_module(f"{__name__}.{format.replace('-', '_')}")
    rows: Exporter | None = getattr(module, "rows", None)
    if rows is None:
        raise InputError(f"exporter {module.__name__!r} lacks rows")
    return rows


def lines(transcript: Transcript, format: str) -> Iterator[bytes]:
    """The transcript's rows as JSON lines: UTF-8, each with its newline. Raises as `exporter`."""
    for row in exporter(format)(transcript):
        yield orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
