"""A command in a terminal of its own: keys go in, what a person would see comes out.

A pseudo-terminal runs the command, `pyte` reads what it writes; nothing of the command is looked into.
"""

import contextlib
import fcntl
import itertools
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pyte
from rich.style import Style
from rich.text import Text

KEYS = {
    "enter": "\r", "escape": "\x1b", "up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C",
    "left": "\x1b[D", "ctrl+c": "\x03", "ctrl+p": "\x10", "space": " ", "end": "\x1b[F",
}  # fmt: skip
_MODES = re.compile(rb"\x1b\[[<>=?][0-9;]*[a-zA-Z]|\x1b\[\d*\$p|\x1bP[^\x1b]*\x1b\\")
"""Switches of keyboard and screen that pyte would print; the alternate screen is kept apart."""

Found = TypeVar("Found")


class Terminal:
    """A running command and the screen that it drew."""

    def __init__(
        self, command: Sequence[str], env: Mapping[str, str], cwd: Path, width: int, height: int
    ) -> None:
        self.screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""
        """Every byte that the command wrote."""
        self._left = b""
        self._file, inner = pty.openpty()
        self._resize(width, height)
        own = {name: value for name, value in env.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            command, env={**own, "TERM": "xterm-256color", "COLORTERM": "truecolor"}, cwd=cwd,
            stdin=inner, stdout=inner, stderr=inner, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(inner)

    def _resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self._file, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def resize(self, width: int, height: int) -> None:
        """As a person who draws the window larger."""
        self.screen.resize(height, width)
        self._resize(width, height)

    def press(self, *keys: str) -> None:
        """Type keys by name, or text as it is."""
        for key in keys:
            os.write(self._file, KEYS.get(key, key).encode())
            self.read(0.4 if key == "escape" else 0.05)  # alone, or it begins another key

    def read(self, for_s: float) -> None:
        """Take in what is written for so long, or until the command ends."""
        end = time.monotonic() + for_s
        while (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([self._file], [], [], left)
            if not ready:
                return
            try:
                found = os.read(self._file, 65536)
            except OSError:  # the command ended, its terminal is gone
                return
            if not found:
                return
            self._take(found)

    @property
    def keyboard(self) -> int:
        """The file that keys are written to."""
        return self._file

    def read_some(self, for_s: float) -> None:
        """Take in what is written for exactly so long."""
        end = time.monotonic() + for_s
        while (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([self._file], [], [], left)
            if ready:
                self._take(os.read(self._file, 65536))

    def read_raw(self, for_s: float) -> None:
        """Take what is written off the command's hands for so long, and draw none of it.

        Drawing takes longer than the command does: who takes the time must not make it wait.
        """
        end = time.monotonic() + for_s
        while (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([self._file], [], [], left)
            if not ready:
                return
            try:
                self.written += os.read(self._file, 65536)
            except OSError:  # the command ended
                return

    def _take(self, found: bytes) -> None:
        self.written += found
        whole = self._left + found
        cut = whole.rfind(b"\x1b") if b"\x1b" in whole[-32:] else len(whole)
        whole, self._left = whole[:cut], whole[cut:]
        if b"\x1b[?1049h" in whole or b"\x1b[?1049l" in whole:
            self.screen.reset()
        self._stream.feed(_MODES.sub(b"", whole))

    @property
    def text(self) -> str:
        """What stands on the screen, a line for each row; half a wide character is a cell of nothing."""
        rows = map(self._cells, range(self.screen.lines))
        return "\n".join("".join(cell.data for cell in row).rstrip() for row in rows)

    def wait_for(self, pattern: str, within_s: float = 60.0) -> "re.Match[str]":
        """The first match on the screen."""
        return self.wait_until(lambda text: re.search(pattern, text), repr(pattern), within_s)

    def wait_until(
        self, look: Callable[[str], Found | None], wanted: str, within_s: float = 60.0
    ) -> Found:
        """The first true thing seen in a screen's text. A screen is written in pieces: one that was
        read once may be half the old one, so what is to be gone is waited for as well."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            ended = self.process.poll() is not None
            self.read(0.1)
            if ended:
                self._flush()
            found = look(self.text)
            if found:
                return found
            if ended:
                raise AssertionError(f"it ended without {wanted}:\n{self.text}")
        raise AssertionError(f"waited {within_s:.0f} s in vain for {wanted} on:\n{self.text}")

    def _flush(self) -> None:
        self._stream.feed(_MODES.sub(b"", self._left))
        self._left = b""

    def end(self, within_s: float = 30.0) -> int:
        """Wait until the command ends by itself; its exit code."""
        deadline = time.monotonic() + within_s
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.1)
        self.read(0.2)
        self._flush()
        assert self.process.poll() is not None, f"it does not end:\n{self.text}"
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=10)
        os.close(self._file)

    def rich(self) -> list[Text]:
        """The screen with its styles, row by row: for pictures."""
        return [self._row(number) for number in range(self.screen.lines)]

    def _row(self, number: int) -> Text:
        text = Text(no_wrap=True)
        for style, run in itertools.groupby(self._cells(number), _style):
            text.append("".join(cell.data for cell in run), style)
        return text

    def _cells(self, number: int) -> list[pyte.screens.Char]:
        row = self.screen.buffer[number]
        return [row[place] for place in range(self.screen.columns)]


def _style(cell: pyte.screens.Char) -> Style:
    return Style(
        color=_colour(cell.fg), bgcolor=_colour(cell.bg), bold=cell.bold, italic=cell.italics,
        underline=cell.underscore, strike=cell.strikethrough, reverse=cell.reverse,
    )  # fmt: skip


_NAMES = {"brown": "yellow", "brightbrown": "bright_yellow", "bfightmagenta": "bright_magenta"}


def _colour(name: str) -> str | None:
    if name == "default":
        return None
    if re.fullmatch(r"[0-9a-f]{6}", name):
        return f"#{name}"
    return _NAMES.get(name, name.replace("bright", "bright_"))


@contextmanager
def terminal(
    command: Sequence[str], env: Mapping[str, str], cwd: Path, width: int = 80, height: int = 24
) -> Iterator[Terminal]:
    """The command in a terminal of that size; ended with everything that it started."""
    running = Terminal(command, env, cwd, width, height)
    try:
        yield running
    finally:
        running.close()
