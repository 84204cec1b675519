"""For the tests of protocols: a session cut off anywhere goes on to the same end, asking what is missing."""

import asyncio
from collections.abc import Callable, Sequence

from aaa.checkers import grade
from aaa.drive import drive
from aaa.play import Play, Rehearsal, newest_passes, rehearse
from aaa.types import AnyNote, Call, Checks, CheckWish, Note, Recorded, Reply, Turn

Answer = Callable[[Call], str | Reply | Turn]
"""Call -> what is said, or the whole turn where it is refused; depends on the call alone."""
Checking = Callable[[CheckWish], Checks]


def by_checkers(wish: CheckWish) -> Checks:
    """What the checkers really find."""
    return {index: grade(wish.checker, text) for index, text in wish.answers.items()}


def resumes(
    session: Callable[[], Play[object]], answer: Answer, check: Checking = newest_passes
) -> Rehearsal:
    """Play it twice alike, then go on from every length of its record; the whole rehearsal.

    The record is cut after each turn, with the notes made until then or with none; within a batch, where an
    earlier turn of it may be missing; and at the end, after each note.
    """
    whole = rehearse(session(), answer, check=check)
    assert rehearse(session(), answer, check=check) == whole
    table = _Table(answer, check, Recorded(), False)
    assert table.driven(session()) == whole.recorded
    turns, notes = whole.recorded.turns, whole.recorded.notes
    starts = [start for size, start in _batches(whole) for _ in range(size)] + [len(turns)]
    cuts: list[tuple[Sequence[Turn], int]] = []
    for cut, start in enumerate(starts):
        made = sum(after <= start and after < cut for after in table.after)
        cuts += [(turns[:cut], 0), (turns[:cut], made)]
        if cut > start:
            cuts.append(((*turns[:start], *turns[start + 1 : cut]), made))
    cuts += [(turns, kept) for kept in range(len(notes) + 1)]
    for kept_turns, kept in cuts:
        past = Recorded(turns=tuple(kept_turns), notes=notes[:kept])
        again = _Table(answer, check, past, past == whole.recorded)
        assert again.driven(session()) == whole.recorded, (len(kept_turns), kept)
    return whole


def _batches(whole: Rehearsal) -> list[tuple[int, int]]:
    """(size, how many turns there were before) of each batch."""
    found, before = [], 0
    for size in whole.batches:
        found.append((size, before))
        before += size
    return found


class _Table:
    """Grants and records in memory."""

    def __init__(self, answer: Answer, check: Checking, past: Recorded, complete: bool) -> None:
        """`complete`: everything is on record, so nothing may be checked again."""
        self._answer, self._check, self._past, self._complete = answer, check, past, complete
        self.turns = {turn.index: turn for turn in past.turns}
        self.notes: list[AnyNote] = list(past.notes)
        self.after: list[int] = []
        """For each note that was made here, how many turns there were."""

    def driven(self, play: Play[object]) -> Recorded:
        """What is on record at the end."""
        asyncio.run(drive(play, self._grant, self._record, self._past, self._checked))
        turns = tuple(self.turns[index] for index in sorted(self.turns))
        return Recorded(turns=turns, notes=tuple(self.notes))

    async def _grant(self, index: int, call: Call) -> Turn:
        assert index not in self.turns, f"turn {index} was asked again"
        said = self._answer(call) if call.given is None else call.given
        if isinstance(said, Turn):
            turn = said.model_copy(update={"index": index, "call": call})
        else:
            reply = said if isinstance(said, Reply) else Reply(text=said, model="rehearsal")
            turn = Turn(index=index, call=call, reply=reply)
        self.turns[index] = turn
        return turn

    async def _record(self, index: int, after: int, note: Note) -> None:
        assert index == len(self.notes), f"note {index} was made again"
        assert after <= len(self.turns)
        self.notes.append(Recorded.model_validate({"notes": [note.model_dump()]}).notes[0])
        self.after.append(after)

    async def _checked(self, wish: CheckWish) -> Checks:
        assert wish.recorded_as is None or not self._complete, "checked again"
        return self._check(wish)
