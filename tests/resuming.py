"""Replay, for the tests of protocols: a session cut after any wish goes on to the same end."""

import asyncio
from collections.abc import Callable
from itertools import accumulate

from aaa.drive import drive
from aaa.play import Play, Rehearsal, newest_passes, rehearse
from aaa.types import AnyNote, Call, Checks, CheckWish, Note, Recorded, Reply, Turn

Answer = Callable[[Call], str | Reply | Turn]
Checking = Callable[[CheckWish], Checks]


def resumes(
    session: Callable[[], Play[object]], answer: Answer, check: Checking = newest_passes
) -> Rehearsal:
    """Play it twice alike, then resume it from a record of every length; the whole rehearsal.

    `answer` may depend on the call alone.
    """
    whole = rehearse(session(), answer, check=check)
    assert rehearse(session(), answer, check=check) == whole
    for cut in {0, *accumulate(whole.batches), *range(len(whole.recorded.turns) + 1)}:
        assert _resumed(session(), answer, check, whole.recorded, cut) == whole.recorded, cut
    return whole


def _resumed(
    play: Play[object], answer: Answer, check: Checking, whole: Recorded, cut: int
) -> Recorded:
    """What is on record at the end, from the first `cut` turns and the notes that they led to."""
    turns = {turn.index: turn for turn in whole.turns if turn.index < cut}
    notes: list[AnyNote] = []
    if cut == len(whole.turns):
        notes = list(whole.notes)

    async def grant(index: int, call: Call) -> Turn:
        assert index not in turns, f"turn {index} was asked again"
        said = answer(call) if call.given is None else call.given
        if isinstance(said, Turn):
            turns[index] = said.model_copy(update={"index": index, "call": call})
        else:
            reply = said if isinstance(said, Reply) else Reply(text=said, model="rehearsal")
            turns[index] = Turn(index=index, call=call, reply=reply)
        return turns[index]

    async def record(index: int, after: int, note: Note) -> None:
        assert index == len(notes)
        assert after <= len(turns)
        notes.append(Recorded.model_validate({"notes": [note.model_dump()]}).notes[0])

    async def checked(wish: CheckWish) -> Checks:
        assert cut < len(whole.turns) or wish.recorded_as is None, "checked again"
        return check(wish)

    past = Recorded(turns=tuple(turns[i] for i in sorted(turns)), notes=tuple(notes))
    asyncio.run(drive(play, grant, record, past, checked))
    return Recorded(turns=tuple(turns[i] for i in sorted(turns)), notes=tuple(notes))
