"""Ratings with intervals: covers what was planted, and says clearly what data cannot tell."""

import math

import numpy as np
import pytest

from aaa.battles import Battle, Ledger
from aaa.board import Board, Method, Rating
from aaa.errors import InputError, NotFound
from aaa.ratings import (
    FEW_SEEDS,
    POINTS,
    battles_to_separate,
    percentile_interval,
    rate,
    report,
)
from tests.tournaments import tournament


def fought(a: str, b: str, score: float, seeds: int, tag: str = "all") -> list[Battle]:
    """The same battle on so many seeds."""
    return [Battle(a, b, score, f"{a}{b}{score}{n}", (tag,)) for n in range(seeds)]


def board(*battles: list[Battle], tag: str | None = None, **method: object) -> Board:
    ledger = Ledger(one for some in battles for one in some)
    return rate(ledger, Method.model_validate(method), tag)


def of(found: Board, player: str) -> Rating:
    return next(rating for rating in found.ratings if rating.player == player)


MIXED = fought("anna", "ben", 1, 60) + fought("anna", "ben", 0, 30) + fought("ben", "cem", 1, 25)
MIXED += fought("ben", "cem", 0, 25) + fought("anna", "cem", 0.5, 10)


def test_the_mean_is_1000_and_400_points_are_10_to_1() -> None:
    found = board(fought("anna", "ben", 1, 1000), fought("anna", "ben", 0, 100), ridge=1e-6)
    assert sum(r.rating for r in found.ratings) == pytest.approx(2000)
    assert found.matchups[0].difference == pytest.approx(400, abs=0.01)
    assert found.matchups[0].expected == pytest.approx(10 / 11, abs=1e-5)


def test_an_anchor_sets_the_scale() -> None:
    free, fixed = board(MIXED), board(MIXED, anchor="cem", anchor_value=1114)
    cem = of(fixed, "cem")
    assert (cem.low, cem.rating, cem.high) == (1114, 1114, 1114)
    shift = 1114 - of(free, "cem").rating
    assert of(fixed, "anna").rating == pytest.approx(of(free, "anna").rating + shift)
    assert fixed.anchor == "cem"


def test_ties_are_half_a_win() -> None:
    halves = board(fought("anna", "ben", 0.5, 40), fought("ben", "cem", 1, 9), replicates=0)
    wins = board(
        fought("anna", "ben", 1, 20),
        fought("anna", "ben", 0, 20),
        fought("ben", "cem", 1, 9),
        replicates=0,
    )
    for player in ("anna", "ben", "cem"):
        assert of(halves, player).rating == pytest.approx(of(wins, player).rating)
    assert of(halves, "anna").ties == 40


def test_the_same_battles_give_the_same_board() -> None:
    assert board(MIXED) == board(MIXED)
    assert board(MIXED) != board(MIXED, random_seed=1)


def test_the_order_of_battles_does_not_matter_to_ratings() -> None:
    for player in ("anna", "ben", "cem"):
        there, back = of(board(MIXED), player), of(board(MIXED[::-1]), player)
        assert there.rating == pytest.approx(back.rating)
        assert (there.wins, there.seeds) == (back.wins, back.seeds)


def test_counts_and_the_win_matrix_add_up() -> None:
    found = board(MIXED)
    assert found.battles == len(MIXED) == 150
    assert sum(r.wins for r in found.ratings) == sum(r.losses for r in found.ratings) == 140
    assert sum(m.wins + m.ties + m.losses for m in found.matchups) == 150
    (match,) = (m for m in found.matchups if {m.player, m.opponent} == {"anna", "ben"})
    assert (match.wins, match.ties, match.losses) == (60, 0, 30)
    assert [r.player for r in found.ratings] == ["anna", "cem", "ben"]
    assert [r.place for r in found.ratings] == [1, 1, 2]


def coverage(tournaments: int, copies: int) -> float:
    """How often the interval of the first player held its planted rating."""
    held = 0
    for n in range(tournaments):
        made = tournament(n, players=3, seeds=40, battles=2, copies=copies)
        rating = of(rate(made.ledger, Method(replicates=60, anchor_value=0)), "p00")
        assert rating.low is not None
        assert rating.high is not None
        held += rating.low <= made.points["p00"] <= rating.high
    return held / tournaments


@pytest.mark.parametrize("copies", [1, 4])
def test_intervals_hold_what_was_planted(copies: int) -> None:
    """At 95 %, with three standard errors of a binomial; copies of battles narrow nothing.

    200 larger tournaments: `tests/integration/test_ratings_coverage.py`.
    """
    error = math.sqrt(0.95 * 0.05 / 40)
    assert coverage(40, copies) > 0.95 - 3 * error


