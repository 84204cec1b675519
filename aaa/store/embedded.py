"""The embedded PostgreSQL as a process: seen and stopped, for whoever was killed before doing so.

The server ends with the last process of ours that uses it, unless that one was killed by force: then it
stays, which costs memory and no data, and the next command finds it running.
"""

import asyncio
import os
import signal
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from aaa.errors import Conflict, SetupError
from aaa.types import Value

STOP_S = 20.0


class Running(Value):
    """An embedded server that runs."""

    pid: int
    connections: int
    """Of others: `aaa serve`, `aaa run`, their runners and seats."""


def running(home: Path) -> Running | None:
    """The embedded server of that home; `None` where none runs. Starts none. Raises `SetupError`."""
    try:
        lines = (home / "postgres" / "postmaster.pid").read_text("utf-8").splitlines()
        pid, port, folder = int(lines[0]), lines[3].strip(), lines[4].strip()
        os.kill(pid, 0)
    except (OSError, ValueError, IndexError):
        return None
    where = make_conninfo("", host=folder, port=port, user="postgres", dbname="postgres")
    try:
        with psycopg.connect(where, connect_timeout=5) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
            ).fetchone()
    except psycopg.OperationalError as error:
        if "does not exist" in str(error) or "refused" in str(error):
            return None  # a file that a crash left, and a pid of somebody else
        raise SetupError(f"the embedded PostgreSQL in {home} does not answer: {error}") from error
    return Running(pid=pid, connections=row[0] if row else 0)


async def stop(home: Path) -> Running | None:
    """Stop it; what was stopped. Raises `Conflict` where somebody uses it, `SetupError` where it stays."""
    found = await asyncio.to_thread(running, home)
    if found is None:
        return None
    if found.connections:
        raise Conflict(
            f"the embedded PostgreSQL of {home} (pid {found.pid}) has {found.connections} connections "
            "open: stop the `aaa serve` or `aaa run` that uses it first (Ctrl-C); it ends with them"
        )
    os.kill(found.pid, signal.SIGINT)  # a fast shutdown, as PostgreSQL names it
    for _ in range(int(STOP_S / 0.1)):
        if not (home / "postgres" / "postmaster.pid").exists():
            return found
        await asyncio.sleep(0.1)
    raise SetupError(f"the embedded PostgreSQL (pid {found.pid}) does not stop within {STOP_S:g} s")
