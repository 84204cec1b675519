"""Esc is told from the beginning of another key when the wait for the rest is over, and not later."""

import os
import selectors
import threading
from typing import Any

import pytest
from textual.drivers import linux_driver

from aaa.dashboard import keyboard


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """What Textual's reader waits for at most, in seconds, time after time."""
    monkeypatch.setitem(vars(linux_driver), "selectors", selectors)  # is put back
    monkeypatch.setattr(keyboard, "SOON_S", 0.03)
    monkeypatch.setattr("textual.constants.ESCAPE_DELAY", 0.02)
    seen: list[float | None] = []
    plain = selectors.SelectSelector.select

    def select(self: Any, timeout: float | None = None) -> Any:
        seen.append(timeout)
        return plain(self, timeout)

    monkeypatch.setattr(selectors.SelectSelector, "select", select)
    return seen


def test_esc_is_taken_for_itself_once_nothing_followed(waits: list[float | None]) -> None:
    """Textual's own reader, on a pipe for a terminal."""
    keyboard.listen_closely()
    source, keys = os.pipe()
    driver = linux_driver.LinuxDriver.__new__(linux_driver.LinuxDriver)
    driver.fileno, driver.exit_event, driver._debug = source, threading.Event(), False
    heard: list[str] = []

    def hear(message: Any) -> None:
        heard.append(message.key)
        if len(heard) == 3:
            driver.exit_event.set()
        elif len(heard) == 2:
            os.write(keys, b"\x1b[A")

    driver.process_message = hear  # type: ignore[method-assign]
    os.write(keys, b"x\x1b")
    reader = threading.Thread(target=driver.run_input_thread, daemon=True)
    reader.start()
    reader.join(60)
    os.close(source)
    os.close(keys)
    assert heard == ["x", "escape", "up"]
    assert waits[:3] == [0.1, 0.03, 0.1]


def test_nothing_is_awaited_where_nobody_said_how_long(waits: list[float | None]) -> None:
    source, keys = os.pipe()
    soon = keyboard.Soon()
    soon.register(source, selectors.EVENT_READ)
    os.write(keys, b"x")
    assert soon.select()
    os.read(source, 1)
    assert not soon.select()
    assert waits == [None, 0.03]
    soon.close()
    os.close(source)
    os.close(keys)
