"""Playing rounds here, and everything that runs until it is stopped."""

from pathlib import Path

import click

from aaa.cli._shared import as_json, end, overrides_of, run_to_end, settings


@click.command()
@click.argument("scenario")
@click.option(
    "--resume",
    metavar="ROUND",
    help="Go on with this round or course; `last`: with the newest that is not over, if any.",
)
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

    overrides = overrides_of(settings_) | ({} if limit is None else {"seeds.limit": limit})
    wanted = command.Wanted(
        scenario, overrides, budget_usd, resume, not no_tui, as_json, next_steps
    )
    if dry_run:
        end(command.dry_run(settings(), wanted))
    run_to_end(command.run(settings(), wanted))


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8700, show_default=True, type=click.IntRange(0, 65535))
@click.option("--api/--no-api", default=True, help="Serve the control plane.")
@click.option("--supervisor/--no-supervisor", default=True, help="Run rounds on Ray.")
def serve(host: str, port: int, api: bool, supervisor: bool) -> None:
    """Run control plane and supervisor until stopped."""
    from aaa.commands.serve import serve as command

    run_to_end(command(settings(), host, port, api=api, supervisor=supervisor))


@click.command()
@click.argument("round_id", metavar="[ROUND]", required=False)
@click.option("--no-tui", is_flag=True, help="Plain lines instead of the dashboard.")
@click.option("--replay", metavar="ROUND", help="Play a finished round again.")
@click.option("--speed", metavar="N", default="1x", show_default=True, help="Of the replay: 20x.")
@as_json
def watch(
    round_id: str | None, no_tui: bool, replay: str | None, speed: str, as_json: bool
) -> None:
    """Watch and steer rounds, live or finished (default: the newest)."""
    from aaa.commands.opening import on_terminal, open_client
    from aaa.commands.watch import watch as command
    from aaa.dashboard.replay import Replay, read_speed
    from aaa.logs import set_up, to_file

    again = Replay(read_speed(speed)) if replay else None
    tui = not no_tui and not as_json and on_terminal()
    found = settings()
    if tui:
        set_up(to_file(found, "aaa"), "aaa")

    async def work() -> int:
        async with open_client(found) as client:
            return await command(client, replay or round_id, tui=tui, as_json=as_json, replay=again)

    run_to_end(work())


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8790, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--faults", default="", help="What goes wrong; `aaa provider --explain` has the grammar."
)
@click.option("--judge", default="", help="Planted bias, e.g. position=0.3,length=0.5,noise=0.1")
@click.option("--skills", default="", help="Models that say the best of N, e.g. *-g1=4,*-g2=16")
@click.option("--seed", default=0, show_default=True)
@click.option("--log", type=click.Path(path_type=Path), help="Append one JSON line per request.")
@click.option("--explain", is_flag=True, help="Print the grammar of --faults.")
def provider(
    host: str,
    port: int,
    faults: str,
    judge: str,
    skills: str,
    seed: int,
    log: Path | None,
    explain: bool,
) -> None:
    """Serve a deterministic OpenAI-compatible stub, to rehearse without keys."""
    from aaa.commands import provider as command

    if explain:
        click.echo(command.FAULTS_HELP)
        return
    end(command.run(host, port, faults, log, seed, judge, skills))