def test_each_tail_of_an_interval_holds_its_share() -> None:
    """Of 99 draws, spread evenly, 2.5 in a hundred places lie below: between the second and the third."""
    low, high = percentile_interval(np.arange(1.0, 100.0)[:, None])
    assert (low[0], high[0]) == (pytest.approx(2.5), pytest.approx(97.5))


def test_style_control_sees_through_length() -> None:
    """A judge who likes length alone: held constant, the long-winded player is no better."""
    chance = np.random.default_rng(0)
    ledger = Ledger()
    for n in range(400):
        length = float(np.clip(chance.normal(0.3, 0.3), -1, 1))
        score = float(chance.random() < 1 / (1 + math.exp(-3 * length)))
        ledger.add(Battle("long", "short", score, f"s{n}", (), (length, 0, 0, 0)))
    plain = of(rate(ledger, Method()), "long")
    controlled = rate(ledger, Method(style_control=True))
    assert plain.low is not None
    assert plain.low > 1020
    fair = of(controlled, "long")
    assert fair.low is not None
    assert fair.high is not None
    assert fair.low < 1000 < fair.high
    effects = {effect.feature: effect for effect in controlled.style}
    longer = effects["length"].low
    assert longer is not None
    assert longer > 0
    assert effects["lists"].coefficient == pytest.approx(0)


def test_style_control_without_style_is_refused() -> None:
    with pytest.raises(InputError, match="needs the style"):
        board(MIXED, style_control=True)


@pytest.mark.parametrize("seeds", [1, 5, 50])
def test_who_never_lost_has_no_upper_bound(seeds: int) -> None:
    found = board(fought("anna", "ben", 1, seeds))
    anna, ben = of(found, "anna"), of(found, "ben")
    assert (anna.high, ben.low) == (None, None)
    assert anna.low is not None
    assert anna.rating < 2000
    assert any(note.startswith("no loss bounds from above: anna") for note in found.notes)
    told_apart = seeds == 50
    assert ((anna.place, ben.place) == (1, 2)) == told_apart
    assert (found.matchups[0].more == 0) == told_apart


def test_who_never_lost_through_others() -> None:
    """Anna and Ben beat each other and everybody else: neither is bounded from above."""
    found = board(
        fought("anna", "ben", 1, 20),
        fought("anna", "ben", 0, 20),
        fought("ben", "cem", 1, 20),
        fought("cem", "dana", 1, 20),
    )
    open_above = [r.player for r in found.ratings if r.high is None]
    open_below = [r.player for r in found.ratings if r.low is None]
    assert sorted(open_above) == ["anna", "ben"]
    assert open_below == ["dana"]


def test_an_undefeated_anchor_leaves_the_others_without_a_lower_bound() -> None:
    found = board(MIXED, fought("zoe", "anna", 1, 30), anchor="zoe")
    assert of(found, "zoe").high == 1000
    assert [r.low for r in found.ratings if r.player != "zoe"] == [None, None, None]


def test_only_ties_are_not_certainty() -> None:
    found = board(fought("anna", "ben", 0.5, 30))
    anna = of(found, "anna")
    assert anna.rating == pytest.approx(1000)
    assert anna.low is not None
    assert anna.low < 980
    assert anna.interval == "curvature"
    assert found.matchups[0].more is None
    assert any(note.startswith("only ties: anna, ben") for note in found.notes)


def test_few_seeds_are_said_and_not_resampled() -> None:
    few = fought("anna", "ben", 1, 10) + fought("anna", "ben", 0, FEW_SEEDS - 11)
    found = board(few)
    assert {r.interval for r in found.ratings} == {"curvature"}
    assert any(note.startswith(f"fewer than {FEW_SEEDS} seeds: anna, ben") for note in found.notes)
    enough = board(few, fought("ben", "anna", 1, 1))
    assert {r.interval for r in enough.ratings} == {"bootstrap"}
    assert enough.notes == ()


def test_many_battles_on_one_seed_are_one() -> None:
    once = board([Battle("anna", "ben", 1, "s1"), Battle("anna", "ben", 0, "s2")])
    often = board([Battle("anna", "ben", n % 2, f"s{n % 2}") for n in range(100)])
    for found in (once, often):
        anna = of(found, "anna")
        assert anna.low is not None
        assert anna.low < 850


def test_groups_that_never_met_are_kept_apart() -> None:
    found = board(MIXED, fought("yves", "zoe", 1, 30), fought("yves", "zoe", 0, 20))
    assert [(r.group, r.player) for r in found.ratings] == [
        (1, "anna"),
        (1, "cem"),
        (1, "ben"),
        (2, "yves"),
        (2, "zoe"),
    ]
    assert of(found, "yves").place == 1
    mean = sum(r.rating for r in found.ratings if r.group == 2) / 2
    assert mean == pytest.approx(1000)
    (apart,) = (m for m in found.matchups if {m.player, m.opponent} == {"anna", "zoe"})
    assert (apart.expected, apart.difference, apart.more) == (None, None, None)
    assert found.notes[0].startswith("the players fall into 2 groups")


