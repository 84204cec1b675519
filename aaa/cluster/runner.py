"""A runner: claims sessions, drives their plays, and gives back what it cannot finish."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from functools import partial

from aaa import plugins
from aaa.asking import LeaseLost, RoundStopped, Wish
from aaa.catalogue import Script, source_of
from aaa.cluster.plan import seat_name
from aaa.cluster.seat import Granted
from aaa.drive import drive
from aaa.errors import AAAError, ModelError, NotFound, PlayChanged, ReplayMismatch, StoreError
from aaa.play import CallRefused
from aaa.store.database import Database, patiently
from aaa.store.journal import Journal, pause_at_budget
from aaa.store.leases import (
    LEASE_S,
    Claim,
    claim_sessions,
    finish,
    heartbeat,
    release,
    renew,
    take_over,
)
from aaa.store.reading import recorded
from aaa.store.rounds import get_script, pause_for
from aaa.types import Call, Note, Turn, fingerprint

log = logging.getLogger(__name__)

TICK_S = 0.2
AskSeat = Callable[[str, Wish], Awaitable[Granted]]
"""(actor name of the seat, wish) -> what became of it; waits while the seat is being restarted."""


class Runner:
    """A Ray actor that drives up to `room` sessions at once."""

    def __init__(self, name: str, database_url: str, ask_seat: AskSeat, room: int = 512) -> None:
        self.slot = name
        self.name = f"{name}@{socket.gethostname()}:{os.getpid()}"
        self.database = Database(database_url, pool=6)
        self.journal = Journal(self.database)
        self.ask_seat = ask_seat
        self.room = room
        self.stopping = False
        self._driving: dict[int, tuple[Claim, asyncio.Task[None]]] = {}
        self._scripts: dict[str, Script] = {}
        self._loop: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Drive sessions until stopped. A second call joins the first."""
        if self._loop is None:
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
        return len(driving)

    async def _run(self) -> None:
        beat = 0.0
        clock = asyncio.get_running_loop().time
        taken_over = False
        while not self.stopping:
            try:
                if not taken_over:
                    await take_over(self.database, self.slot, self.name)
                    taken_over = True
                if clock() >= beat:
                    await self._renew()
                    beat = clock() + LEASE_S / 4
                await self._claim()
            except Exception:  # the database may be away for a while; leases tell if too long
                log.exception("runner %s: a pass failed", self.name)
                await asyncio.sleep(1)
            await asyncio.sleep(TICK_S)

    async def _claim(self) -> None:
        room = self.room - len(self._driving)
        if room <= 0:
            return
        for claim in await claim_sessions(self.database, self.name, room):
            task = asyncio.create_task(self._drive(claim))
            self._driving[claim.session] = (claim, task)
            task.add_done_callback(partial(self._driven, claim.session))

    def _driven(self, session: int, _: asyncio.Task[None]) -> None:
        self._driving.pop(session, None)

    async def _renew(self) -> None:
        claims = [claim for claim, _ in self._driving.values()]
        info = {"sessions": len(claims)}
        await heartbeat(self.database, self.name, "runner", socket.gethostname(), os.getpid(), info)
        kept = await renew(self.database, claims)
        for claim in claims:
            if claim.session not in kept and claim.session in self._driving:
                self._driving[claim.session][1].cancel()

    async def _drive(self, claim: Claim) -> None:
        """Drive a session to its end, whatever that is."""
        try:
            script = await self._script(claim.round)
            await self._play(claim, script)
            await patiently(lambda: finish(self.database, claim, "completed"))
        except RoundStopped as stopped:
            if str(stopped) == "budget_reached":
                await pause_at_budget(self.database, claim.round)
            await release(self.database, claim)
        except StoreError:
            log.exception(
                "runner %s: session %s waits for its lease to end", self.name, claim.session
            )
        except (LeaseLost, asyncio.CancelledError):
            log.info("runner %s: session %s has another owner", self.name, claim.session)
        except PlayChanged as error:
            await pause_for(self.database, claim.round, "play_changed", str(error))
            await release(self.database, claim)
        except CallRefused as error:
            await finish(self.database, claim, "failed", error.kind, str(error))
        except ModelError as error:
            await finish(self.database, claim, "failed", error.kind, str(error))
        except ReplayMismatch as error:
            await finish(self.database, claim, "failed", "replay_mismatch", str(error))
        except Exception as error:
            log.exception("runner %s: session %s", self.name, claim.session)
            message = f"{type(error).__name__}: {error}"
            reason = "refused" if isinstance(error, AAAError) else "internal_error"
            with contextlib.suppress(Exception):
                await finish(self.database, claim, "failed", reason, message)

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

    async def _play(self, claim: Claim, script: Script) -> None:
        scenario = script.scenario
        protocol = plugins.protocol(scenario.protocol.id)
        options = plugins.options_of(
            "protocol", protocol.id, protocol.options, scenario.protocol.options
        )
        past = await recorded(self.database, claim.session)
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
            await self.journal.verdict(
                (claim.round, claim.session, claim.epoch),
                index,
                after,
                note,
                claim.seed,
                turns[note.a],
                turns[note.b],
            )

        await drive(protocol.play(claim.seed, script.cast, options), grant, record, past)

    async def _grant(self, seat: str, wish: Wish) -> Turn:
        if self.stopping:
            raise RoundStopped("stopping")
        granted = await self.ask_seat(seat, wish)
        if granted.stopped is not None:
            raise RoundStopped(granted.stopped)
        if granted.lost:
            raise LeaseLost(f"session {wish.session}")
        if granted.failure is not None:
            raise ModelError(granted.failure.kind, granted.failure.message)
        assert granted.turn is not None
        return granted.turn


def sampling_seed(random_seed: int, seed_id: str, index: int) -> int:
    """31 bits that follow from the scenario's seed, the prompt and the turn: same place, same draw."""
    return int(fingerprint([random_seed, seed_id, index])[:8], 16) & 0x7FFFFFFF
