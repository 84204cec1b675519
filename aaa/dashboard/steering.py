"""What the keys of a watched round do to it: pause, resume, cancel, budget, concurrency, over the API.

Left out: which key it was. A refusal of the API is told in its own words; nothing here raises.
"""

import math
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aaa.clean import one_line
from aaa.client import Client, Round
from aaa.errors import AAAError

Tell = Callable[[str, bool], None]
"""(words, whether something went wrong) -> None."""


class Asks(Protocol):
    """How a person is asked something."""

    async def yes(self, question: str) -> bool: ...
    async def words(
        self, question: str, given: str, wrong: Callable[[str], str | None]
    ) -> str | None: ...


class Steering:
    """One round's rudder."""

    def __init__(self, client: Client, round_id: str, asks: Asks, tell: Tell) -> None:
        self._client, self._round, self._asks, self._tell = client, round_id, asks, tell

    async def pause(self) -> bool:
        """Whether it is paused now because of this."""
        return await self._do(self._client.pause(self._round), "pauses; calls in flight come home")

    async def resume(self) -> None:
        await self._do(self._client.resume(self._round), "goes on")

    async def cancel(self) -> None:
        question = f"Cancel round {self._round} for good? What is recorded stays."
        if await self._asks.yes(question):
            await self._do(self._client.cancel(self._round), "is cancelled")

    async def budget(self, given: float | None) -> None:
        shown = "" if given is None else f"{given:.15g}"  # to the last digit: Enter takes it
        answer = await self._asks.words("Budget in dollars (empty: none)", shown, wrong_budget)
        if answer is not None:
            usd = float(answer) if answer.strip() else None
            said = "has no budget now" if usd is None else f"may spend ${usd:,.2f}"
            await self._retune({"budget_usd": usd}, said)

    async def concurrency(self, given: int | None) -> None:
        answer = await self._asks.words("Sessions at once", str(given or ""), wrong_concurrency)
        if answer is not None:
            await self._retune(
                {"concurrency": int(answer)}, f"plays {int(answer)} sessions at once"
            )

    async def _retune(self, changes: dict[str, Any], said: str) -> None:
        await self._do(self._client.retune(self._round, changes), said)

    async def _do(self, asked: Awaitable[Round], said: str) -> bool:
        try:
            await asked
        except AAAError as error:
            self._tell(one_line(str(error)), True)
            return False
        self._tell(f"round {self._round} {said}", False)
        return True


def wrong_budget(answer: str) -> str | None:
    """What is wrong with a budget in dollars; `None`: nothing."""
    if not answer.strip():
        return None
    try:
        usd = float(answer)
    except ValueError:
        return f"{answer!r} is no number of dollars"
    return None if math.isfinite(usd) and usd >= 0 else "a budget is 0 or more"


def wrong_concurrency(answer: str) -> str | None:
    """What is wrong with a number of sessions; `None`: nothing."""
    usable = answer.strip().isascii() and answer.strip().isdigit() and int(answer) >= 1
    return None if usable else f"{answer!r} is no number of sessions, from 1 on"
