"""Where an export reads: this machine's database, or a control plane elsewhere; the same records either
way.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager
from heapq import merge
from tempfile import TemporaryFile
from typing import NamedTuple

import orjson

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
FORMAT = "canonical"
RAW = {"gate": "none", "doubles": "true"}
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
        local_api(settings, database, open_catalogue(settings)) as own,
        Client(*own) as client,
    ):
        yield Opened(client, database)


def _place(record: Record) -> tuple[str, int]:
    return record["seed"]["id"], record["session"]


async def _merged(client: Client, rounds: Sequence[str]) -> AsyncGenerator[Record, None]:
    """The records of all rounds by seed, then session; each round's come in that order.

    Several rounds are fetched one after the other, to disk: a stream that waits for its turn is cut off.
    """
    ids = list(dict.fromkeys(rounds))
    if len(ids) == 1:
        async with aclosing(
            client.rows(ids[0], format=FORMAT, selectors=tuple(RAW.items()))
        ) as one:
            async for record in one:
                yield record
        return
    with ExitStack() as stack:
        files = [stack.enter_context(TemporaryFile()) for _ in ids]
        for id, file in zip(ids, files, strict=True):
            await client.pairs(id, file, format=FORMAT, **RAW)
            file.seek(0)
        for record in merge(*(map(orjson.loads, file) for file in files), key=_place):
            yield record


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
