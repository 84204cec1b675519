"""Shared: what a column holds, said in plain Python, so that a format's file needs no Arrow to be read.

`str`, `int`, `float`, `bool`; `[str]` is a list; `{"role": str}` is a struct; `MapOf(float)` is a dictionary
whose keys are anybody's; `JSON` differs from row to row. Every one of them may be null.
"""

from typing import NamedTuple

from aaa.records import Chat


class MapOf(NamedTuple):
    """A dictionary from text to that; Parquet has it as a list of `{"key", "value"}`."""

    value: "Column"


class Json(NamedTuple):
    """Whatever JSON it is; Parquet has it as JSON text."""


JSON = Json()
Column = type | list["Column"] | dict[str, "Column"] | MapOf | Json
Columns = dict[str, Column]

MESSAGE: Column = {"role": str, "content": str}
CHAT: Column = [MESSAGE]


def answer(text: str) -> Chat:
    """An answer as the turn that ends a chat."""
    return [{"role": "assistant", "content": text}]
