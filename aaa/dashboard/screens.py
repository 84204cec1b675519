"""What all screens have in common: deeds behind keys, asked questions, told words, copied ids.

Each screen lists its deeds once; key, help page and command palette come from that list. Left out: the
screens themselves.
"""

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen

from aaa.clean import one_line
from aaa.dashboard.dialogs import Ask, Confirm, Keys


class Deed(NamedTuple):
    """Something a key does."""

    key: str
    action: str
    does: str
    shown: str = ""
    """How the key is written; `""`: as it is."""


COMMON = (
    Deed("question_mark", "help", "show the keys", "?"),
    Deed("ctrl+p", "app.command_palette", "find a command by its name", "Ctrl-P"),
    Deed("q", "app.leave", "leave; rounds go on without you"),
)


def bindings(*deeds: Deed) -> list[BindingType]:
    return [Binding(deed.key, deed.action, deed.does, show=False) for deed in deeds]


class Watching(Screen[None]):
    """A screen with deeds. Its subclasses set `DEEDS`, and `BINDINGS` from it."""

    TITLE = "aaa watch"
    DEEDS: tuple[Deed, ...] = ()

    @property
    def is_seen(self) -> bool:
        """Whether it is on top, or under a question. `is_current` holds of what a page covers, too."""
        top = self.app.screen
        return top is self or (isinstance(top, ModalScreen) and self.is_current)

    def action_help(self) -> None:
        known = (*self.DEEDS, *COMMON)
        keys = [(deed.shown or deed.key, deed.does) for deed in known]
        self.app.push_screen(Keys("Keys", keys))

    def commands(self) -> list[tuple[str, str, Callable[[], Any]]]:
        """(title, help, callback) of each deed, for the palette."""
        return [
            (deed.does, f"key {deed.shown or deed.key}", self._doing(deed))
            for deed in (*self.DEEDS, *COMMON)
            if deed.action != "app.command_palette"
        ]

    def _doing(self, deed: Deed) -> Callable[[], Coroutine[Any, Any, Any]]:
        return lambda: self.run_action(deed.action)

    # For `Steering`

    async def yes(self, question: str) -> bool:
        answer: bool = await self.app.push_screen_wait(Confirm(question))
        return answer

    async def words(
        self, question: str, given: str, wrong: Callable[[str], str | None]
    ) -> str | None:
        return await self.app.push_screen_wait(Ask(question, given, wrong))

    def tell(self, words: str, wrong: bool = False) -> None:
        """Say it for a few seconds."""
        self.notify(one_line(words), severity="error" if wrong else "information", markup=False)

    def copy(self, text: str) -> None:
        """Into the clipboard, where the terminal allows it; shown in any case."""
        flat = one_line(text)
        self.app.copy_to_clipboard(flat)
        self.tell(f"copied: {flat}")
