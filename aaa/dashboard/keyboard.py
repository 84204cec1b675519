"""Esc, heard as soon as it can be told from the beginning of another key.

Other keys send several characters, Esc first, so Textual waits for the rest of them (`ESCDELAY`). Its reader
(8.2) looks whether that time is over only when something was read or 100 ms have passed, and Esc would take
so long whatever the delay is. Here it looks again as soon as the time is over. Left out: Windows, where
Textual reads keys otherwise.
"""

import selectors
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from textual.constants import ESCAPE_DELAY

SOON_S = ESCAPE_DELAY + 0.002


class Soon(selectors.SelectSelector):
    """After something was read it comes back soon, whether more was or not."""

    _read = False

    def select(self, timeout: float | None = None) -> Any:
        """As `SelectSelector.select`."""
        if self._read:
            timeout = SOON_S if timeout is None else min(timeout, SOON_S)
        found = super().select(timeout)
        self._read = bool(found)
        return found


def listen_closely() -> None:
    """Have Textual's reader use it."""
    with suppress(ImportError):
        from textual.drivers import linux_driver

        own = SimpleNamespace(**vars(selectors) | {"SelectSelector": Soon})
        vars(linux_driver)["selectors"] = own
