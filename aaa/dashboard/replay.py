"""A finished round played again: its events at their own pace, some times faster, with a clock to match.

Long silences are shortened. Left out: where events come from, and who looks.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aaa.client import Event
from aaa.dashboard.reading import moment
from aaa.errors import InputError

LONGEST_WAIT_S = 3.0
"""Longest real time in which nothing happens."""
STEP_S = 0.05
"""How soon a change of speed is felt."""
SLOWEST, FASTEST = 0.1, 10_000.0


def read_speed(text: str) -> float:
    """`20x` or `20` as 20.0. Raises `InputError`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)x?", text.strip().lower())
    speed = float(found[1]) if found else 0.0
    if not SLOWEST <= speed <= FASTEST:
        raise InputError(f"--speed {text!r} is no speed; it looks like 20x, from 0.1x to 10000x")
    return speed


class Replay:
    """How fast, and which moment of the round it is now."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self.halted = False
        self._at: float | None = None
        """The round's moment at the last look; `None` before its first event."""
        self._looked = time.monotonic()

    def now(self) -> float:
        """The round's moment, in epoch seconds; 0 before its first event."""
        looked = time.monotonic()
        if self._at is not None and not self.halted:
            self._at += (looked - self._looked) * self.speed
        self._looked = looked
        return self._at or 0.0

    def faster(self, times: float) -> None:
        self.now()
        self.speed = min(max(self.speed * times, SLOWEST), FASTEST)

    def halt_or_go_on(self) -> None:
        self.now()
        self.halted = not self.halted

    def words(self) -> str:
        return f"replay at {self.speed:g}x" + (", halted" if self.halted else "")

    async def paced(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """The events, each when its moment has come."""
        async with aclosing(events) as arriving:
            async for event in arriving:
                at = moment(event.data, "at")
                if at is not None:
                    await self._until(at)
                yield event

    async def _until(self, at: float) -> None:
        if self._at is None:
            self._at, self._looked = at, time.monotonic()
        waited_s = 0.0
        while self.now() < at:
            await asyncio.sleep(min(STEP_S, max(0.0, (at - self.now()) / self.speed)))
            waited_s += 0.0 if self.halted else STEP_S
            if waited_s > LONGEST_WAIT_S:
                self._at = max(self.now(), at)
