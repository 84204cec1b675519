"""A process that must not outlive the one which started it."""

import contextlib
import ctypes
import signal

DEATH_SIGNAL = 1
"""`PR_SET_PDEATHSIG` of prctl(2)."""


def die_with_parent() -> None:
    """In a child, once it is forked: be killed when the parent ends (Linux; elsewhere it lives on)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)
