"""`aaa ratings`: who is better by the verdicts on record, how sure that is, and what would tell more."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

from aaa.board import Board, Matchup, Rating, Report, win_matrix
from aaa.commands.opening import open_client, say, show, tell
from aaa.commands.plot import check_path, write_plot
from aaa.commands.table import print_rows
from aaa.errors import InputError
from aaa.settings import Settings
from aaa.types import Value


class Wanted(Value):
    """What to rate, and how, as `GET /v1/ratings` takes it."""

    rounds: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    by_tag: bool = False
    edges: tuple[str, ...] = ()
    style_control: bool = False
    anchor: str | None = None
    anchor_value: float = 1000
    replicates: int = 200

    def query(self) -> dict[str, str | list[str]]:
        plain = {"round": self.rounds, "tag": self.tags, "edge": self.edges}
        lists: dict[str, str | list[str]] = {k: list(v) for k, v in plain.items() if v}
        anchor = {} if self.anchor is None else {"anchor": self.anchor}
        return {
            **lists,
            **anchor,
            "by_tag": str(self.by_tag).lower(),
            "style_control": str(self.style_control).lower(),
            "anchor_value": repr(self.anchor_value),
            "replicates": str(self.replicates),
        }


async def ratings(
    settings: Settings, wanted: Wanted, *, matrix: bool, plot: Path | None, as_json: bool
) -> int:
    """Print the boards; draw them where a path is given. Raises `InputError`, `NotFound`."""
    if plot is not None:
        check_path(plot)
    async with open_client(settings) as client:
        told = await client.ratings(**wanted.query())
    report = Report.model_validate(told)
    if as_json:
        show(told)
    else:
        for board in report.boards:
            _print_board(board, matrix)
        say(_counted(report))
    if plot is not None:
        if not report.boards:
            raise InputError(f"there is nothing to draw in {str(plot)!r}: no battles")
        write_plot(report.boards, plot)
        say(f"drawn in {plot}")
    return 0


def _print_board(board: Board, matrix: bool) -> None:
    where = "Overall" if board.tag is None else f"Tag {board.tag!r}"
    tell(f"{where}: {board.battles} battles on {board.seeds} seeds")
    columns = (
        "place",
        "player",
        "rating",
        "interval",
        "battles",
        "wins",
        "ties",
        "losses",
        "seeds",
    )
    grouped = ("group",) if any(r.group > 1 for r in board.ratings) else ()
    print_rows((*grouped, *columns), [_row(rating) for rating in board.ratings])
    tell()
    rows = [_versus(match) for match in _neighbours(board)]
    if rows:
        print_rows(("player", "opponent", "difference", "expected", "apart", "battles_more"), rows)
        tell()
    if matrix:
        tell("Wins of the row's player over the column's (ties as half)")
        names = [rating.player for rating in board.ratings]
        print_rows(("player", *names), win_matrix(board))
        tell()
    for effect in board.style:
        bounds = "" if effect.low is None else f" ({effect.low:+.3f} to {effect.high:+.3f})"
        tell(f"style: {effect.feature} {effect.coefficient:+.3f}{bounds}")
    for note in board.notes:
        say(f"note: {note}")


def _row(rating: Rating) -> dict[str, object]:
    low, high = ("…" if end is None else format(end, ".0f") for end in (rating.low, rating.high))
    return rating.model_dump() | {"rating": f"{rating.rating:.0f}", "interval": f"{low} to {high}"}


def _neighbours(board: Board) -> list[Matchup]:
    """Each player with the next one below it, where the two can be compared."""
    names = [rating.player for rating in board.ratings]
    following = set(pairwise(names))
    return [
        match
        for match in board.matchups
        if (match.player, match.opponent) in following and match.difference is not None
    ]


def _versus(match: Matchup) -> Mapping[str, object]:
    return {
        "player": match.player,
        "opponent": match.opponent,
        "difference": f"{match.difference:.0f}",
        "expected": f"{match.expected:.1%}",
        "apart": match.more == 0,
        "battles_more": match.more or None,
    }


def _counted(report: Report) -> str:
    """What became of every verdict, in one line."""
    battles = ", ".join(f"{n} {outcome}" for outcome, n in report.battles.items())
    left_out = ", ".join(f"{n} {reason}" for reason, n in report.left_out.items())
    return (
        f"{report.verdicts} verdicts: {sum(report.battles.values())} battles ({battles or 'none'}), "
        f"{sum(report.left_out.values())} left out ({left_out or 'none'})"
        + (
            ""
            if report.boards
            else "; a battle needs two players, such as two students in a scenario"
        )
    )
