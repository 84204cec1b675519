"""A document as Markdown, with its pictures in files beside it.

Whatever was said stands in fences that it cannot close, and in cells in which nothing is markup.
"""

import re

from aaa.clean import clean, one_line
from aaa.report.document import Block, Document, Heading, Picture, Quote, Table

_MARKUP = re.compile(r"([\\`*_\[\]<>#!|~&$@]|:(?=//)|(?<=www)\.)")
_RUNS = re.compile(r"`+")


def markdown(of: Document) -> str:
    """The whole file; a picture is `NAME.svg`."""
    parts = [f"# {escaped(of.title)}", *(_block(one) for one in of.blocks)]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """One line in which nothing is markup."""
    return _MARKUP.sub(r"\\\1", one_line(text))


def fenced(text: str) -> str:
    """As it was said, in a fence longer than any in it."""
    said = clean(text)
    fence = "`" * max(3, 1 + max((len(run) for run in _RUNS.findall(said)), default=0))
    return f"{fence}text\n{said}\n{fence}"


def _block(one: Block) -> str:
    match one:
        case Heading():
            return f"{'#' * one.level} {escaped(one.text)}"
        case Table():
            return _table(one)
        case Picture():
            return f"![{escaped(one.about)}]({one.name}.svg)"
        case Quote():
            return f"{escaped(one.label)}\n\n{fenced(one.text)}"
    return escaped(one.text)


def _table(of: Table) -> str:
    rows = [of.columns, ("---",) * len(of.columns), *of.rows]
    cells = [[cell if n == 1 else escaped(cell) for cell in row] for n, row in enumerate(rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
