"""Rows as aligned text on stdout. No wrapping, so that lines survive pipes; colours are not data."""

from collections.abc import Mapping, Sequence

from aaa.clean import one_line


def print_rows(columns: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """One line of titles, one line a row; a key that a row lacks is shown as `-`."""
    lines = [[column.replace("_", " ") for column in columns]]
    lines += [[cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        print("  ".join(padded).rstrip())


def cell(value: object) -> str:
    """A value as one word or phrase, cleaned: unknown is `-`, truth is yes or no."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return one_line(str(value))
