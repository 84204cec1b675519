"""Lists in pages: `{"items": […], "next": cursor or null}`. A cursor names the last row that was given."""

from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Path, Query
from pydantic import BaseModel

from aaa.errors import InputError

T = TypeVar("T")

CLEAN = r"^[^\x00-\x1f\x7f]+$"
"""Text without control characters."""

RoundId = Annotated[str, Path(max_length=200, pattern=CLEAN, description="Id of a round")]
Name = Annotated[str, Path(max_length=200, pattern=CLEAN)]
Limit = Annotated[int, Query(ge=1, le=500, description="Rows in a page, at most")]
Cursor = Annotated[
    str | None,
    Query(max_length=200, pattern=CLEAN, description="`next` of the page before; none: the first"),
]


class Page(BaseModel, Generic[T]):
    """A page of a list."""

    items: list[T]
    next: str | None
    """Cursor of the next page; `None` where this is the last."""


LARGEST_ID = 2**63 - 1


def number(cursor: str | None) -> int:
    """The row that a cursor of a list by number names; 0 before the first. Raises `InputError`."""
    if cursor is None:
        return 0
    if not (cursor.isascii() and cursor.isdigit()) or int(cursor) > LARGEST_ID:
        raise unknown(cursor)
    return int(cursor)


def unknown(cursor: str | None) -> InputError:
    """What to raise for a cursor that names no row."""
    return InputError(
        f"cursor {cursor!r} is no `next` of a page of this list; leave it out for the first"
    )


def page(found: Sequence[T], limit: int, key: Callable[[T], object]) -> Page[T]:
    """The page of `found`, which was asked for one row more than `limit`."""
    items = list(found[:limit])
    more = len(found) > limit
    return Page(items=items, next=str(key(items[-1])) if more else None)


def after_name(names: Sequence[str], cursor: str | None, limit: int) -> list[str]:
    """Of sorted names those after the cursor, one more than `limit`."""
    return [name for name in names if cursor is None or name > cursor][: limit + 1]
