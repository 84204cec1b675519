"""What surrounds us: the database, and whether this machine can run AAA."""

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


@click.command()
@as_json
def doctor(as_json: bool) -> None:
    """Look at what AAA stands on, and say what to mend."""
    from aaa.commands.doctor import doctor as command

    run_to_end(command(settings(), as_json))
