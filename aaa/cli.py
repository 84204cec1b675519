"""`aaa`: the command line. Declares commands; what they do is in `aaa/commands/`, imported when run.

Data goes to stdout, prose to stderr.

Exit codes: 0 done (a round: completed), 1 a round failed or was cancelled, 2 wrong input,
3 something around us is missing or broken, 4 stopped before the end or not possible now, 130 interrupted.
"""

import asyncio
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from aaa import __version__
from aaa.errors import AAAError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
EXIT_CODES = """\b
Exit codes:
  0    done; for `run` and `watch`: the round completed
  1    the round failed or was cancelled
  2    wrong input (arguments, YAML, seeds, names)
  3    something around AAA is missing or broken (database, weights, keys, ports)
  4    stopped before the end, or not possible in this state
  130  interrupted"""

as_json = click.option("--json", "as_json", is_flag=True, help="Print data as JSON on stdout.")


@click.group(context_settings=CONTEXT, epilog=EXIT_CODES)
@click.version_option(__version__, prog_name="aaa")
def cli() -> None:
    """AAA ("AI Align AI"): language models teach each other; preference data comes out."""


@cli.command()
@click.argument("scenario")
@click.option("--resume", metavar="ROUND", help="Go on with this round instead of starting one.")
@click.option("--budget-usd", type=click.FloatRange(min=0), help="Pause before spending more.")
@click.option("--limit", type=click.IntRange(min=1), help="Take the first so many seeds.")
@click.option("--set", "settings_", metavar="KEY=VALUE", multiple=True, help="Change the scenario.")
@click.option("--no-tui", is_flag=True, help="Plain lines instead of the live view.")
@click.option("--dry-run", is_flag=True, help="Check and rehearse: calls and cost, nothing spent.")
@click.option("--next-steps", is_flag=True, hidden=True)
@as_json
def run(
    scenario: str,
    resume: str | None,
    budget_usd: float | None,
    limit: int | None,
    settings_: tuple[str, ...],
    no_tui: bool,
    dry_run: bool,
    next_steps: bool,
    as_json: bool,
) -> None:
    """Play SCENARIO (a name, or a YAML file) here, from start to exported pairs."""
    from aaa.commands import run as command

    overrides = _overrides(settings_) | ({} if limit is None else {"seeds.limit": limit})
    wanted = command.Wanted(
        scenario, overrides, budget_usd, resume, not no_tui, as_json, next_steps
    )
    if dry_run:
        _exit(command.dry_run(_settings(), wanted))
    _await(command.run(_settings(), wanted))


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8700, show_default=True, type=click.IntRange(0, 65535))
@click.option("--api/--no-api", default=True, help="Serve the control plane.")
@click.option("--supervisor/--no-supervisor", default=True, help="Run rounds on Ray.")
def serve(host: str, port: int, api: bool, supervisor: bool) -> None:
    """Run control plane and supervisor until stopped."""
    from aaa.commands.serve import serve as command

    _await(command(_settings(), host, port, api=api, supervisor=supervisor))


@cli.group()
def rounds() -> None:
    """Start, list and steer rounds (over REST where AAA_URL is set)."""


@rounds.command("start")
@click.argument("scenario")
@click.option("--budget-usd", type=click.FloatRange(min=0))
@click.option("--limit", type=click.IntRange(min=1))
@click.option("--set", "settings_", metavar="KEY=VALUE", multiple=True)
def rounds_start(
    scenario: str, budget_usd: float | None, limit: int | None, settings_: tuple[str, ...]
) -> None:
    """Start a round of SCENARIO and print it."""
    from aaa.commands.rounds import start

    overrides = _overrides(settings_) | ({} if limit is None else {"seeds.limit": limit})
    _await(start(_settings(), scenario, overrides, budget_usd))


@rounds.command("ls")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@as_json
def rounds_ls(limit: int, as_json: bool) -> None:
    """List rounds, newest first."""
    from aaa.commands.rounds import ls

    _await(ls(_settings(), as_json, limit))


@rounds.command("show")
@click.argument("id")
@as_json
def rounds_show(id: str, as_json: bool) -> None:
    """Show one round and its sessions."""
    from aaa.commands.rounds import show_round

    _await(show_round(_settings(), id, as_json))


