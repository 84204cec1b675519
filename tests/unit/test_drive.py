"""Driving: what is on record is replayed, what is missing is asked, what does not fit is refused."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.drive import drive
from aaa.errors import ModelError, ReplayMismatch
from aaa.play import Play, rehearse
from aaa.protocols import co_teaching
from aaa.types import AnyNote, Call, ChoiceShape, Judging, Note, Recorded, Reply, Turn, Verdict
from tests.classroom import ANNA, BEN, SEED, cast

CAST = cast(ANNA, BEN, judging=Judging(play="logprob"))


def session() -> Play[None]:
    return co_teaching.play(SEED, CAST, co_teaching.Options(rounds=2))


def answer(call: Call) -> Reply:
    """Depends on the call alone, as a deterministic model would."""
    if isinstance(call.shape, ChoiceShape):
        lead = (len(call.messages[-1].content) % 7 - 3) / 2
        return Reply(text="A", choice_logprobs={"A": lead, "B": 0.0})
    return Reply(text=f"{call.agent} says {len(str(call.messages))} to {call.purpose}")


WHOLE = rehearse(session(), answer).recorded


class Journal:
    """Grants and records in memory, and counts what was asked."""

    def __init__(self, past: Recorded) -> None:
        self.turns = {t.index: t for t in past.turns}
        self.notes: list[AnyNote] = list(past.notes)
        self.asked: list[int] = []

    async def grant(self, index: int, call: Call) -> Turn:
        await asyncio.sleep(0)
        self.asked.append(index)
        self.turns[index] = Turn(index=index, call=call, reply=answer(call))
        return self.turns[index]

    async def record(self, index: int, after: int, note: Note) -> None:
        assert index == len(self.notes)
        assert after <= len(self.turns)
        assert isinstance(note, Verdict)
        self.notes.append(note)

    def recorded(self) -> Recorded:
        turns = tuple(self.turns[i] for i in sorted(self.turns))
        return Recorded(turns=turns, notes=tuple(self.notes))


async def test_from_nothing_everything_is_asked_once() -> None:
    journal = Journal(Recorded())
    await drive(session(), journal.grant, journal.record, Recorded())
    assert journal.recorded() == WHOLE
    assert sorted(journal.asked) == [t.index for t in WHOLE.turns]


@given(cut=st.integers(0, len(WHOLE.turns)), lost=st.sets(st.integers(0, 40), max_size=3))
def test_resuming_anywhere_asks_only_what_is_missing(cut: int, lost: set[int]) -> None:
    batches = rehearse(session(), answer).batches
    start = 0
    for size in batches:  # the batch that was being asked may have gaps, no earlier one
        if start + size > cut:
            break
        start += size
    kept = tuple(
        t for t in WHOLE.turns if t.index < cut and not (t.index >= start and t.index in lost)
    )
    past = Recorded(turns=kept, notes=())
    journal = Journal(past)
    asyncio.run(drive(session(), journal.grant, journal.record, past))
    assert journal.recorded() == WHOLE
    assert set(journal.asked) == {t.index for t in WHOLE.turns} - {t.index for t in kept}


async def test_a_finished_record_asks_nothing() -> None:
    journal = Journal(WHOLE)
    await drive(session(), journal.grant, journal.record, WHOLE)
    assert journal.asked == []


async def test_another_call_than_recorded_is_refused() -> None:
    first = WHOLE.turns[0]
    other = first.model_copy(update={"call": first.call.model_copy(update={"purpose": "joke"})})
    past = Recorded(turns=(other, *WHOLE.turns[1:]), notes=WHOLE.notes)
    journal = Journal(past)
    with pytest.raises(ReplayMismatch, match=r"turn 0 .* 'joke' by 'anna'"):
        await drive(session(), journal.grant, journal.record, past)
    assert journal.asked == []


async def test_another_verdict_than_recorded_is_refused() -> None:
    first = WHOLE.notes[0]
    other = first.model_copy(update={"outcome": "flip", "winner": None})
    past = Recorded(turns=WHOLE.turns, notes=(other, *WHOLE.notes[1:]))
    journal = Journal(past)
    with pytest.raises(ReplayMismatch, match="note 0 on the record"):
        await drive(session(), journal.grant, journal.record, past)


async def test_turns_left_over_are_refused() -> None:
    extra = WHOLE.turns[-1].model_copy(update={"index": len(WHOLE.turns)})
    past = Recorded(turns=(*WHOLE.turns, extra), notes=WHOLE.notes)
    journal = Journal(past)
    with pytest.raises(ReplayMismatch, match="the play ended after"):
        await drive(session(), journal.grant, journal.record, past)


async def test_an_error_waits_for_the_rest_of_its_batch() -> None:
    home: list[int] = []

    async def grant(index: int, call: Call) -> Turn:
        if index == 0:
            raise ModelError("auth", "no key")
        await asyncio.sleep(0.01)
        home.append(index)
        return Turn(index=index, call=call, reply=answer(call))

    with pytest.raises(ModelError, match="no key"):
        await drive(session(), grant, Journal(Recorded()).record, Recorded())
    assert home == [1]
