"""The one loop that grants a play's wishes, after replaying what is already on the record.

It knows neither Ray nor database: it is given `grant` (call -> turn) and `record` (note -> None),
and whatever they promise about durability holds for the session.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aaa.checkers import grade_all
from aaa.errors import ReplayMismatch
from aaa.judges._checked import finding
from aaa.play import Batch, Play, Sent
from aaa.types import Call, Checks, CheckWish, Note, Recorded, Steps, Turn, Verdict, fingerprint

Grant = Callable[[int, Call], Awaitable[Turn]]
"""(turn index, call) -> the turn, once it is on the record."""
Record = Callable[[int, int, Note], Awaitable[None]]
"""(note index, number of turns before it, note) -> None, once it is on the record."""
CheckAll = Callable[[CheckWish], Awaitable[Checks]]
"""Wish -> a finding for each of its answers."""


async def drive(
    play: Play[object],
    grant: Grant,
    record: Record,
    past: Recorded,
    check: CheckAll = grade_all,
) -> None:
    """Play to the end. What `past` holds is not asked, not checked and not recorded again.

    Raises `ReplayMismatch` when `past` does not fit what the play asks now; what `grant`, `record`
    and the play itself raise passes through, after the rest of the batch has come home.
    """
    turns = {turn.index: turn for turn in past.turns}
    notes: dict[int, Note] = dict(enumerate(past.notes))
    checks = _checks_of(past)
    asked = noted = 0
    sent: Sent | None = None
    while True:
        try:
            wish = next(play) if sent is None else play.send(sent)
        except StopIteration:
            _nothing_left(turns, asked, notes, noted)
            return
        if isinstance(wish, Note):
            await _record_once(record, noted, asked, wish, notes)
            noted += 1
            sent = ()
        elif isinstance(wish, CheckWish):
            sent = await _check(check, wish, checks)
        else:
            sent = await _grant_batch(grant, asked, wish, turns)
            asked += len(wish)


async def _grant_batch(
    grant: Grant, first: int, batch: Batch, past: dict[int, Turn]
) -> tuple[Turn, ...]:
    """The batch's turns in order: replayed where recorded, granted together where not."""
    for index, call in enumerate(batch, first):
        if index in past and fingerprint(past[index].call) != fingerprint(call):
            was = past[index].call
            raise ReplayMismatch(
                f"turn {index} on the record is {was.purpose!r} by {was.agent!r}, "
                f"but the play now asks for {call.purpose!r} by {call.agent!r} or with other words"
            )
    missing = [i for i in range(first, first + len(batch)) if i not in past]
    answers = await asyncio.gather(
        *(grant(index, batch[index - first]) for index in missing), return_exceptions=True
    )
    for answer in answers:  # all are home: nothing in flight is lost by raising now
        if isinstance(answer, BaseException):
            raise answer
    granted = dict(zip(missing, answers, strict=True))
    return tuple(
        past[i] if i in past else _turn(granted[i]) for i in range(first, first + len(batch))
    )


def _checks_of(past: Recorded) -> dict[str, Checks]:
    """Name of checker -> what it found, from the ballots of recorded verdicts and steps."""
    checks: dict[str, Checks] = {}
    holding = (note for note in past.notes if isinstance(note, Verdict | Steps))
    cast = (ballot for note in holding for ballot in note.ballots)
    for ballot in (ballot for ballot in cast if ballot.by_checker):
        checks.setdefault(ballot.judge, {})[ballot.turn] = finding(ballot)
    return checks


async def _check(check: CheckAll, wish: CheckWish, known: dict[str, Checks]) -> Checks:
    """The wish's findings. One that goes on the record is made once a session, so it cannot change."""
    if wish.recorded_as is None:
        return await check(wish)
    found = known.setdefault(wish.recorded_as, {})
    missing = {index: text for index, text in wish.answers.items() if index not in found}
    if missing:
        found |= await check(wish.model_copy(update={"answers": missing}))
    return {index: found[index] for index in wish.answers}


def _turn(answer: Turn | BaseException) -> Turn:
    assert isinstance(answer, Turn)
    return answer


async def _record_once(
    record: Record, index: int, after: int, note: Note, past: dict[int, Note]
) -> None:
    if index not in past:
        await record(index, after, note)
    elif fingerprint(past[index]) != fingerprint(note):
        raise ReplayMismatch(
            f"note {index} on the record is {_told(past[index])}, but the play now notes {_told(note)}"
        )


def _told(note: Note) -> str:
    if isinstance(note, Verdict):
        return f"a {note.edge!r} verdict with outcome {note.outcome!r}"
    return f"{note.kind!r} {fingerprint(note)[:8]}"


def _nothing_left(turns: dict[int, Turn], asked: int, notes: dict[int, Note], noted: int) -> None:
    extra = [i for i in turns if i >= asked]
    if extra or len(notes) > noted:
        raise ReplayMismatch(
            f"the play ended after {asked} turns and {noted} notes, "
            f"but the record holds turns {sorted(extra)} and {len(notes)} notes"
        )
