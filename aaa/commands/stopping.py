"""What SIGINT and SIGTERM do to a command that runs on: the first asks it to stop."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Iterator

from aaa.errors import Conflict

STOPPED = 4
"""Exit code of a command that was stopped, or stops at a pause, before its round has ended."""


async def held(pause: Awaitable[object]) -> None:
    """Pause what was stopped, unless it has ended or is paused: else the next supervisor went on with it."""
    with contextlib.suppress(Conflict):
        await pause


@contextlib.contextmanager
def stopping(stop: asyncio.Event) -> Iterator[None]:
    """SIGINT and SIGTERM set `stop`; a second one interrupts as usual."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def asked() -> None:
        stop.set()
        for number in signals:
            loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, asked)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
