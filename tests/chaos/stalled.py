"""E2: readers that take nothing harm nobody: the control plane's memory stays, they are dropped, and each
goes on by id when it comes back.

They open a round's events over a real socket and never read, while events keep coming and another reader
hears them all. Memory is the resident set of the control plane's process, seen from outside.
"""

import asyncio
import random
import socket
import sys
import time
from contextlib import ExitStack
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
import psutil

from aaa.api.problems import STALLED_S
from aaa.api.sse import TAIL
from aaa.store.database import Database
from aaa.store.events import append
from aaa.store.steering import cancel_round
from tests.chaos.events import Heard, read_events
from tests.chaos.promise import Promise, main
from tests.chaos.stage import ControlPlane, control_plane, new_round, opened
from tests.postgres import embedded_server

MOST_MIB = 20.0
BATCH = 50
"""Events appended in one transaction."""


class Outcome(NamedTuple):
    """What it came to."""

    events: int
    stalled: int
    """Readers that took nothing."""
    dropped: int
    """Of these, connections that the control plane gave up."""
    grown_mib: float
    """The most that the process grew while they took nothing."""
    unheard: int
    """Events that the well-behaved reader did not hear exactly once and in order."""
    unresumed: int
    """Stalled readers that did not get exactly the rest when they came back by id."""

    @property
    def holds(self) -> bool:
        return (
            self.dropped == self.stalled > 0
            and self.grown_mib < MOST_MIB
            and self.unheard == self.unresumed == 0
        )


def stall(
    minutes: float = 10.0, stalled: int = 20, rate: int = 200, patience_s: float = STALLED_S
) -> Outcome:
    """`stalled` readers take nothing for `minutes`, while `rate` events come a second.

    `patience_s`: after so long without taking anything a reader is to be dropped.
    """
    with embedded_server() as url, control_plane(url, patience_s) as plane:
        return asyncio.run(_stall(url, plane, minutes * 60, stalled, rate))


async def _stall(url: str, plane: ControlPlane, for_s: float, stalled: int, rate: int) -> Outcome:
    process = psutil.Process(plane.pid)
    async with opened(url) as database, httpx.AsyncClient(timeout=60) as client:
        round_id = await new_round(database)
        path = f"{plane.url}/v1/rounds/{round_id}/events"
        listening = asyncio.create_task(read_events(client, path, []))
        for _ in range(2 * TAIL // BATCH):  # fill what it keeps in memory by design, first
            await _write(database, round_id)
        await asyncio.sleep(1)
        before = process.memory_info().rss
        with ExitStack() as open_sockets:
            sockets = [open_sockets.enter_context(_silent(path)) for _ in range(stalled)]
            ports = {s.getsockname()[1] for s in sockets}
            most = await _keep_writing(database, round_id, process, for_s, rate)
            left = ports & {c.raddr.port for c in process.net_connections("tcp") if c.raddr}
        await cancel_round(database, round_id)
        heard = await listening
        total = heard[-1].id
        chance = random.Random(0)
        places = [chance.randrange(1, total) for _ in range(stalled)]
        rests = [await _from(client, path, place) for place in places]
    return Outcome(
        events=total,
        stalled=stalled,
        dropped=stalled - len(left),
        grown_mib=round((most - before) / 2**20, 1),
        unheard=len(set(range(1, total + 1)) ^ {e.id for e in heard}) + len(heard) - total,
        unresumed=sum(
            [e.id for e in rest] != list(range(place + 1, total + 1))
            for place, rest in zip(places, rests, strict=True)
        ),
    )


async def _keep_writing(
    database: Database, round_id: str, process: psutil.Process, for_s: float, rate: int
) -> int:
    """Append so many events a second for so long; the process's largest resident set, in bytes."""
    most = 0
    began = time.monotonic()
    for number in range(int(for_s * rate / BATCH)):
        await _write(database, round_id)
        most = max(most, process.memory_info().rss)
        await asyncio.sleep(max(0.0, began + number * BATCH / rate - time.monotonic()))
    return most


async def _write(database: Database, round_id: str) -> None:
    """Events of the size of a turn's."""
    async with database.begin() as connection:
        await append(connection, round_id, [("note", {"text": "lorem " * 150})] * BATCH)


def _silent(path: str) -> socket.socket:
    """A connection that has asked for events and will take none."""
    url = urlsplit(path)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((url.hostname, url.port))
    connection.sendall(f"GET {url.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection


async def _from(client: httpx.AsyncClient, path: str, place: int) -> list[Heard]:
    """What a reader hears that comes back after that id."""
    return await read_events(client, f"{path}?after={place}", [])


PROMISE = Promise(
    "E2",
    "a reader that takes nothing harms nobody, is dropped, and goes on by id",
    stall,
    {"minutes": 0.2, "stalled": 5, "rate": 400, "patience_s": 3.0},
)

if __name__ == "__main__":
    sys.exit(main(PROMISE))
