"""Which verdicts are battles. Every verdict is counted once."""

from array import array
from itertools import product
from typing import get_args

import pytest

from aaa.battles import Battle, Identity, Judged, Ledger, battle, players, why_not
from aaa.errors import InputError
from aaa.types import Outcome, Side


def judged(outcome: Outcome = "win", winner: Side | None = "a", **other: object) -> Judged:
    given = {"edge": "peer", "a": "anna", "b": "ben", "seed": "s1", **other}
    return Judged(outcome=outcome, winner=winner, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("outcome", "winner", "score"),
    [("win", "a", 1.0), ("win", "b", 0.0), ("tie", None, 0.5), ("flip", None, 0.5)],
)
def test_what_is_a_battle(outcome: Outcome, winner: Side | None, score: float) -> None:
    assert why_not(judged(outcome, winner)) is None
    assert battle(judged(outcome, winner)).score == score


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (judged("error", None), "error"),
        (judged("abstain", None), "abstain"),
        (judged(edge="revision"), "revision"),
        (judged(b="anna"), "same player"),
        (judged(edge="revision", b="anna"), "revision"),
    ],
)
def test_what_is_none(verdict: Judged, reason: str) -> None:
    assert why_not(verdict) == reason


def test_other_edges_count_where_they_are_asked_for() -> None:
    assert why_not(judged(edge="debate"), ("debate",)) is None
    assert why_not(judged(), ("debate",)) == "peer"


def test_every_verdict_is_counted_once() -> None:
    ledger = Ledger()
    sides: tuple[Side | None, ...] = ("a", None)
    verdicts = [
        judged(outcome, side, edge=edge, b=b)
        for outcome, side, edge, b in product(
            get_args(Outcome), sides, ("peer", "revision"), ("anna", "ben")
        )
    ]
    for verdict in verdicts:
        ledger.take(verdict)
    assert sum(ledger.outcomes.values()) == len(ledger) == 6
    assert ledger.outcomes.total() + ledger.left_out.total() == len(verdicts)
    assert ledger.outcomes == {"win": 2, "tie": 2, "flip": 2}
    assert ledger.left_out == {"revision": 20, "same player": 10, "error": 2, "abstain": 2}


def test_style_is_seen_from_a() -> None:
    assert battle(judged(texts=("long **one**", "no"))).style[0] > 0
    assert battle(judged(texts=("no", "long **one**"))).style[3] == -1
    assert battle(judged()).style == ()


def test_a_tag_that_stands_twice_counts_once() -> None:
    ledger = Ledger([Battle("x", "y", 1, "s", ("maths", "maths")), Battle("x", "y", 1, "t")])
    assert ledger.tags == {"maths": array("q", [0])}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Battle("x", "x", 1, "s"), "'x' cannot battle itself"),
        (Battle("x", "y", 2, "s"), "0, 0.5 or 1, not 2"),
        (Battle("x", "y", 1, "s", (), (0.5,)), "length, lists, headers, bold, not"),
    ],
)
def test_a_battle_that_is_none_is_refused(wrong: Battle, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Ledger([wrong])


def test_every_generation_is_a_player_of_its_own() -> None:
    cards = [
        Identity("tutor", 0, "m"),
        Identity("pupil", 0, "m"),
        Identity("pupil", 1, "m"),
        Identity("pupil", 2, "m"),
        Identity("pupil", 2, "n"),
    ]
    assert [players(cards)[card] for card in cards] == [
        "tutor",
        "pupil@0",
        "pupil@1",
        "pupil@2 (m)",
        "pupil@2 (n)",
    ]
    assert players([cards[2], cards[2]]) == {cards[2]: "pupil"}
