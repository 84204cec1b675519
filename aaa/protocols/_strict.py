"""Replies in JSON that a protocol must be able to read: asked as one batch, once more where unreadable.

What cannot be read the second time is said to be so, never guessed at; what the provider refused for good is
not asked again. Left out: ballots about two answers, which are `judges`' own business.
"""

from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

from aaa.judges._written import LONGEST_ERROR, Unreadable, once_more
from aaa.play import Play, try_all
from aaa.prompts import prompts_beside
from aaa.types import Call, Turn

PROMPTS = prompts_beside(__file__)
T = TypeVar("T")


class Heard(NamedTuple, Generic[T]):
    """What was read in a reply."""

    turn: Turn
    """The last that was asked."""
    value: T | None
    """`None`: refused, or unreadable twice."""
    why: str
    """Why there is no value."""


def hear(calls: Iterable[Call], read: Callable[[Turn], T]) -> Play[tuple[Heard[T], ...]]:
    """What is read in the reply to each call, in their order. `read` raises `Unreadable`."""
    asked = tuple(calls)
    turns = yield from try_all(asked)
    heard = [_heard(turn, read) for turn in turns]
    unread = [n for n, one in enumerate(heard) if one.value is None and one.turn.failure is None]
    again = yield from try_all(once_more(asked[n], PROMPTS.fill("again")) for n in unread)
    for n, turn in zip(unread, again, strict=True):
        heard[n] = _heard(turn, read)
    return tuple(heard)


def _heard(turn: Turn, read: Callable[[Turn], T]) -> Heard[T]:
    if turn.failure is not None:
        return Heard(turn, None, f"{turn.failure.kind}: {turn.failure.message}")
    try:
        return Heard(turn, read(turn), "")
    except Unreadable as problem:
        return Heard(turn, None, str(problem).removeprefix("not a verdict: ")[:LONGEST_ERROR])
