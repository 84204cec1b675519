"""The journal of calls: each intent, answer and failure on record before anything else happens.

What many sessions want written at the same moment is committed together (`group_commit.py`); each still waits
for its commit. Every write may be repeated when the database went away in the middle (`entries.py`).
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Mapping, Sequence

from aaa.asking import Amount, Attempt, LeaseLost, Wish
from aaa.errors import ModelError, StoreError
from aaa.failpoints import hit
from aaa.store import entries
from aaa.store.budget import caps
from aaa.store.database import Database, patiently
from aaa.store.entries import Entry, Outcome
from aaa.store.group_commit import GroupCommit
from aaa.store.notes import Noted, Place, write_notes
from aaa.store.spool import Kept, Spool
from aaa.store.steering import pause_for
from aaa.types import Note, Seed, Turn

log = logging.getLogger(__name__)

PROMPT_S = 2.0
"""An answer not committed after so long goes to disk first."""


class Journal:
    """`asking.Journal` on PostgreSQL, and the notes beside it."""

    def __init__(self, database: Database, spool: Spool | None = None, seat: str = "") -> None:
        """`spool`: where answers wait on disk while the database is away; `seat`: whose journal it is."""
        self.database = database
        self.spool = spool
        self.seat = seat
        self._enter = GroupCommit[Entry, Outcome](self._write_entries, entries.at)
        self._note = GroupCommit[Noted, LeaseLost | None](self._write_notes, lambda noted: noted.at)

    async def waits(self, wish: Wish, why: str, opens_in_s: float | None) -> None:
        """Tell that a call has waited for a while. Where the database is away it is not told."""
        with contextlib.suppress(StoreError):
            await self.enter(entries.Waits(wish, why, opens_in_s))

    async def begin(self, wish: Wish, worst: Amount, within_s: float) -> Attempt | Turn:
        """Record an intent, committed before the request leaves."""
        entry = entries.Begin(wish, secrets.token_hex(8), worst, within_s)
        begun = await patiently(lambda: self.enter(entry), for_s=20)
        assert isinstance(begun, Attempt | Turn)
        return begun

    async def answer(self, wish: Wish, attempt: Attempt, turn: Turn) -> Turn:
        """Record an answer: turn, attempt, money, counters and event commit together.

        It is paid for: while the database is away it lies on disk, fsynced, and is written when it is back.
        Where the disk takes nothing either, it waits in memory.
        """
        writing = asyncio.ensure_future(patiently(lambda: self.write(wish, attempt, turn), for_s=0))
        done, _ = await asyncio.wait({writing}, timeout=PROMPT_S)
        if done and not isinstance(writing.exception(), StoreError):
            return writing.result()
        kept = await self._keep(Kept(wish=wish, attempt=attempt, turn=turn))
        try:
            recorded = await writing
        except StoreError:
            recorded = await patiently(lambda: self.write(wish, attempt, turn), for_s=None)
        if kept is not None and self.spool is not None:
            await asyncio.to_thread(self.spool.drop, kept)
        return recorded

    async def _keep(self, kept: Kept) -> str | None:
        """Its file's name; `None` where it could not be put on disk, and waits in memory."""
        if self.spool is None:
            return None
        try:
            name = await asyncio.to_thread(self.spool.keep, kept)
        except OSError as error:
            log.error("spool: an answer waits in memory for the database: %s", error)
            return None
        hit("spool.after")
        return name

    async def write(self, wish: Wish, attempt: Attempt, turn: Turn) -> Turn:
        """One try at recording an answer; the turn on record. A repeat changes nothing."""
        recorded = await self.enter(entries.Answered(wish, attempt, turn))
        assert isinstance(recorded, Turn)
        return recorded

    async def fail(
        self, wish: Wish, attempt: Attempt, error: ModelError, retry_in_s: float | None
    ) -> None:
        """Record a failed attempt. It cost nothing, or the worst where the provider may have worked."""
        entry = entries.Failed(wish, attempt, error, retry_in_s)
        await patiently(lambda: self.enter(entry), for_s=None)

    async def abandon(self, wish: Wish, attempt: Attempt, *, asked: bool) -> None:
        """Record that an attempt was broken off. Once asked it cost the worst: maybe it was billed."""
        entry = entries.Abandoned(wish, attempt, asked)
        await patiently(lambda: self.enter(entry), for_s=20)

    async def given(self, wish: Wish) -> Turn:
        """Put the words of `call.given` on the record: a turn that cost nothing and had no attempt.

        Raises `LeaseLost` where another claim owns the session.
        """
        reply = wish.call.given
        assert reply is not None
        turn = Turn(index=wish.index, call=wish.call, reply=reply)
        await patiently(lambda: self.enter(entries.Given(wish, turn)), for_s=20)
        return turn

    async def note(self, place: Place, note: Note, seed: Seed, turns: Mapping[int, Turn]) -> None:
        """Record a note of the play. `turns`: of its session, by index. Raises `LeaseLost`."""
        noted = Noted(place, note, seed, turns)
        lost = await patiently(lambda: self._note(noted), for_s=20)
        if lost is not None:
            raise lost
        hit("verdict.after")

    async def enter(self, entry: Entry) -> Outcome:
        """Have an entry committed, together with what others enter now; what it becomes.

        Raises `LeaseLost`, `RoundStopped`, and `StoreError`, after which it may be entered again.
        """
        outcome = await self._enter(entry)
        if isinstance(outcome, LeaseLost):
            raise outcome
        return outcome

    async def _write_entries(self, together: Sequence[Entry]) -> Sequence[Outcome]:
        async with self.database.begin() as connection:
            return await entries.write(connection, self.seat, together)

    async def _write_notes(self, together: Sequence[Noted]) -> Sequence[LeaseLost | None]:
        async with self.database.begin() as connection:
            return await write_notes(connection, together)


async def pause_at_budget(database: Database, round_id: str) -> None:
    """Pause a running round because its next call could pass a budget; says which, and what to do.

    Where the last budget was taken away meanwhile, it goes on.
    """
    async with database.begin() as connection:
        found = await caps(connection, round_id)
    if not found:
        return
    tight = found[0]
    what = tight.setting.rpartition(".")[2].removeprefix("budget_")

    def told(amount: float) -> str:
        return f"${amount:.10g}" if what == "usd" else f"{amount:g} {what}"

    await pause_for(
        database,
        round_id,
        "budget_reached",
        f"the next call could pass the budget of {tight.where}, {told(tight.cap)} (spent "
        f"{told(tight.spent)}, reserved {told(tight.reserved)}); raise it with `aaa rounds set "
        f"{round_id} {tight.setting}=…`, then `aaa rounds resume {round_id}`",
    )
