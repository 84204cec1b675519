"""Keeps a supervisor running: starts it as a process of its own, and again when it ends unasked."""

import asyncio
import contextlib
import logging
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import IO

from aaa.errors import SetupError
from aaa.models import library
from aaa.scenario import AgentCard
from aaa.settings import Settings

log = logging.getLogger(__name__)

REFUSED, LOST = 3, 75
"""Exit codes of a supervisor: Ray cannot start here (it printed why); its cluster went away."""
STOP_S = 20.0
"""A supervisor that was asked to stop has so long: its calls in flight come home, Ray ends."""
FIRST_DELAY_S, LONGEST_DELAY_S = 0.2, 30.0
STEADY_S = 60.0
"""Who lived so long failed for a new reason: the next start comes at once."""
TRIES = 3
"""Where so many ended before one led, the next will not lead either."""


class Supervised:
    """A supervisor that is kept, and waits to be told the database."""

    def __init__(self, settings: Settings, stop: asyncio.Event, cards: Iterable[AgentCard]) -> None:
        self.ended = deque[str](maxlen=TRIES)
        """How the last ones ended that did so unasked: exit code, and what they said."""
        self._url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        loads = sorted({name for card in cards if (name := library(card)) is not None})
        self._keeping = asyncio.create_task(_keep(settings, loads, self._url, stop, self.ended))

    def with_database(self, url: str) -> asyncio.Task[None]:
        """Say which database is open; the task that keeps the supervisor, until it was asked to stop.

        The task raises `SetupError` where the very first supervisor says that it cannot start.
        """
        self._url.set_result(url)
        return self._keeping

    async def leave(self) -> None:
        """End one that was never told a database; others were asked to stop by then."""
        if not self._url.done():
            self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)


@asynccontextmanager
async def supervising(
    settings: Settings, stop: asyncio.Event, cards: Iterable[AgentCard] = ()
) -> AsyncIterator[Supervised]:
    """Start a supervisor while the database is still being opened: its imports take as long.

    What those cards' seats need is loaded once, meanwhile, where workers are forked.
    """
    supervised = Supervised(settings, stop, cards)
    await asyncio.sleep(0)
    try:
        yield supervised
    finally:
        await supervised.leave()


async def _keep(
    settings: Settings,
    loads: Sequence[str],
    url: asyncio.Future[str],
    stop: asyncio.Event,
    ended: deque[str],
) -> None:
    clock = asyncio.get_running_loop().time
    delay_s = FIRST_DELAY_S
    refusals = 0
    while not stop.is_set():
        began = clock()
        with _aside(settings) as raw:
            code, said = await _once(_environment(settings), loads, url, stop, raw)
        if stop.is_set():
            return
        if code == REFUSED and refusals == 0 and delay_s == FIRST_DELAY_S:
            raise SetupError(said)
        refusals += code == REFUSED
        ended.append(f"exit code {code}" + (said and f": {said}"))
        delay_s = FIRST_DELAY_S if clock() - began > STEADY_S else min(LONGEST_DELAY_S, delay_s * 2)
        log.warning("supervisor ended (%s); the next starts in %.1f s", ended[-1], delay_s)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), delay_s)


@contextlib.contextmanager
def _aside(settings: Settings) -> Iterator[IO[bytes] | None]:
    """Where its stderr goes: here, or beside the log file, where that is named: a screen may be up."""
    if settings.log_file is None:
        yield None
        return
    settings.log_file.parent.mkdir(parents=True, exist_ok=True)
    with (settings.log_file.parent / "supervisor.stderr").open("wb") as raw:
        yield raw


async def _once(
    environment: Mapping[str, str],
    loads: Sequence[str],
    url: asyncio.Future[str],
    stop: asyncio.Event,
    raw: IO[bytes] | None,
) -> tuple[int, str]:
    """One supervisor, to its end: (exit code, what it printed)."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "aaa.cluster", *loads),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=raw,
        env=environment,
        start_new_session=True,  # Ctrl-C in a terminal is ours to hand on, once
    )
    assert process.stdin is not None
    assert process.stdout is not None
    reading = asyncio.create_task(process.stdout.read())
    stopping = asyncio.create_task(stop.wait())
    try:
        process.stdin.write(f"{await asyncio.shield(url)}\n".encode())
        await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            process.stdin.close()
            await asyncio.wait_for(process.wait(), STOP_S)
        code = await process.wait()
        return code, (await reading).decode(errors="replace").strip()
    except TimeoutError:
        return -1, "did not stop in time"
    finally:
        stopping.cancel()
        if process.returncode is None:  # out of time, or we are interrupted: Ray ends with it
            process.kill()
            await process.wait()
        reading.cancel()


def _environment(settings: Settings) -> dict[str, str]:
    """Ours. What is not in `settings` is read as here."""
    log_file = {} if settings.log_file is None else {"AAA_LOG_FILE": str(settings.log_file)}
    return os.environ | {"AAA_HOME": str(settings.home)} | log_file
