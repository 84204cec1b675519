"""A list with a cursor: Textual's table with one cell for each row.

A table measures and draws each cell by itself, so that a page of sessions kept keys waiting; here a row is
one line that was put together before. Left out: what stands in the rows.
"""

from collections.abc import Mapping, Sequence
from itertools import chain

from rich.text import Text
from textual.widgets import DataTable

from aaa.dashboard.ink import Line, line, to_width

GAP = line("  ")


class Listing(DataTable[Text]):
    """Rows by their ids, under a head."""

    def __init__(self, *columns: str) -> None:
        super().__init__(cursor_type="row")
        self._head = tuple(map(line, columns))
        self._lines: dict[str, Line] = {}
        self._widths: list[int] = []
        """Of the columns, in cells."""

    def show(self, rows: Mapping[str, Sequence[Line]]) -> None:
        """Have these rows, each with a cell for every column. What is there as it should be stays untouched.

        Where other rows come, the cursor stays on its row, or at its height if that is gone.
        """
        every = [self._head, *rows.values()]
        widths = [max(cell.cell_len for cell in column) for column in zip(*every, strict=True)]
        head, *lines = (_joined(cells, widths) for cells in every)
        before, wanted = self._lines, dict(zip(rows, lines, strict=True))
        same = widths == self._widths and list(before) == list(wanted)[: len(before)]
        self._lines, self._widths = wanted, widths
        if not same:
            self._refill(head, list(before))
            return
        for id_ in before:
            if before[id_] != wanted[id_]:
                self.update_cell(id_, "row", wanted[id_])
        for id_ in list(wanted)[len(before) :]:
            self.add_row(wanted[id_], key=id_)

    def _refill(self, head: Line, before: Sequence[str]) -> None:
        place = self.cursor_row
        chosen = before[place] if 0 <= place < len(before) else None
        self.clear(columns=True)
        self.add_column(head, key="row")
        for id_, row in self._lines.items():
            self.add_row(row, key=id_)
        if chosen is not None and chosen in self._lines:
            place = list(self._lines).index(chosen)
        self.move_cursor(row=min(place, max(0, len(self._lines) - 1)))


def _joined(cells: Sequence[Line], widths: Sequence[int]) -> Line:
    """One row, its cells under one another's; as wide as every other, or the table would measure them all."""
    first, *others = map(to_width, cells, widths)
    return line(first, *chain.from_iterable((GAP, cell) for cell in others))