@rounds.command("pause")
@click.argument("id")
@click.option("--now", is_flag=True, help="Break off calls in flight; they count as paid for.")
def rounds_pause(id: str, now: bool) -> None:
    """Begin no further call; those in flight come home."""
    from aaa.commands.rounds import move

    _await(move(_settings(), id, "pause now" if now else "pause"))


@rounds.command("resume")
@click.argument("id")
def rounds_resume(id: str) -> None:
    """Go on with a paused or failed round."""
    from aaa.commands.rounds import move

    _await(move(_settings(), id, "resume"))


@rounds.command("cancel")
@click.argument("id")
def rounds_cancel(id: str) -> None:
    """End a round for good; what is recorded stays."""
    from aaa.commands.rounds import move

    _await(move(_settings(), id, "cancel"))


@rounds.command("set")
@click.argument("id")
@click.argument("assignments", nargs=-1, required=True, metavar="KEY=VALUE...")
def rounds_set(id: str, assignments: tuple[str, ...]) -> None:
    """Change a live round: concurrency, budget_usd, budget_tokens, budget_calls, seat_budgets.SEAT.usd …"""
    from aaa.commands.rounds import retune

    _await(retune(_settings(), id, assignments))


@rounds.command("rejudge")
@click.argument("id")
@click.option("--judges", required=True, metavar="A,B", help="Agents, with commas between them.")
@click.option("--play", help="Judging play; default: the round's own.")
@click.option("--set", "settings_", metavar="judging.KEY=VALUE", multiple=True)
@click.option("--budget-usd", type=click.FloatRange(min=0), help="Pause before spending more.")
@click.option("--resume", metavar="ROUND", help="Go on with a rejudging that was stopped.")
@click.option("--no-tui", is_flag=True, help="Plain lines instead of the live view.")
@click.option("--dry-run", is_flag=True, help="Calls and cost; nothing spent.")
@as_json
def rounds_rejudge(
    id: str,
    judges: str,
    play: str | None,
    settings_: tuple[str, ...],
    budget_usd: float | None,
    resume: str | None,
    no_tui: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Judge a round's recorded answers again, and say how many pairs change."""
    from aaa.commands.rejudging import Wanted, rejudge

    overrides = _overrides(settings_) | ({} if play is None else {"judging.play": play})
    named = tuple(filter(None, (name.strip() for name in judges.split(","))))
    wanted = Wanted(id, named, overrides, budget_usd, resume, not no_tui, as_json)
    _await(rejudge(_settings(), wanted, dry_run=dry_run))


@cli.command()
@click.argument("round_id", metavar="[ROUND]", required=False)
@click.option("--no-tui", is_flag=True, help="Plain lines instead of the live view.")
@as_json
def watch(round_id: str | None, no_tui: bool, as_json: bool) -> None:
    """Watch a round live (default: the newest)."""
    from aaa.commands.opening import open_client
    from aaa.commands.watch import watch as command

    async def work() -> int:
        async with open_client(_settings()) as client:
            tui = not no_tui and sys.stdout.isatty() and not as_json
            return await command(client, round_id, tui=tui, as_json=as_json)

    _await(work())


@cli.command()
@click.argument("rounds", nargs=-1, required=True, metavar="ROUND...")
@click.option("--format", "format_", default="trl-dpo", show_default=True)
@click.option("-o", "--output", required=True, metavar="PATH", help="A .jsonl file, or - (stdout).")
def export(rounds: tuple[str, ...], format_: str, output: str) -> None:
    """Write the pairs of rounds for a trainer."""
    from aaa.commands.export import export as command

    _await(command(_settings(), rounds, format_, output))


@cli.command()
@click.argument("pair")
@as_json
def explain(pair: str, as_json: bool) -> None:
    """Tell the whole story of one pair: seed, turns, ballots, cost, models."""
    from aaa.commands.explain import explain as command

    _await(command(_settings(), pair, as_json))


@cli.command()
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

    _await(command(_settings(), Wanted(**query), matrix=matrix, plot=plot, as_json=as_json))


@cli.group()
def agents() -> None:
    """The models that may speak."""


@agents.command("ls")
@as_json
def agents_ls(as_json: bool) -> None:
    """List agent cards."""
    from aaa.commands.agents import ls

    ls(_settings(), as_json)


@agents.command("check")
@click.argument("names", nargs=-1)
@as_json
def agents_check(names: tuple[str, ...], as_json: bool) -> None:
    """Call agents once each (all that can be reached): latency, features, price, or why not."""
    from aaa.commands.agents import check

    _exit(check(_settings(), list(names), as_json))


@cli.group()
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

    overrides = _overrides(settings_)
    wanted = Wanted(judges, labels, play, overrides, budget_usd, limit, resume, not no_tui, as_json)
    _await(calibrate(_settings(), wanted, dry_run=dry_run))


@judges.command("ls")
@as_json
def judges_ls(as_json: bool) -> None:
    """List what judges were worth when they were measured."""
    from aaa.commands.judges import ls

    _await(ls(_settings(), as_json))


@cli.group()
def scenarios() -> None:
    """The experiments that can be run."""


@scenarios.command("ls")
@as_json
def scenarios_ls(as_json: bool) -> None:
    """List scenarios."""
    from aaa.commands.scenarios import ls

    _exit(ls(_settings(), as_json))


@scenarios.command("validate")
@click.argument("names", nargs=-1)
def scenarios_validate(names: tuple[str, ...]) -> None:
    """Check scenarios whole: cards, seats, seeds, judges."""
    from aaa.commands.scenarios import validate

    _exit(validate(_settings(), names))


@scenarios.command("schema")
def scenarios_schema() -> None:
    """Print the JSON Schemas of scenarios and agent cards."""
    from aaa.commands.scenarios import schema

    _exit(schema())


@cli.group()
def models() -> None:
    """Weights of local models."""


@models.command("ls")
@as_json
def models_ls(as_json: bool) -> None:
    """List local models: size, licence, whether present."""
    from aaa.commands.models import ls

    ls(_settings(), as_json)


@models.command("pull")
@click.argument("names", nargs=-1, required=True)
def models_pull(names: tuple[str, ...]) -> None:
    """Fetch weights, checked against their SHA-256."""
    from aaa.commands.models import pull

    pull(_settings(), list(names))


@models.command("rm")
@click.argument("name")
def models_rm(name: str) -> None:
    """Remove weights."""
    from aaa.commands.models import rm

    rm(_settings(), name)


@cli.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8790, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--faults", default="", help="What goes wrong; `aaa provider --explain` has the grammar."
)
@click.option("--judge", default="", help="Planted bias, e.g. position=0.3,length=0.5,noise=0.1")
@click.option("--seed", default=0, show_default=True)
@click.option("--log", type=click.Path(path_type=Path), help="Append one JSON line per request.")
@click.option("--explain", is_flag=True, help="Print the grammar of --faults.")
def provider(
    host: str, port: int, faults: str, judge: str, seed: int, log: Path | None, explain: bool
) -> None:
    """Serve a deterministic OpenAI-compatible stub, to rehearse without keys."""
    from aaa.commands import provider as command

    if explain:
        click.echo(command.FAULTS_HELP)
        return
    _exit(command.run(host, port, faults, log, seed, judge))


