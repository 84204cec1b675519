"""How an exported set is distributed, as a picture: lengths, margins, and what was dropped for what.

Left out: Matplotlib's ways (`plot.py`).
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from aaa.commands.plot import INK, PALE, Draw, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(audit: Mapping[str, Any], format: str) -> bytes:
    """The picture of an audit as bytes of a PNG or SVG file."""
    return picture(format, [8] * len(_panels(audit)), _draw(audit))


def _panels(audit: Mapping[str, Any]) -> list[tuple[str, Mapping[str, int]]]:
    length = audit["length"]
    margins = [(f"margin, by {play}", found) for play, found in audit["margins"].items()]
    return [
        (
            "what became of every verdict",
            {"kept": audit["rows"]["kept"], **audit["rows"]["dropped"]},
        ),
        ("length of the chosen answer: log2 of characters", length["log2_characters_of_chosen"]),
        ("length of the rejected answer, the same", length["log2_characters_of_rejected"]),
        *margins[:4],
    ]


def _draw(audit: Mapping[str, Any]) -> Draw:
    def every(axes: "list[Axes]") -> None:
        for one, (title, found) in zip(axes, _panels(audit), strict=True):
            _bars(one, found)
            one.set_title(title, fontsize=9, loc="left")
            one.spines[["top", "right"]].set_visible(False)

    return every


def _bars(axes: "Axes", found: Mapping[str, int]) -> None:
    """Bars by name, or on a scale where the names are numbers."""
    try:
        places = [float(name) for name in found]
    except ValueError:
        places = [float(place) for place in range(len(found))]
        axes.set_xticks(places, list(found), rotation=30, ha="right", fontsize=7)
    gaps = [b - a for a, b in pairwise(places)]
    axes.bar(
        places, list(found.values()), width=0.8 * min(gaps, default=1), color=INK, edgecolor=PALE
    )
