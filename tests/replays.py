"""A session cut off anywhere and driven on: it must end as it did, and ask only what is missing."""

from collections.abc import Callable

from aaa.checkers import grade_all
from aaa.drive import drive
from aaa.play import Play
from aaa.types import AnyNote, Call, Note, Recorded, Reply, Turn

Answer = Callable[[Call], str | Reply | Turn]
"""Depends on the call alone, as a deterministic model would."""


class _Table:
    """Grants and records in memory, and counts what was asked."""

    def __init__(self, answer: Answer, past: Recorded) -> None:
        self._answer = answer
        self.turns = {turn.index: turn for turn in past.turns}
        self.notes: list[AnyNote] = list(past.notes)
        self.after: list[int] = []
        self.asked: list[int] = []

    async def grant(self, index: int, call: Call) -> Turn:
        self.asked.append(index)
        said = self._answer(call)
        if isinstance(said, Turn):
            turn = said.model_copy(update={"index": index, "call": call})
        else:
            reply = said if isinstance(said, Reply) else Reply(text=said)
            turn = Turn(index=index, call=call, reply=reply)
        self.turns[index] = turn
        return turn

    async def record(self, index: int, after: int, note: Note) -> None:
        assert index == len(self.notes)
        self.notes.append(note)  # type: ignore[arg-type]
        self.after.append(after)

    def recorded(self) -> Recorded:
        turns = tuple(self.turns[index] for index in sorted(self.turns))
        return Recorded(turns=turns, notes=tuple(self.notes))


async def cut_anywhere(session: Callable[[], Play[None]], answer: Answer) -> Recorded:
    """The whole session; asserts that it is the same after each turn and each note it may be cut at."""
    first = _Table(answer, Recorded())
    await drive(session(), first.grant, first.record, Recorded(), grade_all)
    whole = first.recorded()
    cuts = [(cut, sum(after < cut for after in first.after)) for cut in range(len(whole.turns) + 1)]
    cuts += [(len(whole.turns), kept) for kept in range(cuts[-1][1], len(whole.notes) + 1)]
    for turns, notes in cuts:
        past = Recorded(turns=whole.turns[:turns], notes=whole.notes[:notes])
        table = _Table(answer, past)
        await drive(session(), table.grant, table.record, past, grade_all)
        assert table.recorded() == whole
        assert sorted(table.asked) == list(range(turns, len(whole.turns)))
    return whole