@cli.group()
def db() -> None:
    """The database's schema."""


@db.command("upgrade")
def db_upgrade() -> None:
    """Bring the schema to this version."""
    from aaa.commands.db import run_upgrade

    _await(run_upgrade(_settings()))


@db.command("status")
@as_json
def db_status(as_json: bool) -> None:
    """Say where the database is and whether its schema fits."""
    from aaa.commands.db import status

    _await(status(_settings(), as_json))


@cli.command()
@as_json
def doctor(as_json: bool) -> None:
    """Look at what AAA stands on, and say what to mend."""
    from aaa.commands.doctor import doctor as command

    _await(command(_settings(), as_json))


def _settings() -> Any:
    from aaa.settings import read_settings

    return read_settings()


def _overrides(texts: tuple[str, ...]) -> dict[str, Any]:
    from aaa.scenario import parse_setting

    return dict(parse_setting(text) for text in texts)


def _await(work: Coroutine[Any, Any, int]) -> None:
    _exit(asyncio.run(work))


def _exit(code: int) -> None:
    raise SystemExit(code)


def main() -> None:
    """The console script: errors we know are one message and their exit code."""
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
    except AAAError as error:
        for line in str(error).splitlines():
            print(f"error: {line}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except (KeyboardInterrupt, click.Abort):
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise SystemExit(0) from None
