"""Ratings with their intervals as a picture, PNG or SVG. Matplotlib is known here only, and imported late.

Points with whiskers, best on top; an arrow where nothing bounds a rating. The same boards give the same
file. Left out: everything a picture does not need to be read.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aaa.board import Board, Rating
from aaa.errors import InputError, SetupError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".png", ".svg")
MOST_ROWS = 500
"""In one picture; more could not be read."""
SCALE = "Bradley-Terry rating (400 points: odds of 10 to 1), 95 % interval; dotted: a rough guide"
INK, PALE = "#1f4e79", "#b8c4d0"


def check_path(path: Path) -> None:
    """Raises `InputError` for a file that cannot be a picture of ours."""
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{str(path)!r}: a plot is {' or '.join(SUFFIXES)}; give such a name")


def write_plot(boards: Sequence[Board], path: Path) -> None:
    """Draw boards below each other. Raises `InputError` for too many players, `SetupError` for the file."""
    save(path, *_drawn(boards))


def draw(boards: Sequence[Board], format: str) -> bytes:
    """The picture as bytes of a PNG or SVG file."""
    return picture(format, *_drawn(boards))


def _drawn(boards: Sequence[Board]) -> tuple[list[int], "Draw"]:
    def every(axes: "list[Axes]") -> None:
        for one, board in zip(axes, boards, strict=True):
            _draw_board(one, board)

    return [len(board.ratings) for board in boards], every


Draw = Callable[["list[Axes]"], None]
"""Draws into panels, which stand below each other."""


def save(path: Path, rows: Sequence[int], draw: Draw) -> None:
    """Write a picture whose panels have so many rows. Raises as `write_plot`."""
    check_path(path)
    drawn = picture(path.suffix.lower().lstrip("."), rows, draw)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(drawn)
    except OSError as error:
        raise SetupError(f"{str(path)!r} cannot be written: {error.strerror}") from error


def picture(format: str, rows: Sequence[int], draw: Draw) -> bytes:
    """The same as bytes."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if sum(rows) > MOST_ROWS:
        raise InputError(f"{sum(rows)} rows are too many to draw; at most {MOST_ROWS}")
    # hashsalt, text as text, no date: the same figures give the same bytes
    with rc_context({"svg.hashsalt": "aaa", "svg.fonttype": "none", "text.parse_math": False}):
        figure = Figure(figsize=(8, sum(0.3 * n + 1.1 for n in rows)), layout="constrained")
        every = figure.subplots(len(rows), 1, squeeze=False, height_ratios=[n + 2 for n in rows])
        draw(list(every[:, 0]))
        file = io.BytesIO()
        no_date = {"Date": None} if format == "svg" else {"Software": None}
        figure.savefig(file, format=format, dpi=150, metadata=no_date)
    return file.getvalue()


def _draw_board(axes: "Axes", board: Board) -> None:
    ends = [e for r in board.ratings for e in (r.low, r.rating, r.high) if e is not None]
    margin = max(20.0, 0.08 * (max(ends) - min(ends)))
    left, right = min(ends) - margin, max(ends) + margin
    for row, rating in enumerate(board.ratings):
        _draw_rating(axes, row, rating, left, right)
    axes.set_xlim(left, right)
    axes.set_ylim(len(board.ratings) - 0.4, -0.6)
    axes.set_yticks(range(len(board.ratings)), [_label(r, board) for r in board.ratings])
    axes.tick_params(axis="y", length=0, pad=9)
    axes.grid(axis="x", color=PALE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    about = "Overall" if board.tag is None else f"Tag {board.tag!r}"
    held = ", style held constant" if board.style else ""
    title = f"{about}: {board.battles} battles on {board.seeds} seeds{held}"
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel(SCALE, fontsize=8)


def _draw_rating(axes: "Axes", row: int, rating: Rating, left: float, right: float) -> None:
    low = left if rating.low is None else rating.low
    high = right if rating.high is None else rating.high
    dashed = rating.interval == "curvature"
    axes.plot([low, high], [row, row], color=INK, linewidth=1.5, linestyle=":" if dashed else "-")
    caps = {low: "<" if rating.low is None else "|", high: ">" if rating.high is None else "|"}
    for end, cap in caps.items():
        axes.plot([end], [row], marker=cap, color=INK, markersize=7, clip_on=False)
    axes.plot([rating.rating], [row], marker="o", color=INK, markersize=6)
    axes.annotate(
        f"{rating.rating:.0f}",
        (rating.rating, row),
        xytext=(0, 5),
        textcoords="offset points",
        ha="center",
        fontsize=7,
    )


def _label(rating: Rating, board: Board) -> str:
    groups = any(other.group > 1 for other in board.ratings)
    return f"{rating.player} (group {rating.group})" if groups else rating.player
