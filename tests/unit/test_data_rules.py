"""Data rules: what a stage takes of battles, and that the rest is counted by its reason."""

from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.data_rules import Selected, dpo, reward, sft
from aaa.transcripts import Transcript
from aaa.types import Call, Outcome, Recorded, Reply, Side, Turn, Verdict
from tests.classroom import SEED


def said(index: int, agent: str, text: str = "", cut: bool = False) -> Turn:
    call = Call(seat="student", agent=agent, purpose="answer", messages=SEED.prompt)
    reply = Reply(text=text or f"{agent} {index}", finish_reason="length" if cut else "stop")
    return Turn(index=index, call=call, reply=reply)


def fought(
    a: Turn, b: Turn, outcome: Outcome = "win", winner: Side | None = "a", **more: Any
) -> Verdict:
    return Verdict(
        **{"edge": "peer", "judging": "scores", "margin": 2.0, "context": SEED.prompt} | more,
        a=a.index,
        b=b.index,
        outcome=outcome,
        winner=winner if outcome == "win" else None,
    )


def transcript(turns: list[Turn], *verdicts: Verdict) -> Transcript:
    return Transcript(
        round="r",
        session=1,
        scenario="s",
        protocol="arena",
        status="completed",
        seed=SEED,
        recorded=Recorded(turns=tuple(turns), notes=verdicts),
    )


ME, BIG, MID, SMALL = (said(i, name) for i, name in enumerate(("me", "big", "mid", "small")))
WHOLE = transcript(
    [ME, BIG, MID, SMALL],
    fought(ME, MID, winner="b", margin=3.0),
    fought(ME, BIG, winner="b", margin=5.0),
    fought(ME, SMALL, winner="a", margin=2.0),
    fought(BIG, MID, winner="a", margin=1.0),
    fought(ME, BIG, "tie"),
    fought(ME, BIG, "flip"),
    fought(ME, BIG, "error"),
    fought(ME, BIG, "abstain"),
    fought(ME, SMALL, edge="revision"),
)
NONE = {"tie": 1, "flip": 1, "error": 1, "abstain": 1, "other_edge": 1}


def texts(found: Selected) -> list[tuple[str, str]]:
    return [(pair.chosen.text, pair.rejected.text) for pair in found.kept]


def test_sft_takes_the_clearest_winner_over_the_target() -> None:
    found = sft(WHOLE, "me", 3)
    assert texts(found) == [("big 1", "me 0")]
    assert found.dropped == NONE | {"target_won": 1, "target_absent": 1, "not_best": 1}


def test_sft_can_take_every_winner_widest_margin_first() -> None:
    found = sft(WHOLE, "me", 3, per_prompt=None)
    assert texts(found) == [("big 1", "me 0"), ("mid 2", "me 0")]


def test_an_own_revision_that_won_is_learnt_where_its_edge_is_named() -> None:
    draft, better = said(0, "me"), said(1, "me")
    one = transcript([draft, better], fought(draft, better, winner="b", edge="revision"))
    assert texts(sft(one, "me", 0, edges=("revision",))) == [("me 1", "me 0")]
    assert sft(one, "me", 0).dropped == {"other_edge": 1}


@pytest.mark.parametrize(("k", "kept", "below"), [(0, 1, 0), (3, 1, 0), (3.5, 1, 1), (6, 0, 2)])
def test_k_is_the_least_gap(k: float, kept: int, below: int) -> None:
    found = sft(WHOLE, "me", k)
    assert (len(found.kept), found.dropped["gap_below"]) == (kept, below)


def test_dpo_takes_own_wins_too() -> None:
    found = dpo(WHOLE, "me", 2)
    assert texts(found) == [("mid 2", "me 0"), ("big 1", "me 0"), ("me 0", "small 3")]
    assert found.dropped == NONE | {"target_absent": 1}
    assert dpo(WHOLE, "me", 2.5).dropped["gap_below"] == 1


def test_reward_takes_every_decided_battle_with_its_margin() -> None:
    found = reward(WHOLE)
    assert [pair.verdict.margin for pair in found.kept] == [3.0, 5.0, 2.0, 1.0]
    assert found.dropped == NONE


def test_a_win_without_a_margin_passes_only_where_none_is_asked() -> None:
    plain = transcript([ME, BIG], fought(ME, BIG, winner="b", margin=None))
    assert len(sft(plain, "me", 0).kept) == len(dpo(plain, "me", 0).kept) == 1
    assert sft(plain, "me", 1).dropped == dpo(plain, "me", 1).dropped == {"no_margin": 1}
    assert len(reward(plain).kept) == 1


def test_who_learns_from_a_cut_off_answer_is_said() -> None:
    cut = said(1, "big", cut=True)
    one = transcript([ME, cut], fought(ME, cut, winner="b"))
    assert sft(one, "me", 1).dropped == dpo(one, "me", 1).dropped == {"cut_off": 1}
    assert len(sft(one, "me", 1, cut_off=True).kept) == len(reward(one).kept) == 1
    other = transcript([ME, cut], fought(ME, cut, winner="a"))
    assert len(dpo(other, "me", 1).kept) == 1  # a rejected answer may be cut off


def test_the_same_words_of_two_opponents_count_once() -> None:
    one, two = said(1, "big", "42"), said(2, "mid", "42")
    both = transcript([ME, one, two], fought(ME, one, winner="b"), fought(ME, two, winner="b"))
    for found in (sft(both, "me", 1, per_prompt=None), dpo(both, "me", 1), reward(both)):
        assert len(found.kept) == 1
        assert found.dropped == {"duplicate": 1}


def test_other_edges_can_be_named() -> None:
    assert len(dpo(WHOLE, "me", 0, edges=("revision",)).kept) == 1


def test_an_empty_transcript_gives_nothing() -> None:
    for found in (sft(transcript([]), "me", 1), dpo(transcript([]), "me", 1)):
        assert found == Selected((), found.dropped)
        assert not found.dropped


OUTCOMES: tuple[Outcome, ...] = ("win", "tie", "flip", "error", "abstain")


@given(
    st.lists(
        st.tuples(
            st.permutations(["me", "big", "mid"]),
            st.sampled_from(OUTCOMES),
            st.sampled_from(("a", "b")),
            st.sampled_from(("peer", "revision")),
            st.sampled_from((None, 0.0, 1.0, 2.5)),
            st.sampled_from(("", "the same")),
            st.booleans(),
        ),
        max_size=12,
    ),
    st.sampled_from((0.0, 1.0, 2.0)),
)
def test_every_verdict_is_kept_or_counted(fights: list[Any], k: float) -> None:
    number = count()
    turns, verdicts = [], []
    for names, outcome, winner, edge, margin, text, cut in fights:
        a, b = (said(next(number), name, text and f"{text} {name}", cut) for name in names[:2])
        turns += [a, b]
        verdicts.append(fought(a, b, outcome, winner, edge=edge, margin=margin))
    whole = transcript(turns, *verdicts)
    for found in (sft(whole, "me", k), dpo(whole, "me", k), reward(whole)):
        assert len(found.kept) + found.dropped.total() == len(verdicts)
        assert all(n > 0 for n in found.dropped.values())
    assert all(pair.chosen.call.agent != "me" for pair in sft(whole, "me", k).kept)
    assert all(
        (pair.verdict.margin or 0) >= k for rule in (sft, dpo) for pair in rule(whole, "me", k).kept
    )
