"""A widget that shows rows of text as they are; only rows that changed are sent to the terminal.

Left out: what stands in the rows. They come from `ink`, so what others wrote was cleaned there.
"""

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
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
        self._strips: dict[int, Strip] = {}
        """Row -> how it was drawn, for rows that have not changed since."""
        self._width = 0
        """Cells of those."""

    def show(self, rows: Sequence[Line]) -> None:
        """Have these rows on the screen."""
        before, self._rows = self._rows, list(rows)
        places = [
            n for n, (old, new) in enumerate(zip(before, self._rows, strict=False)) if old != new
        ]
        for place in (*places, *range(len(self._rows), len(before))):
            self._strips.pop(place, None)
        if len(before) != len(self._rows):
            self.virtual_size = Size(self.size.width, len(self._rows))
            self.refresh()
            return
        top, width = int(self.scroll_offset.y), self.size.width
        changed = [Region(0, y - top, width, 1) for y in places if 0 <= y - top < self.size.height]
        if changed:
            self.refresh(*changed)

    @property
    def at_end(self) -> bool:
        """Whether the last row is on the screen."""
        return self.scroll_offset.y >= self.max_scroll_y - 1

    def render_lines(self, crop: Region) -> list[Strip]:
        """Lines of the screen; rows that have not changed are those of before.

        Past Textual's own cache: it draws borders, which a picture has not, and forgets too much.
        """
        if self._width != self.size.width:
            self._width = self.size.width
            self._strips.clear()
        top, style = int(self.scroll_offset.y), self.rich_style
        strips = [self._strip(top + y, style) for y in crop.line_range]
        for filter in self.get_line_filters():
            strips = [strip.apply_filter(filter, self.background_colors[1]) for strip in strips]
        if crop.column_span != (0, self._width):
            strips = [strip.crop(*crop.column_span) for strip in strips]
        return strips

    def _strip(self, place: int, style: Style) -> Strip:
        if place >= len(self._rows):
            return Strip.blank(self._width, style)
        if place not in self._strips:
            drawn = self._rows[place].render(self.app.console)
            segments = [segment for segment in drawn if segment.text != "\n"]
            strip = Strip(Segment.apply_style(segments, style))
            self._strips[place] = strip.adjust_cell_length(self._width, style)
        return self._strips[place]
