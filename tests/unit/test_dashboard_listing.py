"""A list: its rows under their head, and nothing done again that stands there already."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from rich.text import Text
from textual.app import App, ComposeResult

from aaa.dashboard.ink import line
from aaa.dashboard.listing import Listing


class Shown(App[None]):
    def compose(self) -> ComposeResult:
        yield Listing("id", "words")


@asynccontextmanager
async def listing() -> AsyncIterator[Listing]:
    async with Shown().run_test(size=(40, 10)) as pilot:
        yield pilot.app.query_one(Listing)


def rows(**said: str) -> Mapping[str, tuple[Text, ...]]:
    return {id_: (line(id_), line((words, "red"))) for id_, words in said.items()}


def written(found: Listing) -> list[str]:
    """Head and rows as they stand there, all of one width."""
    lines = [
        found.ordered_columns[0].label,
        *(found.get_row_at(n)[0] for n in range(found.row_count)),
    ]
    assert len({row.cell_len for row in lines}) == 1
    return [row.plain.rstrip() for row in lines]


async def test_columns_stand_under_their_head_and_are_as_wide_as_they_must_be() -> None:
    async with listing() as found:
        found.show(rows(a="one", bb="two"))
        assert written(found) == ["id  words", "a   one", "bb  two"]
        found.show(rows(a="one", bb="two", 日本="three"))
        assert written(found) == ["id    words", "a     one", "bb    two", "日本  three"]
        (cell,) = found.get_row_at(0)
        assert [str(span.style) for span in cell.spans] == ["red"]


async def test_what_stands_there_as_it_should_is_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[tuple[str, Any]] = []
    for name in ("add_row", "update_cell", "clear"):
        plain = getattr(Listing, name)

        def note(
            self: Listing, *given: Any, name: str = name, plain: Any = plain, **more: Any
        ) -> Any:
            done.append((name, more.get("key", given[0] if given else None)))
            return plain(self, *given, **more)

        monkeypatch.setattr(Listing, name, note)
    async with listing() as found:
        found.show(rows(a="one", b="two"))
        done.clear()
        found.show(rows(a="one", b="two"))
        assert done == []
        found.show(rows(a="one", b="2", c="three"))
        assert done == [("update_cell", "b"), ("add_row", "c")]
        done.clear()
        found.show(rows(b="2", c="three"))
        assert done == [("clear", None), ("add_row", "b"), ("add_row", "c")]
        done.clear()
        found.show(rows(b="2", c="seventeen"))  # a column is wider: every row is another
        assert done == [("clear", None), ("add_row", "b"), ("add_row", "c")]


async def test_the_cursor_stays_on_its_row_or_at_its_height() -> None:
    async with listing() as found:
        found.show(rows(a="1", b="2", c="3"))
        found.move_cursor(row=1)
        found.show(rows(new="0", a="1", b="2", c="3"))
        assert found.cursor_row == 2
        found.show(rows(new="0", a="1", b="2", c="3", d="4"))
        assert found.cursor_row == 2
        found.show(rows(a="1", c="3"))
        assert found.cursor_row == 1
        found.show({})
        found.show(rows(z="9"))
        assert written(found) == ["id  words", "z   9"]
        assert found.cursor_row == 0
