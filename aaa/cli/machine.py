"""What surrounds us: the database, who may come in, and whether this machine can run AAA."""

import click

from aaa.cli._shared import as_json, run_to_end, settings


@click.group()
def db() -> None:
    """The database's schema."""


@db.command("upgrade")
def db_upgrade() -> None:
    """Bring the schema to this version."""
    from aaa.commands.db import run_upgrade

    run_to_end(run_upgrade(settings()))


@db.command("status")
@as_json
def db_status(as_json: bool) -> None:
    """Say where the database is and whether its schema fits."""
    from aaa.commands.db import status

    run_to_end(status(settings(), as_json))


@db.command("stop")
def db_stop() -> None:
    """Stop the embedded server, where a killed process left it running."""
    from aaa.commands.db import stop

    run_to_end(stop(settings()))


@click.group()
def tokens() -> None:
    """Who may come in through the API, and as what."""


@tokens.command("create")
@click.option("--role", required=True, type=click.Choice(["viewer", "operator", "admin"]))
@click.option("--name", required=True, help="Whose it is, or what for.")
@click.option("--days", type=click.FloatRange(min=0, min_open=True, max=3660), help="Good for.")
def tokens_create(role: str, name: str, days: float | None) -> None:
    """Print a new token, this once."""
    from aaa.commands.tokens import create

    run_to_end(create(settings(), name, role, days))


@tokens.command("ls")
@as_json
def tokens_ls(as_json: bool) -> None:
    """List tokens, without themselves."""
    from aaa.commands.tokens import ls

    run_to_end(ls(settings(), as_json))


@tokens.command("revoke")
@click.argument("token_id", metavar="ID")
def tokens_revoke(token_id: str) -> None:
    """Have a token let nobody in any more."""
    from aaa.commands.tokens import revoke

    run_to_end(revoke(settings(), token_id))


@click.command()
@as_json
def doctor(as_json: bool) -> None:
    """Look at what AAA stands on, and say what to mend."""
    from aaa.commands.doctor import doctor as command

    run_to_end(command(settings(), as_json))
