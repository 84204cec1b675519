"""The list of rounds, newest first; Enter opens one."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import DataTable, Static

from aaa.client import Client, Round
from aaa.dashboard.feed import NOBODY_DRIVES
from aaa.dashboard.ink import dollars, line
from aaa.dashboard.listing import Listing
from aaa.dashboard.panels import STATUS_STYLES
from aaa.dashboard.screens import COMMON, Deed, Watching, bindings
from aaa.errors import AAAError
from aaa.states import GOING

NEWEST = 100
"""Rounds that are listed."""
LOOK_S = 2.0


class RoundsScreen(Watching):
    """Rounds with how far they are; looked at again every two seconds."""

    DEEDS = (Deed("enter", "open", "watch the round under the cursor", "Enter"),)
    BINDINGS = bindings(*COMMON)

    def __init__(self, client: Client, opened: Callable[[Round], None]) -> None:
        super().__init__()
        self._client, self._opened = client, opened
        self._rounds: dict[str, Round] = {}
        self._looking: asyncio.Task[None] | None = None
        self._now = asyncio.Event()

    def compose(self) -> ComposeResult:
        yield Static(line((" AAA ", "bold reverse"), " ", ("rounds", "bold"), "  newest first"))
        yield Listing("round", "status", "sessions", "pairs", "spent", "created", "scenario")
        yield Static(line((" Enter opens · ? keys · q leaves", "dim")), id="foot")

    def on_mount(self) -> None:
        self._looking = asyncio.create_task(self._look())

    def on_unmount(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

    def on_screen_resume(self) -> None:
        self._now.set()  # it was not asked for while another page covered it

    async def _look(self) -> None:
        while True:
            self._now.clear()
            if self.is_seen:
                try:
                    found = await self._client.rounds(NEWEST)
                    self._show(found)
                    if any(one["status"] in GOING for one in found):
                        await self._ask_who_drives()
                except AAAError as error:
                    self._say(str(error))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._now.wait(), LOOK_S)

    async def _ask_who_drives(self) -> None:
        if not await self._client.ready():
            self._say(NOBODY_DRIVES)

    def _say(self, words: str) -> None:
        self.query_one("#foot", Static).update(line((f" ⚠ {words}", "bold yellow")))

    def _show(self, rounds: list[Round]) -> None:
        self._rounds = {round["id"]: round for round in rounds}
        self.query_one(Listing).show({id_: cells(one) for id_, one in self._rounds.items()})
        self.query_one("#foot", Static).update(
            line((" Enter opens · ? keys · q leaves" if rounds else " no round yet", "dim"))
        )

    def on_data_table_row_selected(self, chosen: DataTable.RowSelected) -> None:
        round = self._rounds.get(str(chosen.row_key.value))
        if round is not None:
            self._opened(round)


def cells(round: Round) -> tuple[Text, ...]:
    """A row of the list."""
    sessions, status = round["sessions"], round["status"]
    return (
        line((round["id"], "bold")),
        line((status, STATUS_STYLES.get(status, ""))),
        line(f"{sessions['completed'] + sessions['failed']}/{sessions['total']}"),
        line(str(round["pairs"])),
        line(dollars(round["spent_usd"])),
        line(str(round["created_at"])[5:16].replace("T", " ")),
        line(round["scenario"]),
    )
