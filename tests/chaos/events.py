"""E1: no reader of a round's events misses one or hears one twice, however often its connection drops.

Writers append to one round at once; readers follow it over HTTP from a control plane of its own process,
drop off at random places and come back with `Last-Event-ID`.
"""

import asyncio
import itertools
import json
import random
import sys
from collections.abc import Sequence
from typing import NamedTuple

import httpx
from httpx_sse import EventSource

from aaa.store.events import append
from aaa.store.steering import cancel_round
from tests.chaos.promise import Promise, main
from tests.chaos.stage import control_plane, new_round, opened
from tests.postgres import embedded_server


class Outcome(NamedTuple):
    """What the readers heard."""

    events: int
    """In the round, each to be heard by every reader."""
    reconnects: int
    missed: int
    doubled: int
    disordered: int
    """Events that came after one with a greater id."""
    forged: int
    """Events whose content is not what was written under that id's place."""

    @property
    def holds(self) -> bool:
        return self.events > 0 and not (
            self.missed or self.doubled or self.disordered or self.forged
        )


class Heard(NamedTuple):
    """One event as a reader heard it."""

    id: int
    by: tuple[int, int] | None
    """(writer, its number); `None` for the round's own events."""


def follow(
    writers: int = 32, readers: int = 10, reconnects: int = 500, each: int = 200, seed: int = 0
) -> Outcome:
    """`writers` append `each` events; the readers' connections drop `reconnects` times in all."""
    with embedded_server() as url, control_plane(url) as plane:
        return asyncio.run(_follow(url, plane.url, writers, readers, reconnects, each, seed))


async def _follow(
    url: str, api: str, writers: int, readers: int, reconnects: int, each: int, seed: int
) -> Outcome:
    total = writers * each + 2  # and the round's first and last
    chance = random.Random(seed)
    async with opened(url, pool=writers) as database, httpx.AsyncClient(timeout=60) as client:
        round_id = await new_round(database)
        path = f"{api}/v1/rounds/{round_id}/events"

        async def write(writer: int) -> None:
            notes = [("note", {"by": [writer, number]}) for number in range(each)]
            while notes:
                size = chance.randint(1, 8)
                async with database.begin() as connection:
                    await append(connection, round_id, notes[:size])
                del notes[:size]

        drops = [reconnects // readers + (n < reconnects % readers) for n in range(readers)]
        cuts = [sorted(chance.sample(range(1, total), k=count)) for count in drops]
        reading = [asyncio.create_task(read_events(client, path, cut)) for cut in cuts]
        await asyncio.gather(*(write(writer) for writer in range(writers)))
        await cancel_round(database, round_id)
        heard = await asyncio.gather(*reading)
    written = {(writer, number) for writer in range(writers) for number in range(each)}
    return Outcome(
        events=total,
        reconnects=sum(drops),
        missed=sum(total - len({e.id for e in each}) for each in heard),
        doubled=sum(len(each) - len({e.id for e in each}) for each in heard),
        disordered=sum(_disordered([e.id for e in each]) for each in heard),
        forged=sum(len(written ^ {e.by for e in each if e.by is not None}) for each in heard),
    )


async def read_events(client: httpx.AsyncClient, path: str, cuts: Sequence[int]) -> list[Heard]:
    """Follow to the end; the connection is dropped after each of these ids."""
    heard: list[Heard] = []
    for cut in [*cuts, None]:
        last = {"Last-Event-ID": str(heard[-1].id)} if heard else {}
        async with client.stream("GET", path, headers=last) as response:
            assert response.status_code == 200, response.status_code
            async for event in EventSource(response).aiter_sse():
                by = json.loads(event.data).get("by")
                heard.append(Heard(int(event.id), by and (by[0], by[1])))
                if heard[-1].id == cut:
                    break
    return heard


def _disordered(ids: Sequence[int]) -> int:
    return sum(later < earlier for earlier, later in itertools.pairwise(ids))


PROMISE = Promise(
    "E1",
    "no event is missed or heard twice, however often readers drop off",
    follow,
    {"writers": 16, "readers": 5, "reconnects": 60, "each": 40},
)

if __name__ == "__main__":
    sys.exit(main(PROMISE))
