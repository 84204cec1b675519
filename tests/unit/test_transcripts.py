"""Pairs follow from verdicts and turns; counts add up."""

import pytest

from aaa.play import rehearse
from aaa.protocols import co_teaching
from aaa.transcripts import Transcript, dropped, pair_id, pairs
from aaa.types import Judging, Recorded, Seed, Verdict
from tests.classroom import ANNA, BEN, SEED, cast, turn, user
from tests.unit.test_drive import answer

A, B = turn(0, "long answer"), turn(1, "short one")


def verdict(outcome: str = "win", winner: str | None = "a") -> Verdict:
    return Verdict.model_validate(
        {
            "edge": "revision",
            "context": user("q"),
            "a": 0,
            "b": 1,
            "outcome": outcome,
            "winner": winner,
            "judging": "pairwise",
        }
    )


def transcript(recorded: Recorded, seed: Seed = SEED, round: str = "r-1") -> Transcript:
    return Transcript(
        round=round,
        session=1,
        scenario="s",
        protocol="co_teaching",
        status="completed",
        seed=seed,
        recorded=recorded,
    )


@pytest.mark.parametrize("outcome", ["tie", "flip", "error", "abstain"])
def test_only_a_win_is_a_pair(outcome: str) -> None:
    assert pair_id(SEED, verdict(outcome, None), A, B) is None
    told = transcript(Recorded(turns=(A, B), notes=(verdict(outcome, None),)))
    assert list(pairs(told)) == []
    assert dropped(told) == {outcome: 1}


def test_chosen_is_the_winner() -> None:
    (pair,) = pairs(transcript(Recorded(turns=(A, B), notes=(verdict(winner="b"),))))
    assert (pair.chosen, pair.rejected) == (B, A)


def test_an_id_follows_from_content_alone() -> None:
    journal = Recorded(turns=(A, B), notes=(verdict(),))
    (one,), (two,) = pairs(transcript(journal)), pairs(transcript(journal, round="r-2"))
    assert one.id == two.id
    other = journal.model_copy(update={"turns": (A, turn(1, "short two"))})
    (changed,) = pairs(transcript(other))
    assert changed.id != one.id


def test_every_verdict_is_kept_or_dropped() -> None:
    judged = cast(ANNA, BEN, judging=Judging(play="logprob"))
    played = rehearse(co_teaching.play(SEED, judged, co_teaching.Options(rounds=2)), answer)
    told = transcript(played.recorded)
    assert len(list(pairs(told))) + sum(dropped(told).values()) == len(played.recorded.notes)
