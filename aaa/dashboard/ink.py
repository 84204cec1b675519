"""Lines of text with style: the only place where a string of others becomes something Rich prints.

Everything here works in display cells, so CJK, emoji and combining marks keep the columns straight.
"""

import re
from difflib import SequenceMatcher
from functools import lru_cache

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.text import Text

from aaa.clean import clean, one_line

SEAT_STYLES = {"student": "cyan", "teacher": "magenta", "judge": "yellow"}
OTHER_SEATS = ("blue", "green", "bright_magenta", "bright_cyan")
ELLIPSIS = "…"
_WORD = re.compile(
    r"\s+|[\u2e80-\u9fff\uac00-\ud7a3\uff00-\uffef]|[^\s\u2e80-\u9fff\uac00-\ud7a3\uff00-\uffef]+"
)
_LONGEST_DIFF = 3000
_BARS = " ▁▂▃▄▅▆▇█"

Line = Text
"""One row of the screen."""


def line(*parts: str | tuple[str, str] | Text) -> Line:
    """A row of parts, each a string or (string, style); what they hold is cleaned."""
    row = Text(no_wrap=True)
    for part in parts:
        if isinstance(part, Text):
            row.append_text(part)
        elif isinstance(part, tuple):
            row.append(_flat(part[0]), part[1] or None)
        else:
            row.append(_flat(part))
    return row


def _flat(text: str) -> str:
    """Cleaned and on one row, with its blanks at both ends kept."""
    return clean(text).replace("\n", " ").replace("\t", " ")


def fitted(text: str, width: int) -> str:
    """Cleaned, on one line and exactly `width` cells: cut with an ellipsis, or padded."""
    flat = one_line(text)
    if cell_len(flat) <= width:
        return set_cell_size(flat, max(0, width))
    return set_cell_size(cut(flat, width), max(0, width))


def cut(text: str, width: int) -> str:
    """At most `width` cells, with an ellipsis where something is missing."""
    if cell_len(text) <= width:
        return text
    return "" if width < 1 else set_cell_size(text, width - 1).rstrip() + ELLIPSIS


def to_width(row: Line, width: int) -> Line:
    """The row in exactly `width` cells."""
    row = row.copy()
    row.truncate(max(0, width), overflow="ellipsis", pad=True)
    return row


def ends(left: Line, right: Line, width: int) -> Line:
    """One row with something at both ends; the left one gives way."""
    room = max(0, width - right.cell_len)
    return to_width(line(to_width(left, room), right), width)


def seat_style(seat: str) -> str:
    """The same seat always has the same colour."""
    known = SEAT_STYLES.get(seat)
    return known or OTHER_SEATS[sum(seat.encode("utf-8", "replace")) % len(OTHER_SEATS)]


def wrapped(text: Text, width: int) -> list[Line]:
    """The text in rows of at most `width` cells, broken between words where that is possible."""
    rows: list[Line] = []
    for paragraph in text.split("\n", allow_blank=True):
        rows += _wrapped_paragraph(paragraph, max(2, width))
    return rows


def _wrapped_paragraph(paragraph: Text, width: int) -> list[Line]:
    """Break offsets are found in the plain string; the styles follow."""
    plain, breaks, used, start = paragraph.plain, [], 0, 0
    for word in _WORD.findall(plain):
        size = cell_len(word)
        if used and used + cell_len(word.rstrip()) > width and not word.isspace():
            breaks.append(start)
            used = 0
        if size > width and not word.isspace():
            place = start
            for piece in chop_cells(word, width)[:-1]:
                place += len(piece)
                breaks.append(place)
            size = cell_len(word[place - start :])
        used, start = used + size, start + len(word)
    rows = list(paragraph.divide(breaks))
    for row in rows:
        row.rstrip()
        row.no_wrap = True
    return rows


def body(text: str, style: str = "") -> Text:
    """A text of others with its own line breaks, blank lines squeezed out."""
    cleaned = clean(text).replace("\t", "    ")
    return Text("\n".join(row for row in cleaned.split("\n") if row.strip()), style=style)


Piece = tuple[str, str]
"""Some words, and whether they are `same`, `new` or `gone`."""


@lru_cache(maxsize=64)
def changes(old: str, new: str) -> tuple[Piece, ...]:
    """What became of `old` on its way to `new`, in order; word by word, CJK by character."""
    before, after = _WORD.findall(old[:_LONGEST_DIFF]), _WORD.findall(new[:_LONGEST_DIFF])
    pieces: list[Piece] = []
    gone = came = ""
    for tag, i, j, start, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        left, right = "".join(before[i:j]), "".join(after[start:end])
        if tag == "equal" and (right.strip() or not (gone or came)):
            pieces += [(gone, "gone"), (came, "new"), (right, "same")]
            gone = came = ""
        else:  # a blank between two changed words belongs to the change
            gone, came = gone + left, came + right
    pieces += [(gone, "gone"), (came, "new"), (new[_LONGEST_DIFF:], "same")]
    return tuple((words, fate) for words, fate in pieces if words.strip() or fate == "same")


def revised(old: str, new: str, *, with_gone: bool = False) -> Text:
    """`new` with the words that `old` does not have standing out; `with_gone` those that went, struck."""
    styles = {"same": None, "new": "bold underline green", "gone": "strike red"}
    text = Text()
    for piece, fate in changes(body(old).plain, body(new).plain):
        if fate != "gone":
            text.append(piece, styles[fate])
        elif with_gone:
            text.append(piece.strip(), styles[fate])
            text.append(" ")
    return text


def spark(values: tuple[float, ...]) -> str:
    """A curve of blocks, as high as its own peak."""
    peak = max(values, default=0.0)
    if peak <= 0:
        return " " * len(values)
    return "".join(_BARS[min(8, -int(-8 * value // peak))] for value in values)


def bar(parts: tuple[tuple[float, str], ...], width: int) -> Line:
    """A bar of (share of 1, style) parts; what is left of it stays dim."""
    row, used, ideal = Text(no_wrap=True), 0, 0.0
    for share, style in parts:
        ideal += max(0.0, share) * width
        cells = min(width, round(ideal)) - used
        row.append("━" * max(0, cells), style)
        used += max(0, cells)
    row.append("─" * (width - used), "dim")
    return row


def clock(seconds: float) -> str:
    """`0:07`, `12:30`, `1:02:03`, `3d 04:05`."""
    whole = max(0, int(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24}d {hours % 24:02}:{minutes:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def amount(value: float) -> str:
    """`7`, `940`, `12.3k`, `4.5M`."""
    for step, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= step:
            return f"{value / (1e3 if unit == 'k' else step):.1f}{unit}"
    return f"{value:.0f}"


def rate(value: float) -> str:
    """Two figures that matter: `0.35`, `4.2`, `38`, `12.3k`."""
    return f"{value:.2f}" if 0 < value < 1 else f"{value:.1f}" if value < 10 else amount(value)


def dollars(value: float) -> str:
    """`$12.40`; small sums with four figures behind the point."""
    return f"${value:.4f}" if 0 < value < 1 else f"${value:,.2f}"
