"""P4: a dump of PostgreSQL is a backup of everything.

One round is finished and another half way when `pg_dump` runs. Restored into a clean server by `pg_restore`,
exports are the same bytes, every row is there, and the half round goes on to the same end, asking only what
was not on record. That is done by a process with a home of its own: nothing but the dump went along.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from aaa.exporters import FORMATS, lines
from aaa.store.reading import transcripts
from aaa.store.schema import check_schema
from aaa.types import Call
from tests.chaos.promise import Promise, main
from tests.chaos.rows import all_rows, count, differing
from tests.chaos.stage import new_round, opened
from tests.playing import play_round, say
from tests.postgres import embedded_server, empty_database, program


class Outcome(NamedTuple):
    """What it came to."""

    rows: int
    differing: int
    """Rows that the restored database has not, or has differently."""
    exports: int
    """Rounds times formats, of those that have rows: some are of notes that these rounds do not make."""
    identical: bool
    """All of them the same bytes, before and after."""
    asked: int
    """Calls of the half round that were asked after the dump."""
    asked_again: int
    """Calls asked of the restored database beyond those: they were on record."""
    dump_kib: int

    @property
    def holds(self) -> bool:
        return (
            self.rows > 0 < self.exports
            and self.identical
            and not (self.differing or self.asked_again)
        )


def restore(questions: int = 200) -> Outcome:
    """Rounds of so many sessions each."""
    with embedded_server() as server, _file() as dump:
        whole, half = asyncio.run(_populate(server, questions))
        _run("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={server}")
        with embedded_server() as elsewhere, empty_database(elsewhere) as restored:
            _run("pg_restore", "--exit-on-error", f"--dbname={restored}", str(dump))
            before, after = all_rows(server), all_rows(restored)
            asked, exported = asyncio.run(_finish(server, whole, half))
            again, exported_again = _finish_elsewhere(restored, whole, half)
        return Outcome(
            rows=count(before),
            differing=differing(before, after) + differing(after, before),
            exports=sum(map(bool, exported)),
            identical=exported == exported_again,
            asked=asked,
            asked_again=again - asked,
            dump_kib=dump.stat().st_size // 1024,
        )


async def _populate(url: str, questions: int) -> tuple[str, str]:
    """A finished round and one whose sessions are half played."""
    async with opened(url) as database:
        whole = await new_round(database, questions, concurrency=questions)
        await play_round(database, whole)
        half = await new_round(database, questions, concurrency=questions)
        await play_round(database, half, room=questions // 2)
        return whole, half


async def _finish(url: str, whole: str, half: str) -> tuple[int, list[bytes]]:
    """Play the half round to its end: (calls asked, exports of both rounds in every format)."""
    asked = 0

    def answer(call: Call) -> str:
        nonlocal asked
        asked += 1
        return str(say(call))

    async with opened(url) as database:
        await check_schema(database)
        await play_round(database, half, answer)
        exports = [
            b"".join(
                [line async for t in transcripts(database, [round_id]) for line in lines(t, format)]
            )
            for round_id in (whole, half)
            for format in FORMATS
        ]
    return asked, exports


def _finish_elsewhere(url: str, whole: str, half: str) -> tuple[int, list[bytes]]:
    """The same in a process and a home that know nothing of what was before."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, "-m", "tests.chaos.backups", "--finish", url, whole, half],
            env={**os.environ, "AAA_HOME": home},
            check=True,
            stdout=subprocess.PIPE,
        )
    asked, exports = json.loads(done.stdout)
    return asked, [bytes.fromhex(export) for export in exports]


def _run(name: str, *arguments: str) -> None:
    subprocess.run([program(name), *arguments], check=True, capture_output=True)


@contextmanager
def _file() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "aaa.dump"


PROMISE = Promise(
    "P4",
    "a dump is a backup: restored, exports are the same bytes and rounds go on",
    restore,
    {"questions": 10},
)

if __name__ == "__main__":
    if sys.argv[1:2] == ["--finish"]:
        asked, exports = asyncio.run(_finish(*sys.argv[2:]))
        print(json.dumps([asked, [export.hex() for export in exports]]))
        sys.exit()
    sys.exit(main(PROMISE))
