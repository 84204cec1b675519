"""A report's figures as pictures: pass rates, differences, training curves, lengths. SVG.

Points with whiskers, one colour for each agent. Left out: Matplotlib's ways (`plot.py`).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aaa.clean import one_line
from aaa.commands import plot
from aaa.commands.plot import PALE, picture
from aaa.report.findings import Findings
from aaa.resampling import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#1f4e79", "#c8641b", "#3a7d44", "#7b4a9c", "#a03040", "#5b6770")
LONGEST = 40
"""Characters of a name."""
MOST_ROWS = 60
"""In one picture; what is beyond stands in the tables."""
Row = tuple[str, str, Figure]
"""(what it is of, agent, figure)."""


def pictures(found: Findings) -> dict[str, bytes]:
    """Name -> SVG, of whatever there is to draw."""
    made: dict[str, Callable[[Findings], bytes]] = {}
    if found.rates:
        made["pass_rates"] = _pass_rates
    if found.differences:
        made["differences"] = _differences
    if found.ratings is not None and found.ratings.boards:
        made["ratings"] = _ratings
    if any(one.curves for one in found.trainings):
        made["training"] = _training
    if found.lengths:
        made["lengths"] = _lengths
    return {name: draw(found) for name, draw in made.items()}


def _pass_rates(found: Findings) -> bytes:
    rows = [(one.part, one.agent, one.share) for one in found.rates]
    return _whiskers(rows, found, "pass rate, 95 % interval", zero=False)


def _differences(found: Findings) -> bytes:
    rows = [(one.part, one.after, one.points) for one in found.differences]
    return _whiskers(
        rows, found, f"pass rate less that of {found.before}, 95 % interval", zero=True
    )


def _ratings(found: Findings) -> bytes:
    assert found.ratings is not None
    return plot.draw(found.ratings.boards[:1], "svg")


def _colour(agent: str, found: Findings) -> str:
    names = [one.agent for one in found.players]
    return COLOURS[(names.index(agent) if agent in names else 0) % len(COLOURS)]


def _whiskers(rows: Sequence[Row], found: Findings, about: str, *, zero: bool) -> bytes:
    """A row for each figure, in groups of what it is of."""
    shown = rows[:MOST_ROWS]

    def draw(every: "list[Axes]") -> None:
        axes = every[0]
        for place, (part, agent, figure) in enumerate(shown):
            _whisker(axes, place, _colour(agent, found), figure)
            if place and part != shown[place - 1][0]:
                axes.axhline(place - 0.5, color=PALE, linewidth=0.8)
        axes.set_yticks(
            range(len(shown)), [_name(f"{part}: {agent}") for part, agent, _ in shown], fontsize=8
        )
        axes.set_ylim(len(shown) - 0.4, -0.6)
        if zero:
            axes.axvline(0, color="black", linewidth=0.8)
        else:
            axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_xlabel(_name(about, 90), fontsize=8)
        _plain(axes)

    return picture("svg", [len(shown)], draw)


def _whisker(axes: "Axes", place: int, colour: str, figure: Figure) -> None:
    if figure.value is None or figure.low is None or figure.high is None:
        return
    axes.plot([figure.low, figure.high], [place, place], color=colour, linewidth=1.5)
    axes.plot([figure.value], [place], "o", color=colour, markersize=5)


def _training(found: Findings) -> bytes:
    """A panel for each figure, a line for each generation; dashed: on rows kept out."""
    names = {name for one in found.trainings for name in one.curves}
    panels = [name for name in ("loss", "reward margin", "accuracy") if name in names]

    def draw(every: "list[Axes]") -> None:
        for axes, name in zip(every, panels, strict=True):
            for one in found.trainings:
                for key, style in ((name, "-"), (f"{name}, kept out", "o--")):
                    points = one.curves.get(key, ())
                    if points:
                        axes.plot(
                            [p.step for p in points],
                            [p.value for p in points],
                            style,
                            color=_colour(one.agent, found),
                            label=_name(f"{one.agent}{', kept out' if style != '-' else ''}"),
                            linewidth=1,
                            markersize=3,
                        )
            axes.set_title(name, loc="left", fontsize=10)
            axes.set_xlabel("step", fontsize=8)
            axes.legend(frameon=False, fontsize=7)
            _plain(axes)

    return picture("svg", [7] * len(panels), draw)


def _lengths(found: Findings) -> bytes:
    shown = found.lengths[:MOST_ROWS]

    def draw(every: "list[Axes]") -> None:
        axes = every[0]
        for place, one in enumerate(shown):
            axes.barh(place, one.mean_words, color=_colour(one.agent, found), height=0.6)
        axes.set_yticks(range(len(shown)), [_name(one.agent) for one in shown], fontsize=8)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlabel("mean words of an answer", fontsize=8)
        _plain(axes)

    return picture("svg", [len(shown)], draw)


def _plain(axes: "Axes") -> None:
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=PALE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _name(text: str, most: int = LONGEST) -> str:
    found = one_line(text)
    return found if len(found) <= most else found[: most - 1] + "…"
