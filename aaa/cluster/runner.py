"""A runner: claims sessions, drives their plays, and gives back what it cannot finish."""

import asyncio
import logging
import os
import socket
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from math import ceil

from aaa import plugins
from aaa.asking import LeaseLost, Wish
from aaa.catalogue import Script, source_of
from aaa.cluster.line import Granted
from aaa.cluster.plan import seat_name
from aaa.collecting import collect_seldom
from aaa.drive import drive
from aaa.errors import AAAError, ModelError, NotFound, PlayChanged, ReplayMismatch, StoreError
from aaa.failpoints import hit
from aaa.gate import RoundStopped
from aaa.play import CallRefused
from aaa.store.database import Database, patiently
from aaa.store.group_commit import GroupCommit
from aaa.store.journal import Journal, pause_at_budget
from aaa.store.leases import (
    LEASE_S,
    Claim,
    End,
    claim_sessions,
    end_sessions,
    heartbeat,
    renew,
    take_over,
)
from aaa.store.notes import Place
from aaa.store.reading import recorded
from aaa.store.rounds import get_script
from aaa.store.steering import pause_for, wanted_of
from aaa.tracing import driven, flush
from aaa.types import Call, Note, Recorded, Turn, fingerprint

log = logging.getLogger(__name__)

TICK_S = 0.2
LOOK_S = 0.5
"""How often a runner looks what is wanted of its rounds."""
AskSeat = Callable[[str, Wish], Awaitable[Granted]]
"""(actor name of the seat, wish) -> what became of it; waits while the seat is being restarted."""


