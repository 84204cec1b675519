"""A round's verdicts as comparisons, and what a second look makes of them."""

from typing import Any

import pytest

from aaa.judges import compare
from aaa.play import Play, rehearse
from aaa.protocols import given
from aaa.rejudging import change, changes, comparisons
from aaa.transcripts import Transcript
from aaa.types import (
    Agent,
    Answer,
    Call,
    Cast,
    Comparison,
    Judging,
    Message,
    Outcome,
    Recorded,
    Reply,
    Seed,
    Side,
    Source,
    Verdict,
)
from tests.classroom import ANNA, BEN, SEED, cast, prefers, turn, user

DRAFT, REVISION = turn(0, "the sea"), turn(1, "scattering", agent="ben")


def verdict(outcome: Outcome, winner: Side | None = None) -> Verdict:
    context = SEED.prompt
    return Verdict(
        edge="peer", context=context, a=0, b=1, outcome=outcome, winner=winner, judging="logprob"
    )


def session(seed: Seed, *notes: Verdict, number: int = 7) -> Transcript:
    return Transcript(
        round="r1",
        session=number,
        scenario="s",
        protocol="co_teaching",
        status="completed",
        seed=seed,
        recorded=Recorded(turns=(DRAFT, REVISION), notes=notes),
    )


def test_a_verdict_becomes_a_comparison_that_says_where_it_is_from() -> None:
    first, second = comparisons(session(SEED, verdict("win", "b"), verdict("tie")), cast(ANNA, BEN))
    assert [first.id, second.id] == ["s1/0", "s1/1"]
    known = second.comparison
    assert known is not None
    assert (known.a, known.b) == (
        Answer(text="the sea", author=ANNA),
        Answer(text="scattering", author=BEN),
    )
    assert known.edge == "peer"
    assert known.source == Source(
        round="r1", session=7, verdict=1, outcome="tie", winner=None, seed="s1"
    )


def asked(play: Play[Any]) -> list[tuple[Message, ...]]:
    """What judges are asked."""
    done = rehearse(play, lambda call: "unreadable, so asked once more")
    return [t.call.messages for t in done.recorded.turns if t.call.purpose == "ballot"]


def test_a_pair_is_judged_again_in_the_same_words_however_often() -> None:
    first = asked(compare(cast(ANNA, BEN), SEED, DRAFT, REVISION, edge="peer"))
    (again,) = comparisons(session(SEED, verdict("tie")), cast(ANNA, BEN))
    (thrice,) = comparisons(session(again, verdict("tie")), cast(ANNA, BEN))
    assert (again.id, thrice.id) == ("s1/0", "s1/0/0")
    assert len(first) == 4
    for seed in (again, thrice):
        assert asked(given.play(seed, cast(), given.Options())) == first


@pytest.mark.parametrize(("edge", "outcome"), [("judgement", "win"), ("peer", "abstain")])
def test_a_judgement_may_speak_of_being_best_the_second_time_too(edge: str, outcome: str) -> None:
    said = [turn(0, "This answer is the best answer."), turn(1, "scattering", agent="ben")]
    told = session(SEED, verdict("win", "b").model_copy(update={"edge": edge}))
    recorded = told.recorded.model_copy(update={"turns": tuple(said)})
    (seed,) = comparisons(told.model_copy(update={"recorded": recorded}), cast(ANNA, BEN))
    judges = cast(judging=Judging(play="logprob"))
    done = rehearse(
        given.play(seed, judges, given.Options()),
        lambda call: prefers(call, said[1].text, said[0].text),
    )
    assert [v.outcome for v in done.recorded.verdicts] == [outcome]


@pytest.mark.parametrize("edge", ["critique", "critique_control", "principle"])
def test_nothing_is_judged_again_by_who_does_not_know_what_to_look_for(edge: str) -> None:
    told = verdict("win", "b").model_copy(update={"edge": edge})
    plain = verdict("win", "a")
    again = list(comparisons(session(SEED, told, plain), cast(ANNA, BEN)))
    assert [one.id for one in again] == ["s1/1"]


