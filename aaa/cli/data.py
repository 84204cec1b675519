"""What comes out of rounds: pairs, why they are what they are, ratings."""

from pathlib import Path
from typing import Any

import click

from aaa.cli._shared import as_json, run_to_end, settings


@click.command()
@click.argument("rounds", nargs=-1, required=True, metavar="ROUND...")
@click.option("--format", "format_", default="trl-dpo", show_default=True)
@click.option("-o", "--output", required=True, metavar="PATH", help="A .jsonl file, or - (stdout).")
def export(rounds: tuple[str, ...], format_: str, output: str) -> None:
    """Write the pairs of rounds for a trainer."""
    from aaa.commands.export import export as command

    run_to_end(command(settings(), rounds, format_, output))


@click.command()
@click.argument("pair")
@as_json
def explain(pair: str, as_json: bool) -> None:
    """Tell the whole story of one pair: seed, turns, ballots, cost, models."""
    from aaa.commands.explain import explain as command

    run_to_end(command(settings(), pair, as_json))


@click.command()
@click.option("--round", "rounds", metavar="ID", multiple=True, help="Rounds that count; else all.")
@click.option("--tag", "tags", multiple=True, help="Boards of these tags; else the overall one.")
@click.option("--by-tag", is_flag=True, help="The overall board and every tag's.")
@click.option("--edge", "edges", multiple=True, help="Comparisons that count; else `peer`.")
@click.option("--style-control", is_flag=True, help="Hold length and markdown constant.")
@click.option("--anchor", metavar="PLAYER", help="Set the scale by this player, not by the mean.")
@click.option("--anchor-value", type=float, default=1000, show_default=True)
@click.option("--replicates", type=int, default=200, show_default=True, help="Draws of the seeds.")
@click.option("--matrix", is_flag=True, help="Print the win matrix too.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw it: a .png or .svg file.")
@as_json
def ratings(matrix: bool, plot: Path | None, as_json: bool, **query: Any) -> None:
    """Rate players by the verdicts on record: Bradley-Terry, with 95 % intervals."""
    from aaa.commands.ratings import Wanted
    from aaa.commands.ratings import ratings as command

    run_to_end(command(settings(), Wanted(**query), matrix=matrix, plot=plot, as_json=as_json))
