"""A round's sessions: found by status, outcome, seat, tag or words; Enter opens one, and its neighbours."""

import asyncio

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import DataTable, Input, Static

from aaa.client import SessionRow
from aaa.dashboard.feed import Feed
from aaa.dashboard.finding import read_filter
from aaa.dashboard.ink import fitted, line
from aaa.dashboard.listing import Listing
from aaa.dashboard.panels import STATUS_STYLES
from aaa.dashboard.screens import COMMON, Deed, Watching, bindings
from aaa.dashboard.session_screen import SessionScreen
from aaa.errors import AAAError

MOST = 200
"""Sessions of a page."""
LOOK_S = 5.0
"""Time between two looks at a round that runs."""
HINT = " / search (outcome:flip seat:teacher tag:x words) · Enter opens · Esc back"
PAGES_HINT = " < > pages · / search · Enter opens · Esc back"


class SessionsScreen(Watching):
    """The list, with a line to search in."""

    DEEDS = (
        Deed("slash", "search", "search: outcome:flip seat:teacher tag:x status:failed words", "/"),
        Deed("enter", "open", "the session under the cursor", "Enter"),
        Deed("greater_than_sign", "page(1)", "the next page", ">"),
        Deed("less_than_sign", "page(-1)", "the page before", "<"),
        Deed("y", "copy_id", "copy its id"),
        Deed("escape", "back", "back to the round", "Esc"),
    )
    BINDINGS = bindings(DEEDS[0], *DEEDS[2:], *COMMON)

    def __init__(self, feed: Feed) -> None:
        super().__init__()
        self._feed = feed
        self._query: dict[str, str] = {}
        self._found: list[SessionRow] = []
        self._after: list[str | None] = [None]
        """The session before each page so far; the last is the page that is shown."""
        self._more = False
        """Whether a page follows."""
        self._looking: asyncio.Task[None] | None = None
        self._now = asyncio.Event()

    def compose(self) -> ComposeResult:
        yield Static(id="head")
        yield Input(placeholder="outcome:flip seat:teacher tag:x status:failed words")
        yield Listing("session", "seed", "status", "turns", "verdicts", "message")
        yield Static(line((HINT, "dim")), id="foot")

    def on_mount(self) -> None:
        self.query_one(Listing).focus()
        self._looking = asyncio.create_task(self._look())

    def on_unmount(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        while True:
            self._now.clear()
            try:
                found = await self._feed.client.sessions(
                    self._feed.round["id"], limit=MOST + 1, after=self._after[-1], **self._query
                )
                self._more = len(found) > MOST
                self._show(found[:MOST])
            except AAAError as error:
                self._say(str(error), wrong=True)
            patience_s = None if self._feed.state.is_over else LOOK_S
            try:
                await asyncio.wait_for(self._now.wait(), patience_s)
            except TimeoutError:
                continue

    def _show(self, found: list[SessionRow]) -> None:
        table = self.query_one(Listing)
        if found != self._found or not table.row_count:
            self._found = found
            table.show({str(row["id"]): cells(row, self.size.width) for row in found})
        typed = self.query_one(Input).value.strip()
        self.query_one("#head", Static).update(
            line((" AAA ", "bold reverse"), " ", ("sessions", "bold"), f" {self._feed.round['id']}  ",
                 (self._count(), "bold"), (f"  {typed}", "cyan"))
        )  # fmt: skip
        self._say(PAGES_HINT if self._is_paged else HINT)

    @property
    def _is_paged(self) -> bool:
        return self._more or len(self._after) > 1

    def _count(self) -> str:
        """`6`, `201 to 400 of 10000`, `3 found`, `1 to 200 found, and more`."""
        number, first = len(self._found), (len(self._after) - 1) * MOST + 1
        shown = f"{first} to {first + number - 1}" if self._is_paged else f"{number}"
        if self._query:
            return f"{shown} found" + (", and more" if self._more else "")
        return f"{shown} of {self._feed.state.total}" if self._is_paged else shown

    def _say(self, words: str, *, wrong: bool = False) -> None:
        style = "bold yellow" if wrong else "dim"
        self.query_one("#foot", Static).update(line((f" ⚠ {words}" if wrong else words, style)))

    def on_input_submitted(self, submitted: Input.Submitted) -> None:
        try:
            self._query = read_filter(submitted.value)
        except AAAError as error:
            self._say(str(error), wrong=True)
            return
        self._after = [None]
        submitted.input.display = bool(self._query)
        self.set_focus(self.query_one(Listing))
        self._now.set()

    def on_data_table_row_selected(self, chosen: DataTable.RowSelected) -> None:
        ids, id_ = [str(row["id"]) for row in self._found], str(chosen.row_key.value)
        if id_ in ids:
            self.app.push_screen(SessionScreen(self._feed, ids, ids.index(id_)))

    def action_search(self) -> None:
        box = self.query_one(Input)
        box.display = True
        self.set_focus(box)  # at once: the next key is for it

    def action_page(self, by: int) -> None:
        if by > 0 and self._more:
            self._after.append(str(self._found[-1]["id"]))
            self._more = False  # until it is known: a second key waits for this page
        elif by < 0 and len(self._after) > 1:
            self._after.pop()
        else:
            self.tell("that was the last page" if by > 0 else "that was the first page")
            return
        self._now.set()

    def action_copy_id(self) -> None:
        row = self.query_one(Listing).cursor_row
        if row < len(self._found):
            self.copy(str(self._found[row]["id"]))

    def action_back(self) -> None:
        table = self.query_one(Listing)
        if table.has_focus:
            self.dismiss()
        else:
            self.set_focus(table)


def cells(row: SessionRow, width: int) -> tuple[Text, ...]:
    """A row of the list, in a table of that width."""
    status, seed = row["status"], 24 if width >= 100 else 16
    room = max(8, width - seed - 56)
    return (
        line(str(row["id"])),
        line(fitted(str(row["seed"]), seed)),
        line((status, STATUS_STYLES.get(status, ""))),
        line(str(row["turns"])),
        line(str(row["verdicts"])),
        line(fitted(f"{row['reason'] or ''} {row['message'] or ''}".replace("_", " "), room)),
    )
