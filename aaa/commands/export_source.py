"""Where an export reads: this machine's database, or a control plane elsewhere; the same records either
way.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, NamedTuple

from aaa.api.server import local_api
from aaa.catalogue import open_catalogue
from aaa.client import Client, connect
from aaa.corpus.sieve import Source
from aaa.records import Record
from aaa.settings import Settings
from aaa.store.database import Database
from aaa.store.opening import open_database
from aaa.store.records import chunks

CHUNK = 500
"""Records at a time, from a control plane."""
RAW = (("gate", "none"),)
"""What is dropped, and for what, is found here."""


class Opened(NamedTuple):
    """What an export reads by."""

    client: Client
    database: Database | None
    """`None`: there is only the control plane."""

    def source(self, rounds: Sequence[str], *, words: bool) -> Source:
        """The rounds' records, in export order, as often as they are asked for."""

        def begin() -> AsyncGenerator[list[Record], None]:
            if self.database is not None:
                return chunks(self.database, rounds, words=words)
            return _chunked(_merged(self.client, rounds))

        return begin


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Opened]:
    """The configured control plane; without one, this home's database, with a control plane over it."""
    if settings.url is not None:
        async with connect(settings) as client:
            yield Opened(client, None)
        return
    async with (
        open_database(settings, pool=6) as database,
        local_api(settings, database, open_catalogue(settings)) as url,
        Client(url, settings.token) as client,
    ):
        yield Opened(client, database)


def _place(record: Record) -> tuple[str, int]:
    return record["seed"]["id"], record["session"]


async def _merged(client: Client, rounds: Sequence[str]) -> AsyncGenerator[Record, None]:
    """The records of all rounds by seed, then session; each round's come in that order."""
    streams = [client.rows(id, format="canonical", selectors=RAW) for id in dict.fromkeys(rounds)]
    try:
        heads: list[tuple[Any, int, Record]] = []
        for number, stream in enumerate(streams):
            async for first in stream:
                heads.append((_place(first), number, first))
                break
        while heads:
            head = min(heads, key=lambda one: one[:2])
            heads.remove(head)
            yield head[2]
            async for following in streams[head[1]]:
                heads.append((_place(following), head[1], following))
                break
    finally:
        for stream in streams:
            await stream.aclose()


async def _chunked(found: AsyncGenerator[Record, None]) -> AsyncGenerator[list[Record], None]:
    chunk: list[Record] = []
    async with aclosing(found) as records:
        async for record in records:
            chunk.append(record)
            if len(chunk) == CHUNK:
                yield chunk
                chunk = []
    if chunk:
        yield chunk
