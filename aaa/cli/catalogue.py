"""Who may speak and what may be played: agents, judges, scenarios, local models."""

from pathlib import Path

import click

from aaa.cli._shared import as_json, end, overrides_of, run_to_end, settings


@click.group()
def agents() -> None:
    """The models that may speak."""


@agents.command("ls")
@as_json
def agents_ls(as_json: bool) -> None:
    """List agent cards."""
    from aaa.commands.agents import ls

    ls(settings(), as_json)


@agents.command("check")
@click.argument("names", nargs=-1)
@as_json
def agents_check(names: tuple[str, ...], as_json: bool) -> None:
    """Call agents once each (all that can be reached): latency, features, price, or why not."""
    from aaa.commands.agents import check

    end(check(settings(), list(names), as_json))


@click.group()
def judges() -> None:
    """How far judges can be trusted."""


@judges.command("calibrate")
@click.option("--judge", "judges", multiple=True, required=True, metavar="AGENT")
@click.option(
    "--labels", required=True, metavar="FILE", help="Rows: prompt, answer_a, answer_b, label."
)
@click.option("--play", default="pairwise", show_default=True, help="Judging play.")
@click.option("--set", "settings_", metavar="judging.KEY=VALUE", multiple=True)
@click.option("--budget-usd", type=click.FloatRange(min=0), help="Pause before spending more.")
@click.option("--limit", type=click.IntRange(min=1), help="Take the first so many pairs.")
@click.option("--resume", metavar="ROUND", help="Go on with a calibration that was stopped.")
@click.option("--no-tui", is_flag=True, help="Plain lines instead of the live view.")
@click.option("--dry-run", is_flag=True, help="Calls and cost; nothing spent.")
@as_json
def judges_calibrate(
    judges: tuple[str, ...],
    labels: str,
    play: str,
    settings_: tuple[str, ...],
    budget_usd: float | None,
    limit: int | None,
    resume: str | None,
    no_tui: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Measure judges on labelled pairs: accuracy, position, length, agreement; kept with the judge."""
    from aaa.commands.judges import Wanted, calibrate

    overrides = overrides_of(settings_)
    wanted = Wanted(judges, labels, play, overrides, budget_usd, limit, resume, not no_tui, as_json)
    run_to_end(calibrate(settings(), wanted, dry_run=dry_run))


@judges.command("ls")
@as_json
def judges_ls(as_json: bool) -> None:
    """List what judges were worth when they were measured."""
    from aaa.commands.judges import ls

    run_to_end(ls(settings(), as_json))


@click.group()
def scenarios() -> None:
    """The experiments that can be run."""


@scenarios.command("ls")
@as_json
def scenarios_ls(as_json: bool) -> None:
    """List scenarios."""
    from aaa.commands.scenarios import ls

    end(ls(settings(), as_json))


@scenarios.command("validate")
@click.argument("names", nargs=-1)
def scenarios_validate(names: tuple[str, ...]) -> None:
    """Check scenarios whole: cards, seats, seeds, judges."""
    from aaa.commands.scenarios import validate

    end(validate(settings(), names))


@scenarios.command("schema")
def scenarios_schema() -> None:
    """Print the JSON Schemas of scenarios and agent cards."""
    from aaa.commands.scenarios import schema

    end(schema())


@click.group()
def seeds() -> None:
    """The prompts that rounds are played on."""


@seeds.command("analyse")
@click.argument("source")
@click.option("--round", "rounds", multiple=True, metavar="ROUND", help="Difficulty, as it showed.")
@click.option("--plot", type=click.Path(path_type=Path), help="Also draw it: .png or .svg.")
@click.option(
    "--clusters",
    type=click.IntRange(min=0),
    is_flag=False,
    flag_value=0,
    metavar="[N]",
    help="Also group what is about the same (needs the extra `embed`).",
)
@as_json
def seeds_analyse(
    source: str, rounds: tuple[str, ...], plot: Path | None, clusters: int | None, as_json: bool
) -> None:
    """Describe the seeds of SOURCE (a seeds file, or a scenario): tags, length, duplicates, difficulty."""
    from aaa.commands.seeds import analyse

    run_to_end(analyse(settings(), source, rounds, plot, as_json, clusters))


@seeds.command("sample")
@click.argument("source")
@click.option("--size", type=click.IntRange(min=1), required=True, help="How many.")
@click.option("--weight", "weights", multiple=True, metavar="TAG=X", help="How often, as odds.")
@click.option("--random-seed", type=int, default=0, show_default=True)
@click.option(
    "-o", "--output", default="-", show_default=True, help="A .jsonl file, or - for stdout."
)
def seeds_sample(
    source: str, size: int, weights: tuple[str, ...], random_seed: int, output: str
) -> None:
    """Draw seeds of SOURCE by the weights of their tags; the same draw each time."""
    from aaa.commands.seeds import sample

    end(sample(settings(), source, size, weights, random_seed, output))


@click.group()
def models() -> None:
    """Weights of local models."""


@models.command("ls")
@as_json
def models_ls(as_json: bool) -> None:
    """List local models: size, licence, whether present."""
    from aaa.commands.models import ls

    ls(settings(), as_json)


@models.command("pull")
@click.argument("names", nargs=-1, required=True)
def models_pull(names: tuple[str, ...]) -> None:
    """Fetch weights, checked against their SHA-256."""
    from aaa.commands.models import pull

    pull(settings(), list(names))


@models.command("rm")
@click.argument("name")
def models_rm(name: str) -> None:
    """Remove weights."""
    from aaa.commands.models import rm

    rm(settings(), name)
