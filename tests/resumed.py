"""A play's session cut off anywhere and driven on: what every protocol must stand."""

import asyncio
from collections.abc import Callable

from aaa.drive import drive
from aaa.play import Play, rehearse
from aaa.types import Call, Note, Recorded, Reply, Turn

Answer = Callable[[Call], Reply | Turn]
"""Call -> reply, or the whole turn where it is refused; depends on the call alone."""


def assert_resumes_anywhere(session: Callable[[], Play[None]], answer: Answer) -> Recorded:
    """Played twice it is the same; driven on from each length of its record it ends the same.

    A turn of the batch that was being asked may be missing as well. Returns the whole record.
    """
    whole = rehearse(session(), answer)
    assert rehearse(session(), answer) == whole
    starts, begun = [], 0
    for size in whole.batches:
        starts += [begun] * size
        begun += size
    for cut, start in enumerate([*starts, begun]):
        kept = whole.recorded.turns[:cut]
        _assert_ends_alike(session, answer, kept, whole.recorded)
        if cut > start:
            _assert_ends_alike(session, answer, (*kept[:start], *kept[start + 1 :]), whole.recorded)
    _assert_ends_alike(session, answer, whole.recorded.turns, whole.recorded, whole.recorded.notes)
    return whole.recorded


def _assert_ends_alike(
    session: Callable[[], Play[None]],
    answer: Answer,
    kept: tuple[Turn, ...],
    whole: Recorded,
    notes: tuple[Note, ...] = (),
) -> None:
    turns = {turn.index: turn for turn in kept}
    made: list[Note] = list(notes)

    async def grant(index: int, call: Call) -> Turn:
        assert index not in turns, "asked again"
        said = call.given or answer(call)
        if isinstance(said, Turn):
            turns[index] = said.model_copy(update={"index": index})
        else:
            turns[index] = Turn(index=index, call=call, reply=said)
        return turns[index]

    async def record(index: int, after: int, note: Note) -> None:
        assert (index, after <= len(turns)) == (len(made), True)
        made.append(note)

    past = Recorded.model_validate({"turns": kept, "notes": notes})
    asyncio.run(drive(session(), grant, record, past))
    assert tuple(turns[index] for index in sorted(turns)) == whole.turns
    assert tuple(made) == whole.notes
