"""`aaa rounds …`: start, list and steer rounds."""

import click

from aaa.cli._shared import as_json, overrides_of, run_to_end, settings


@click.group()
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

    overrides = overrides_of(settings_) | ({} if limit is None else {"seeds.limit": limit})
    run_to_end(start(settings(), scenario, overrides, budget_usd))


@rounds.command("ls")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@as_json
def rounds_ls(limit: int, as_json: bool) -> None:
    """List rounds, newest first."""
    from aaa.commands.rounds import ls

    run_to_end(ls(settings(), as_json, limit))


@rounds.command("show")
@click.argument("id")
@as_json
def rounds_show(id: str, as_json: bool) -> None:
    """Show one round and its sessions."""
    from aaa.commands.rounds import show_round

    run_to_end(show_round(settings(), id, as_json))


@rounds.command("pause")
@click.argument("id")
@click.option("--now", is_flag=True, help="Break off calls in flight; they count as paid for.")
def rounds_pause(id: str, now: bool) -> None:
    """Begin no further call; those in flight come home."""
    from aaa.commands.rounds import move

    run_to_end(move(settings(), id, "pause now" if now else "pause"))


@rounds.command("resume")
@click.argument("id")
def rounds_resume(id: str) -> None:
    """Go on with a paused or failed round."""
    from aaa.commands.rounds import move

    run_to_end(move(settings(), id, "resume"))


@rounds.command("cancel")
@click.argument("id")
def rounds_cancel(id: str) -> None:
    """End a round for good; what is recorded stays."""
    from aaa.commands.rounds import move

    run_to_end(move(settings(), id, "cancel"))


@rounds.command("set")
@click.argument("id")
@click.argument("assignments", nargs=-1, required=True, metavar="KEY=VALUE...")
def rounds_set(id: str, assignments: tuple[str, ...]) -> None:
    """Change a live round: concurrency, budget_usd, budget_tokens, budget_calls, seat_budgets.SEAT.usd …"""
    from aaa.commands.rounds import retune

    run_to_end(retune(settings(), id, assignments))


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

    overrides = overrides_of(settings_) | ({} if play is None else {"judging.play": play})
    named = tuple(filter(None, (name.strip() for name in judges.split(","))))
    wanted = Wanted(id, named, overrides, budget_usd, resume, not no_tui, as_json)
    run_to_end(rejudge(settings(), wanted, dry_run=dry_run))
