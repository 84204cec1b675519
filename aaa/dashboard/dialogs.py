"""Questions over the screen: yes or no, a number, and the page of keys.

Left out: what becomes of the answer. Words of others go through `line`, never as markup.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Key
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, Static

from aaa.dashboard.ink import line
from aaa.dashboard.picture import Picture

STYLE = """
Confirm, Ask { align: center middle; background: transparent; }
Confirm > Vertical, Ask > Vertical {
    width: auto; max-width: 90%; height: auto; max-height: 95%; padding: 1 2;
    border: round ansi_cyan;
}
Confirm Static, Ask Static { width: auto; height: auto; max-width: 100%; }
Ask Input { width: 40; margin-top: 1; }
"""
"""Part of the application's: a screen that brings its own is slow to come the first time."""


class Confirm(ModalScreen[bool]):
    """A question that `y` answers with yes, anything else with no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "dismiss(True)"),
        Binding("n,escape,q,enter", "dismiss(False)"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(line((self._question, "bold")))
            yield Static(line(("y", "bold"), " yes   ", ("n", "bold"), " no"))


class Ask(ModalScreen[str | None]):
    """A question with an answer to type; `None`: it was left."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)")]

    def __init__(self, question: str, given: str, wrong: Callable[[str], str | None]) -> None:
        """`wrong` says what is wrong with an answer, in words; `None`: nothing."""
        super().__init__()
        self._question, self._given, self._wrong = question, given, wrong

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Static(line((self._question, "bold")))
            yield Input(self._given)
            yield Static(line(("Enter takes it, Escape leaves it", "dim")), id="told")

    def on_input_submitted(self, submitted: Input.Submitted) -> None:
        wrong = self._wrong(submitted.value)
        if wrong is None:
            self.dismiss(submitted.value)
        else:
            self.query_one("#told", Static).update(line((wrong, "bold red")))


class Keys(Screen[None]):
    """What the keys do; any key closes it. A page of its own: over another it is drawn twice as slowly."""

    AUTO_FOCUS = ""

    def __init__(self, title: str, keys: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        told = (line((f"{key:>10}", "bold cyan"), f"  {does}") for key, does in keys)
        self._rows = [
            line((f" {title}", "bold")),
            line(),
            *told,
            line(),
            line((" any key goes back", "dim")),
        ]

    def compose(self) -> ComposeResult:
        yield Picture()

    def on_mount(self) -> None:
        self.query_one(Picture).show(self._rows)

    def on_key(self, pressed: Key) -> None:
        pressed.stop()  # it is no key of the screen below
        pressed.prevent_default()
        self.dismiss(None)