def test_an_anchor_moves_its_own_group_only() -> None:
    found = board(MIXED, fought("yves", "zoe", 1, 5), anchor="ben", anchor_value=1200)
    assert of(found, "ben").rating == 1200
    mean = (of(found, "yves").rating + of(found, "zoe").rating) / 2
    assert mean == pytest.approx(1200)


@pytest.mark.parametrize(
    ("difference", "about"), [(20, 1150), (50, 185)], ids=["20 points", "50 points"]
)
def test_battles_to_separate_from_nothing(difference: float, about: int) -> None:
    assert battles_to_separate(difference / POINTS) == pytest.approx(about, rel=0.03)
    assert battles_to_separate(-difference / POINTS) == battles_to_separate(difference / POINTS)


def test_what_is_known_is_taken_off() -> None:
    gap = 50 / POINTS
    half = battles_to_separate(gap, variance=2 * (gap / 1.96) ** 2)
    assert half == pytest.approx(95, abs=2)
    assert battles_to_separate(gap, variance=(gap / 2) ** 2) == 0
    assert battles_to_separate(0.0) is None


def test_so_many_more_battles_do_separate() -> None:
    """Played as the ratings expect, the battles that were called for tell the two apart."""
    first = fought("anna", "ben", 1, 55) + fought("anna", "ben", 0, 45)
    more = board(first).matchups[0].more
    assert more is not None
    assert 200 < more < 500
    wins = round(more * 0.55)
    again = [Battle("anna", "ben", float(n < wins), f"new{n}") for n in range(more)]
    few = board(first, again[: more // 4] + again[-more // 4 :]).matchups[0].more
    assert board(first, again).matchups[0].more in range(30)
    assert few is not None
    assert few > 0


def test_a_win_or_two_between_camps_tell_little() -> None:
    """Camps that one side of never lost: draws that miss their few meetings are no measure of them."""
    camps = fought("anna", "ben", 1, 30) + fought("anna", "ben", 0, 30)
    camps += fought("yves", "zoe", 1, 30) + fought("yves", "zoe", 0, 30)
    found = board(camps, [Battle("anna", "yves", 1, f"annaben1{n}") for n in range(4)])
    more = {(m.player, m.opponent): m.more for m in found.matchups}
    assert more["ben", "zoe"] is not None
    assert more["ben", "zoe"] > 0


def test_tags_have_boards_of_their_own() -> None:
    maths = fought("anna", "ben", 1, 30, "maths") + fought("anna", "ben", 0, 10, "maths")
    poems = fought("ben", "cem", 1, 8, "poems")
    found = board(maths, poems, tag="maths")
    assert found == board(maths).model_copy(update={"tag": "maths"})
    assert {r.player for r in board(maths, poems, tag="poems").ratings} == {"ben", "cem"}
    assert board(maths, poems).battles == 48


def test_an_anchor_that_is_not_on_a_tag_is_said() -> None:
    found = board(MIXED, fought("yves", "zoe", 1, 5, "rare"), tag="rare", anchor="anna")
    assert found.anchor is None
    assert any(note.startswith("'anna' has no battles here") for note in found.notes)


def test_a_report_has_the_boards_that_were_asked_for() -> None:
    ledger = Ledger(fought("anna", "ben", 1, 30, "maths") + fought("ben", "cem", 1, 8, "art"))
    method = Method(replicates=0)

    def tags(*wanted: str, every: bool = False) -> list[str | None]:
        return [one.tag for one in report(ledger, method, None if every else wanted).boards]

    assert tags() == [None]
    assert tags("maths") == ["maths"]
    assert tags(every=True) == [None, "art", "maths"]
    assert report(ledger, method).tags == {"art": 8, "maths": 30}
    assert report(Ledger(), method, None).boards == ()


@pytest.mark.parametrize(
    ("battles", "tag", "method", "error", "said"),
    [
        ([], None, {}, InputError, "there are no battles to rate"),
        (MIXED, "none", {}, NotFound, "no battle has the tag 'none'; there are: all"),
        (MIXED, None, {"anchor": "zoe"}, NotFound, "no player 'zoe'.*there are: anna, ben, cem"),
    ],
)
def test_what_cannot_be_rated_is_one_clear_line(
    battles: list[Battle],
    tag: str | None,
    method: dict[str, object],
    error: type[Exception],
    said: str,
) -> None:
    with pytest.raises(error, match=said) as raised:
        board(battles, tag=tag, **method)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("wrong", [{"ridge": 0}, {"replicates": 39}, {"replicates": -1}])
def test_a_method_that_would_mislead_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Method.model_validate(wrong)