def test_a_comparison_is_of_its_seeds_family_and_knows_what_was_cut_off() -> None:
    cut = DRAFT.model_copy(update={"reply": Reply(text="the s", finish_reason="length")})
    told = session(SEED, verdict("win", "b"))
    told = told.model_copy(
        update={"recorded": told.recorded.model_copy(update={"turns": (cut, REVISION)})}
    )
    (seed,) = comparisons(told, cast(ANNA, BEN))
    assert seed.parent == SEED.id
    done = rehearse(given.play(seed, cast(), given.Options()), lambda call: "?")
    ended = [turn.reply.finish_reason for turn in done.recorded.turns[:2]]
    assert ended == ["length", "stop"]


def test_reference_checker_and_tags_go_along() -> None:
    seed = Seed(id="s2", prompt=SEED.prompt, reference="air", checker={"kind": "x"}, tags=("t",))
    (found,) = comparisons(session(seed, verdict("tie")), cast(ANNA, BEN))
    assert (found.reference, found.checker, found.tags) == ("air", {"kind": "x"}, ("t",))


def test_what_answers_the_seeds_prompt_stays_behind_at_another_question() -> None:
    seed = Seed(id="s2", prompt=SEED.prompt, reference="air", checker={"kind": "x"}, tags=("t",))
    later = (*SEED.prompt, Message(role="assistant", content="It is."), *user("And at dusk?"))
    asked = verdict("tie").model_copy(update={"context": later})
    (found,) = comparisons(session(seed, asked), cast(ANNA, BEN))
    assert found.prompt == later
    assert (found.reference, found.checker, found.tags) == (None, None, ("t",))


def test_a_debates_request_for_a_last_line_is_the_same_question() -> None:
    seed = Seed(id="s2", prompt=SEED.prompt, reference="air", checker={"kind": "x"})
    more = f"{SEED.prompt[-1].content}\n\nEnd with the answer."
    debated = verdict("tie").model_copy(update={"context": user(more), "edge": "consensus"})
    (found,) = comparisons(session(seed, debated), cast(ANNA, BEN))
    assert (found.reference, found.checker) == ("air", {"kind": "x"})


def test_authors_of_a_round_that_judged_again_are_still_known() -> None:
    known = Comparison(a=Answer(text="x", author=ANNA), b=Answer(text="y"))
    again = SEED.model_copy(update={"comparison": known})
    only_judges = Cast(seats={"judge": (Agent(name="j", family="j"),)})
    (found,) = comparisons(session(again, verdict("tie")), only_judges)
    assert found.comparison is not None
    assert found.comparison.a.author == ANNA
    assert found.comparison.b.author is None, "nobody knows a ben"


@pytest.mark.parametrize(
    ("then", "now", "expected"),
    [
        (("win", "a"), ("win", "a"), "kept"),
        (("win", "a"), ("win", "b"), "reversed"),
        (("win", "a"), ("flip", None), "lost"),
        (("win", "b"), ("abstain", None), "lost"),
        (("tie", None), ("win", "a"), "won"),
        (("flip", None), ("tie", None), "none"),
    ],
)
def test_what_became_of_a_verdict(
    then: tuple[Outcome, Side | None], now: tuple[Outcome, Side | None], expected: str
) -> None:
    source = Source(round="r", session=1, verdict=0, outcome=then[0], winner=then[1])
    assert change(source, verdict(*now)) == expected


def test_changes_add_up_and_play_through() -> None:
    """Old verdicts for the sea, a new judge for scattering: every win turns around."""
    old = [verdict("win", "a"), verdict("win", "b"), verdict("flip")]
    seeds = list(comparisons(session(SEED, *old), cast(ANNA, BEN)))
    judging = cast(judging=Judging(play="logprob"))
    jury = Cast(seats={"judge": judging["judge"]}, judging=judging.judging)

    def likes_scattering(call: Call) -> Reply:
        return prefers(call, "scattering", "the sea")

    played = [
        rehearse(given.play(seed, jury, given.Options()), likes_scattering).recorded
        for seed in seeds
    ]
    sessions = [
        session(seed).model_copy(update={"recorded": recorded})
        for seed, recorded in zip(seeds, played, strict=True)
    ]
    unfinished = sessions[0].model_copy(update={"recorded": Recorded()})
    found = changes([*sessions, unfinished, session(SEED, verdict("tie"))])
    assert (found.verdicts, found.reversed, found.kept, found.won) == (4, 1, 1, 1)
    assert found.unjudged == 1
    assert found.lost == found.none == 0
    assert found.outcomes == {"flip": {"win": 1}, "win": {"win": 2}}
