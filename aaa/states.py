"""What a round and a session can be, by the names that rows, the API and screens share."""

from typing import Literal, get_args

SessionStatus = Literal["queued", "running", "completed", "failed", "cancelled"]
RoundStatus = Literal["queued", "running", "paused", "completed", "failed", "cancelled"]
SESSION_STATUS: tuple[str, ...] = get_args(SessionStatus)
ROUND_STATUS: tuple[str, ...] = get_args(RoundStatus)
GOING = ("queued", "running")
"""Played, or to be played without anybody's doing."""
LIVE = (*GOING, "paused")
ENDED = ("completed", "failed", "cancelled")
TERMINAL_EVENTS = frozenset(f"round.{status}" for status in ENDED)
"""After one of these a round says nothing more."""
