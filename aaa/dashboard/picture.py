"""A widget that shows rows of text as they are; only rows that changed are sent to the terminal.

Left out: what stands in the rows. They come from `ink`, so what others wrote was cleaned there.
"""

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from aaa.dashboard.ink import Line


class Picture(ScrollView, can_focus=True, inherit_bindings=False):
    """Rows over the whole widget; it scrolls up and down where there are more than fit."""

    DEFAULT_CSS = "Picture { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "scroll_up", show=False),
        Binding("down", "scroll_down", show=False),
        Binding("pageup", "page_up", show=False),
        Binding("pagedown,space", "page_down", show=False),
        Binding("home", "scroll_home", show=False),
        Binding("end", "scroll_end", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows: list[Line] = []

    def show(self, rows: Sequence[Line]) -> None:
        """Have these rows on the screen."""
        before, self._rows = self._rows, list(rows)
        if len(before) != len(self._rows):
            self.virtual_size = Size(self.size.width, len(self._rows))
            self.refresh()
            return
        top, width = int(self.scroll_offset.y), self.size.width
        pairs = enumerate(zip(before, self._rows, strict=True))
        places = [number for number, (old, new) in pairs if old != new]
        changed = [Region(0, y - top, width, 1) for y in places if 0 <= y - top < self.size.height]
        if changed:
            self.refresh(*changed)

    @property
    def at_end(self) -> bool:
        """Whether the last row is on the screen."""
        return self.scroll_offset.y >= self.max_scroll_y - 1

    def render_line(self, y: int) -> Strip:
        """Row `y` of the screen."""
        place = y + int(self.scroll_offset.y)
        width = self.size.width
        if place >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        row = self._rows[place]
        segments = [s for s in row.render(self.app.console) if s.text != "\n"]
        return Strip(Segment.apply_style(segments, self.rich_style)).adjust_cell_length(
            width, self.rich_style
        )