class Runner:
    """A Ray actor that drives up to `room` sessions at once."""

    def __init__(
        self,
        name: str,
        database_url: str,
        ask_seat: AskSeat,
        *,
        room: int = 2000,
        lease_s: float = LEASE_S,
    ) -> None:
        self.slot = name
        self.name = f"{name}@{socket.gethostname()}:{os.getpid()}"
        self.database = Database(database_url, pool=6)
        self._own = Database(database_url, pool=1)
        """For what its sessions hang on: what they themselves want of the database never stands before it."""
        self.journal = Journal(self.database)
        self._end = GroupCommit[End, None](
            partial(end_sessions, self.database), lambda end: end.claim.session
        )
        self.ask_seat = ask_seat
        self.room = room
        self.lease_s = lease_s
        self.stopping = False
        self._driving: dict[int, tuple[Claim, asyncio.Task[None]]] = {}
        self._leaving: dict[int, str] = {}
        """Sessions that are to begin no further call, and why: too many run, or the round stopped."""
        self._scripts: dict[str, Script] = {}
        self._loop: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Drive sessions until stopped. A second call joins the first."""
        if self._loop is None:
            collect_seldom()
            self._loop = asyncio.create_task(self._run())
        await self._loop

    async def stop(self) -> int:
        """Begin no further call; when those in flight are home, give every session back."""
        self.stopping = True
        driving = [task for _, task in self._driving.values()]
        await asyncio.gather(*driving, return_exceptions=True)
        if self._loop is not None:
            await asyncio.gather(self._loop, return_exceptions=True)
        await self.database.close()
        await self._own.close()
        await flush()
        return len(driving)

    async def _run(self) -> None:
        """Renew, obey, claim, over and over.

        After a time in which nobody could renew (the database was away, or it, this process or the machine
        stood still), leases that ended say nothing about their owners: those first have time to renew. At the
        start nobody knows what was before.
        """
        beat = look = 0.0
        clock, beat_s = asyncio.get_running_loop().time, self.lease_s / 4
        trusted = clock() + beat_s
        taken_over = False
        passed = time.time()  # by the wall: it goes on while a machine sleeps
        while not self.stopping:
            if time.time() - passed > beat_s:
                beat, trusted = 0.0, clock() + beat_s
            passed = time.time()
            try:
                if not taken_over:
                    await take_over(self._own, self.slot, self.name)
                    taken_over = True
                if clock() >= beat:
                    beat = clock() + beat_s
                    await self._renew()
                if clock() >= look:
                    look = clock() + LOOK_S
                    await self._obey()
                await self._claim(expired=clock() >= trusted)
            except StoreError as error:
                log.warning("runner %s: %s", self.name, error)
                await asyncio.sleep(0.5)
                beat, trusted = 0.0, clock() + beat_s
            except Exception:
                log.exception("runner %s: a pass failed", self.name)
                await asyncio.sleep(1)
            await asyncio.sleep(TICK_S)

    async def _claim(self, *, expired: bool) -> None:
        room = self.room - len(self._driving)
        if room <= 0:
            return
        for claim in await claim_sessions(
            self._own, self.name, room, self.lease_s, expired=expired
        ):
            older = self._driving.get(claim.session)
            if older is not None:  # our own lease ran out, and we took it again: one drives it
                older[1].cancel()
            task = asyncio.create_task(driven(self._drive, claim))
            self._driving[claim.session] = (claim, task)
            task.add_done_callback(partial(self._driven, claim))

    def _driven(self, claim: Claim, _: asyncio.Task[None]) -> None:
        mine = self._driving.get(claim.session)
        if mine is not None and mine[0] == claim:
            del self._driving[claim.session]
            self._leaving.pop(claim.session, None)

    async def _renew(self) -> None:
        claims = [claim for claim, _ in self._driving.values()]
        info = {"sessions": len(claims)}
        await heartbeat(self._own, self.name, "runner", socket.gethostname(), os.getpid(), info)
        kept = await renew(self._own, claims, self.lease_s)
        for claim in claims:
            mine = self._driving.get(claim.session)
            if claim.session not in kept and mine is not None and mine[0] == claim:
                mine[1].cancel()

    async def _obey(self) -> None:
        """Let go of sessions whose round stopped, or of which more run than are wanted."""
        mine: dict[str, list[int]] = defaultdict(list)
        for claim, _ in self._driving.values():
            mine[claim.round].append(claim.session)
        for round_id, wanted in (await wanted_of(self._own, mine)).items():
            ids = sorted(mine[round_id], reverse=True)
            if wanted.status != "running":
                self._leaving |= dict.fromkeys(ids, wanted.status)
                continue
            too_many = excess(wanted.running, wanted.concurrency, len(ids))
            for session in ids:
                self._leaving.pop(session, None)
            self._leaving |= dict.fromkeys(ids[:too_many], "yielded")

    async def _drive(self, claim: Claim) -> None:
        """Drive a session to its end, whatever that is; again from its journal, where the database left."""
        new = claim.epoch == 1  # nobody has driven it before
        while True:
            try:
                await self._drive_once(claim, new)
                return
            except StoreError as error:
                if self.stopping:
                    return
                new = False
                log.warning("runner %s: session %s: %s", self.name, claim.session, error)
                await asyncio.sleep(0.5)

    async def _drive_once(self, claim: Claim, new: bool) -> None:
        try:
            script = await self._script(claim.round)
            await self._play(claim, script, new)
            await self._over(End(claim, "completed"))
        except StoreError:
            raise
        except (LeaseLost, asyncio.CancelledError):
            log.info("runner %s: session %s has another owner", self.name, claim.session)
        except Exception as error:  # noqa: BLE001 (each of them ends or returns the session, none is lost)
            await self._ended(claim, error)

    async def _ended(self, claim: Claim, error: Exception) -> None:
        """Give a session back that can go on later; end one that cannot, with its reason."""
        match error:
            case RoundStopped():
                await self._over(End(claim, "queued"))
            case PlayChanged():
                await pause_for(self.database, claim.round, "play_changed", str(error))
                await self._over(End(claim, "queued"))
            case CallRefused() | ModelError():
                await self._over(End(claim, "failed", error.kind, str(error)))
            case ReplayMismatch():
                await self._over(End(claim, "failed", "replay_mismatch", str(error)))
            case _:
                log.error("runner %s: session %s", self.name, claim.session, exc_info=error)
                message = f"{type(error).__name__}: {error}"
                reason = "refused" if isinstance(error, AAAError) else "internal_error"
                await self._over(End(claim, "failed", reason, message))

    async def _over(self, end: End) -> None:
        """End it, or give it back. Patient: played again, a session would make its failed calls again."""
        await patiently(lambda: self._end(end), for_s=20)

    async def _script(self, round_id: str) -> Script:
        if round_id not in self._scripts:
            script = await get_script(self.database, round_id)
            try:
                source = source_of(script.scenario)
            except NotFound as error:
                raise PlayChanged(f"{error}") from error
            if source != script.source:
                raise PlayChanged(
                    f"protocol {script.scenario.protocol.id!r} or judging play "
                    f"{script.scenario.judging.play!r} changed since this round began; its journal "
                    "fits the old source only. Restore it and resume, or start a new round"
                )
            self._scripts[round_id] = script
        return self._scripts[round_id]

    async def _play(self, claim: Claim, script: Script, new: bool) -> None:
        """Play on from what is recorded; `new`: nothing is yet."""
        scenario = script.scenario
        protocol = plugins.protocol(scenario.protocol.id)
        options = plugins.options_of(
            "protocol", protocol.id, protocol.options, scenario.protocol.options
        )
        past = Recorded() if new else await recorded(self.database, claim.session)
        hit("replay.after")
        turns = {turn.index: turn for turn in past.turns}

        async def grant(index: int, call: Call) -> Turn:
            wish = Wish(
                round=claim.round,
                session=claim.session,
                epoch=claim.epoch,
                index=index,
                call=call,
                sampling_seed=sampling_seed(scenario.random_seed, claim.seed.id, index),
            )
            if call.given is None:
                turns[index] = await self._grant(seat_name(script.cards[call.agent]), wish)
            else:
                turns[index] = await self.journal.given(wish)
            return turns[index]

        async def record(index: int, after: int, note: Note) -> None:
            place = Place(claim.round, claim.session, claim.epoch, index, after)
            await self.journal.note(place, note, claim.seed, turns)

        await drive(protocol.play(claim.seed, script.cast, options), grant, record, past)

    async def _grant(self, seat: str, wish: Wish) -> Turn:
        if self.stopping:
            raise RoundStopped("stopping")
        if wish.session in self._leaving:
            raise RoundStopped(self._leaving[wish.session])
        granted = await self.ask_seat(seat, wish)
        if granted.stopped is not None:
            if granted.stopped == "budget_reached":
                await pause_at_budget(self.database, wish.round)
            raise RoundStopped(granted.stopped)
        if granted.held is not None:
            await pause_for(
                self.database, wish.round, granted.held[0], _held(wish, granted.held[1])
            )
            raise RoundStopped(granted.held[0])
        if granted.lost:
            raise LeaseLost(f"session {wish.session}")
        if granted.away:
            raise StoreError("the database does not answer")
        if granted.failure is not None:
            raise ModelError(granted.failure.kind, granted.failure.message)
        if granted.said is None:
            raise RuntimeError(f"{seat}: {granted.broken}")
        return granted.said.turn(wish)


def excess(running: int, wanted: int, mine: int) -> int:
    """How many of `mine` sessions to let go, where `running` run on all runners and `wanted` should."""
    if running <= wanted:
        return 0
    return min(mine, ceil((running - wanted) * mine / running))


def _held(wish: Wish, message: str) -> str:
    return f"{message}. Mend it, then `aaa rounds resume {wish.round}`: nothing recorded is asked again"


def sampling_seed(random_seed: int, seed_id: str, index: int) -> int:
    """31 bits that follow from the scenario's seed, the prompt and the turn: same place, same draw."""
    return int(fingerprint([random_seed, seed_id, index])[:8], 16) & 0x7FFFFFFF
