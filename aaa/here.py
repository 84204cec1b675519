"""For which session the running task works: what log lines and spans tell beside their own words.

A context variable, so tasks that are started from here know it too, and no function hands it on. Nothing
that is recorded depends on it.
"""

from contextvars import ContextVar
from typing import NamedTuple


class Here(NamedTuple):
    """A session, and the call of it that is being asked."""

    round: str
    session: int
    epoch: int
    """Which claim of the session works."""
    turn: int | None = None
    """Index of the turn that a call becomes; `None`: no call of its own."""
    seat: str | None = None
    purpose: str | None = None


_here: ContextVar[Here | None] = ContextVar("here", default=None)


def work_for(
    round: str,
    session: int,
    epoch: int,
    turn: int | None = None,
    seat: str | None = None,
    purpose: str | None = None,
) -> None:
    """From now on this task, and every task it starts, works for that session."""
    _here.set(Here(round, session, epoch, turn, seat, purpose))


def here() -> Here | None:
    """What this task works for; `None` where it serves no session alone."""
    return _here.get()
