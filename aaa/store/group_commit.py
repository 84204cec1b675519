"""Group commit: what many tasks want written at the same moment goes into one transaction.

A transaction costs about the same for one entry as for fifty, so each waits a few milliseconds for others,
and for the commit before it. Every task still waits for its own commit and gets its own result, so no
promise changes. Entries that cannot be committed together are committed one by one. After the group commit
of databases' own logs (DeWitt et al. 1984).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, NamedTuple, TypeVar

from aaa.errors import StoreError

T = TypeVar("T")
R = TypeVar("R")

LINGER_S = 0.005
"""How long the first entry waits for others: nothing beside a model call."""
MOST = 100
"""Entries of one transaction: bounds how long a round's row stays locked."""


class _Waiting(NamedTuple):
    key: Hashable
    entry: object
    done: "asyncio.Future[object]"


class GroupCommit(Generic[T, R]):
    """Call it with an entry; it returns what `commit` made of it."""

    def __init__(
        self,
        commit: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        key: Callable[[T], Hashable],
        *,
        linger_s: float = LINGER_S,
    ) -> None:
        """`commit`: one transaction; a result for each entry, in order, or nothing of them is written.

        `key`: entries of the same key never share a transaction, and keep their order.
        """
        self._commit = commit
        self._key = key
        self._linger_s = linger_s
        self._waiting: deque[_Waiting] = deque()
        self._full = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None

    async def __call__(self, entry: T) -> R:
        """Write an entry. Raises what `commit` raises for it; written or not when cancelled."""
        done: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(self._key(entry), entry, done))  # type: ignore[arg-type]
        if len(self._waiting) >= MOST:
            self._full.set()
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        return await done

    async def _write(self) -> None:
        while self._waiting:
            await self._linger()
            batch = self._batch()
            if not batch:
                return  # all that waited went away
            try:
                await self._together(batch)
            except BaseException:
                for waiting in batch:
                    waiting.done.cancel()
                raise

    async def _linger(self) -> None:
        if len(self._waiting) >= MOST:
            return
        self._full.clear()
        try:
            await asyncio.wait_for(self._full.wait(), self._linger_s)
        except TimeoutError:
            return

    def _batch(self) -> list[_Waiting]:
        """The next entries, no two of one key; the others stay, in their order."""
        batch: list[_Waiting] = []
        keys: set[Hashable] = set()
        later: deque[_Waiting] = deque()
        while self._waiting and len(batch) < MOST:
            waiting = self._waiting.popleft()
            if waiting.done.done():
                continue
            if waiting.key in keys:
                later.append(waiting)
                continue
            keys.add(waiting.key)
            batch.append(waiting)
        self._waiting.extendleft(reversed(later))
        return batch

    async def _together(self, batch: Sequence[_Waiting]) -> None:
        try:
            results = await self._commit([waiting.entry for waiting in batch])  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001 (it is raised where the entry came from)
            if len(batch) == 1 or isinstance(error, StoreError):
                _fail(batch, error)
                return
            for waiting in batch:
                await self._together([waiting])
            return
        for waiting, result in zip(batch, results, strict=True):
            if not waiting.done.done():
                waiting.done.set_result(result)


def _fail(batch: Sequence[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.done.done():
            waiting.done.set_exception(error)
