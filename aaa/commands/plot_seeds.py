"""How a set of seeds is distributed, as a picture: a panel of bars for each attribute. PNG or SVG."""

from pathlib import Path
from typing import TYPE_CHECKING

from aaa.commands.plot import INK, PALE, save
from aaa.curriculum.analysis import Analysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_BARS = 20
"""In one panel; the rest is one bar."""
Panel = tuple[str, list[tuple[str, int]]]


def write_plot(found: Analysis, path: Path) -> None:
    """Draw it. Raises `InputError` for another suffix, `SetupError` for the file."""
    panels = [panel for panel in _panels(found) if panel[1]]

    def draw(axes: "list[Axes]") -> None:
        for one, panel in zip(axes, panels, strict=True):
            _draw(one, panel, found.seeds)

    save(path, [len(bars) for _, bars in panels], draw)


def _panels(found: Analysis) -> list[Panel]:
    panels: list[Panel] = []
    for one in found.attributes:
        bars = [(value.value, value.seeds) for value in one.values]
        rest = sum(count for _, count in bars[MOST_BARS:])
        bars = bars[:MOST_BARS] + ([("others", rest)] if rest else [])
        panels.append((one.name, bars + ([("(none)", one.without)] if one.without else [])))
    named = [(f"like {one.middle}", one.seeds) for one in found.clusters or ()]
    panels.append(("cluster", named))
    for signal in ("difficulty", "disagreement"):
        bands: dict[str, int] = getattr(found, signal) or {}
        panels.append((signal, list(bands.items())))
    return panels


def _draw(axes: "Axes", panel: Panel, seeds: int) -> None:
    name, bars = panel
    rows = range(len(bars))
    axes.barh(rows, [count for _, count in bars], color=INK, height=0.7)
    axes.set_yticks(rows, [value[:40] for value, _ in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, seeds)
    for row, (_, count) in enumerate(bars):
        axes.annotate(
            f" {count}  ({count / seeds:.0%})", (count, row), va="center", fontsize=7, clip_on=False
        )
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=PALE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_title(f"{name}, {seeds} seeds", loc="left", fontsize=10)
