"""What comes out of rounds: pairs, why they are what they are, ratings."""

from pathlib import Path
from typing import Any

import click

from aaa.cli._shared import as_json, run_to_end, settings


@click.command()
@click.argument("rounds", nargs=-1, required=True, metavar="ROUND...")
@click.option("--format", "format_", default="trl-dpo", show_default=True)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="PATH",
    help="A .jsonl or .parquet file, a folder, or -.",
)
@click.option("--stage", multiple=True, help="Rounds of these stages of a course.")
@click.option("--protocol", multiple=True)
@click.option("--edge", multiple=True, help="What was compared: revision, peer …")
@click.option("--seat", multiple=True, help="Both answers were given from these seats.")
@click.option("--agent", multiple=True, help="One answer at least is by one of these.")
@click.option("--student", metavar="AGENT", help="On-policy: both answers are this agent's.")
@click.option("--tag", multiple=True, help="The seed has one of these.")
@click.option("--outcome", multiple=True, help="Of verdicts, for the format `verdicts`.")
@click.option("--judging", multiple=True, help="Judging plays that decided.")
@click.option("--judge", multiple=True)
@click.option("--judges", metavar="RULE", help="any | all | only of --judge; unanimous.")
@click.option("--min-margin", metavar="K", help="In the judging play's unit.")
@click.option("--max-margin", metavar="K")
@click.option("--min-score", metavar="S", help="The chosen answer's own score.")
@click.option("--split", metavar="PART", help="train | test, by seed family.")
@click.option("--test-share", metavar="SHARE", help="Of families; 0.1.")
@click.option("--max-per-seed", metavar="N")
@click.option("--balance", metavar="ATTRIBUTE", help="As many pairs of each value of it.")
@click.option("-n", "--n", metavar="N", help="Exactly so many pairs.")
@click.option(
    "--gate",
    multiple=True,
    metavar="NAME[=T]",
    help="Drop what fails; `standard`: the eight that need no choice (docs/export.md).",
)
@click.option("--eval", "evaluations", multiple=True, type=click.Path(path_type=Path),
              help="Files that --gate contamination and paraphrase hold pairs against.")  # fmt: skip
@click.option("--fail-if", multiple=True, metavar="FIGURE>X", help="Write nothing where it holds.")
@click.option("--since", multiple=True, type=click.Path(path_type=Path),
              help="An earlier export: its pairs are left out.")  # fmt: skip
@click.option("--as", "suffix", type=click.Choice(["parquet", "jsonl"]),
              help="Files in a folder; Parquet where nothing is said.")  # fmt: skip
@click.option("--push-to-hub", metavar="OWNER/NAME", help="Upload the folder as a data set, too.")
@click.option("--public", is_flag=True, help="Where it is made new, anyone may read it.")
@click.option(
    "--no-audit", is_flag=True, help="Write the rows alone, without card, audit and plots."
)
def export(
    rounds: tuple[str, ...],
    format_: str,
    output: str,
    evaluations: tuple[Path, ...],
    fail_if: tuple[str, ...],
    since: tuple[Path, ...],
    suffix: str | None,
    push_to_hub: str | None,
    public: bool,
    no_audit: bool,
    **selectors: tuple[str, ...] | str | None,
) -> None:
    """Write the pairs of rounds for a trainer: docs/export.md has formats, selectors and gates."""
    from aaa.commands.export import export as command
    from aaa.commands.export_asked import Wanted

    given = _given(selectors)
    wanted = Wanted(
        rounds, format_, output, given, evaluations, fail_if, since, suffix, not no_audit,
        push_to_hub, public,
    )  # fmt: skip
    run_to_end(command(settings(), wanted))


def _given(options: dict[str, tuple[str, ...] | str | None]) -> tuple[tuple[str, str], ...]:
    """The options that were given, as (name, value), each value by itself."""
    found = []
    for name, value in options.items():
        values = (value,) if isinstance(value, str) else value or ()
        found += [(name, one) for one in values]
    return tuple(found)


@click.command()
@click.argument("id_", metavar="ID")
@as_json
def explain(id_: str, as_json: bool) -> None:
    """Tell the whole story of a pair, or of any exported row: seed, turns, ballots, cost, models."""
    from aaa.commands.explain import explain as command

    run_to_end(command(settings(), id_, as_json))


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


@click.command()
@click.argument("ids", metavar="ROUND|COURSE", nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), help="A folder.")
@click.option("--seed", "random_seed", type=int, default=0, show_default=True,
              help="Draws the examples.")  # fmt: skip
@click.option(
    "--compare", nargs=2, metavar="BEFORE AFTER", help="Agents; else first and last generation."
)
@click.option("--taught", multiple=True, type=click.Path(path_type=Path, dir_okay=False),
              help="Seeds files that students were taught with.")  # fmt: skip
@click.option("--energy", type=click.Path(path_type=Path, dir_okay=False),
              help="Readings of RAPL; AAA_HOME/energy.jsonl.")  # fmt: skip
@as_json
def report(
    ids: tuple[str, ...],
    output: Path | None,
    random_seed: int,
    compare: tuple[str, str] | None,
    taught: tuple[Path, ...],
    energy: Path | None,
    as_json: bool,
) -> None:
    """Write what rounds and courses came to: pass rates, ratings, lengths, losses, examples, cost."""
    from aaa.commands.report import report as command
    from aaa.commands.report_material import Asked

    found = settings()
    asked = Asked(ids, random_seed, compare, taught, energy or found.home / "energy.jsonl")
    run_to_end(command(found, asked, output, as_json))
