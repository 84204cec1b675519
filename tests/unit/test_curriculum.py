"""Seeds described and drawn, skill gaps, and the gate before the next generation."""

import random
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from aaa.battles import Battle, Ledger
from aaa.board import Method
from aaa.curriculum.analysis import analyse, script, signals
from aaa.curriculum.attributes import attributes, weight
from aaa.curriculum.course import size_of
from aaa.curriculum.gate import FEWEST, Bound, Passed, admission, decide, lower_end, passed
from aaa.curriculum.sampling import draw, shifts
from aaa.curriculum.skill_gap import gaps, seed_weight
from aaa.errors import InputError
from aaa.near_duplicates import near_duplicates
from aaa.ratings import report
from aaa.scenario import Slice
from aaa.transcripts import Transcript
from aaa.types import Ballot, Call, Message, Recorded, Reply, Seed, Turn, Verdict


def seed(id: str, *tags: str, prompt: str = "", **more: object) -> Seed:
    asked = (Message(role="user", content=prompt or f"Question {id}?"),)
    return Seed.model_validate({"id": id, "prompt": asked, "tags": tags, **more})


def verdict(outcome: str, winner: str | None = None, ballots: tuple[Ballot, ...] = ()) -> Verdict:
    return Verdict.model_validate(
        {
            "edge": "peer",
            "context": (),
            "a": 0,
            "b": 1,
            "outcome": outcome,
            "winner": winner,
            "judging": "pairwise",
            "ballots": ballots,
        }
    )


# Near duplicates


def test_texts_that_say_nearly_the_same_are_found() -> None:
    long = "How do I repair a bicycle tyre that loses its air overnight, step by step?"
    texts = {
        "a": long,
        "b": "What is the capital of Australia?",
        "c": long.upper() + "!!",
        "d": long.replace("step by step", "step after step"),
        "e": "",
        "f": "怎么修理自行车轮胎？",
    }
    assert near_duplicates(texts, 0.7) == [("a", "c", "d")]
    assert near_duplicates(texts, 0.95) == [("a", "c")]


def test_it_finds_what_comparing_each_with_each_finds() -> None:
    chance = random.Random(5)
    words = [f"word{n}" for n in range(60)]
    texts: dict[str, str] = {}
    for n in range(120):
        chosen = [chance.choice(words) for _ in range(30)]
        texts[f"{n}"] = " ".join(chosen)
        texts[f"{n}'"] = " ".join([*chosen[:-1], chance.choice(words)])
    found = set(near_duplicates(texts))
    assert found >= {(f"{n}", f"{n}'") for n in range(120)}


# Attributes, weights, samples

MIXED = tuple(
    seed(f"s{n}", f"topic:{'code' if n % 10 == 0 else 'chat'}", *(["rare"] if n == 3 else []))
    for n in range(200)
)


def test_tags_are_attributes_with_values() -> None:
    told = attributes(seed("a", "topic:code", "topic:math", "hard", ":x", "topic:"))
    assert told == {"topic": ("code", "math"), "tag": ("hard", ":x", "topic:")}
    assert weight(seed("a", "x", "x", "y"), {"x": 2, "z": 5}) == 2


def test_a_sample_is_the_same_each_time_and_holds_the_smaller_one() -> None:
    large, small = draw(MIXED, 60, 7), draw(MIXED, 20, 7)
    assert large[:20] == small
    assert draw(MIXED[::-1], 60, 7) == large, "the file's order does not matter"
    assert draw(MIXED, 60, 8) != large
    without = tuple(s for s in MIXED if s not in small)
    assert draw(without, 40, 7) == large[20:], "what is left is drawn in the same order"


def test_weights_move_the_sample() -> None:
    shares = [
        sum("topic:code" in s.tags for s in draw(MIXED, 40, n, {"topic:code": 9})) / 40
        for n in range(100)
    ]
    assert 0.36 < sum(shares) / 100 < 0.44, (
        "less than one half: seeds with code run out as they are drawn"
    )
    (_, row, _) = sorted(shifts(MIXED, draw(MIXED, 40, 1, {"rare": 0})), key=lambda r: r.value)
    assert (row.value, row.source, row.sample) == ("code", 20, row.sample)
    assert "rare" not in {tag for s in draw(MIXED, 199, 1, {"rare": 0}) for tag in s.tags}


@pytest.mark.parametrize(
    ("size", "weights", "said"),
    [
        (201, {}, "201 seeds are wanted, but only 200 are left"),
        (200, {"rare": 0.0}, r"only 199 are left \(1 more have weight 0\)"),
        (1, {"rare": -1.0}, "weight of 'rare' must be 0 or more, got -1.0"),
        (1, {"rare": float("nan")}, "must be 0 or more, got nan"),
        (1, {"topic:cod": 2.0}, "no seed has that tag; there are: rare, topic:chat, topic:code"),
    ],
)
def test_what_cannot_be_drawn(size: int, weights: dict[str, float], said: str) -> None:
    with pytest.raises(InputError, match=said):
        draw(MIXED, size, 1, weights)


@pytest.mark.parametrize(("share", "size"), [(0.29, 29), (0.57, 57), (0.295, 29), (1.0, 100)])
def test_a_share_of_the_seeds_is_rounded_down_but_not_by_a_float(share: float, size: int) -> None:
    assert size_of(Slice(share=share), 100) == size


# Analysis


def test_a_set_is_described() -> None:
    same = "Tell me how bread is baked from wheat, water, salt and yeast in an oven at home."
    seeds = [
        seed("a", "topic:food", "lang:en", prompt=same, reference="x"),
        seed("b", "topic:food", prompt=same + " Please."),
        seed("c", "topic:space", "topic:food", prompt="Почему небо голубое?", parent="a"),
        seed("d", prompt="42?", checker={"kind": "number", "value": 42}),
    ]
    by_checker = Ballot(judge="checker:number", order="a", turn=0, scores={"a": 0.0})
    told = analyse(seeds, {"d": signals([verdict("tie", None, (by_checker,))])})
    by_name = {one.name: one for one in told.attributes}
    assert [(s.value, s.seeds, s.share) for s in by_name["topic"].values] == [
        ("food", 3, 0.75),
        ("space", 1, 0.25),
    ]
    assert by_name["topic"].without == 1
    assert {s.value: s.seeds for s in by_name["script"].values} == {"latin": 2, "cyrillic": 1}
    assert (told.seeds, told.verifiable, told.evolved, told.turns) == (4, 2, 1, {"1": 4})
    assert told.lengths["0"] == 3
    assert told.lengths["100"] == len(same) + 8
    assert told.duplicates == (("a", "b"),)
    assert told.difficulty == {"easy": 0, "middle": 0, "hard": 1, "unknown": 3}
    assert told.disagreement == {"low": 1, "middle": 0, "high": 0, "unknown": 3}
    assert analyse(seeds).difficulty is None


def test_an_answer_in_several_battles_counts_once() -> None:
    def checked(turn: int, score: float) -> Ballot:
        side = "ab"[turn > 0]
        return Ballot.model_validate(
            {"judge": "checker:number", "order": side, "turn": turn, "scores": {side: score}}
        )

    met = [verdict("win", "b", (checked(0, 0.0), checked(n, 1.0))) for n in (1, 2, 3)]
    assert signals(met).difficulty == 0.25


def test_signals_of_verdicts() -> None:
    found = signals([verdict("win", "a"), verdict("tie"), verdict("flip"), verdict("error")])
    assert found.difficulty is None
    assert found.disagreement == pytest.approx(1 / 3)
    assert signals([verdict("abstain")]).disagreement is None
    assert script("1 2 3") == ""


# Skill gap, with planted skills

TAGS = ("weak1", "weak2", "even1", "even2", "strong1", "strong2")
AHEAD = {"weak": 0.75, "even": 0.5, "strong": 0.25}
"""How often a peer beats the student."""


def planted(chance: random.Random, seeds_per_tag: int = 40) -> Ledger:
    ledger = Ledger()
    for tag in TAGS:
        for n in range(seeds_per_tag):
            for peer in ("peer1", "peer2"):
                lost = chance.random() < AHEAD[tag[:-1]]
                ledger.add(Battle("student", peer, 0 if lost else 1, f"{tag}-{n}", (tag,)))
    return ledger


def test_the_sampler_moves_to_the_weak_tags_in_nearly_every_simulation() -> None:
    pool = [seed(f"{tag}-{n}", tag) for tag in TAGS for n in range(100, 160)]
    ordered = moved = 0
    for number in range(200):
        ledger = planted(random.Random(number))
        boards = report(ledger, Method(replicates=0), None).boards
        found = {gap.tag: gap.weight for gap in gaps(boards, "student")}
        by_kind = [[found[tag] for tag in TAGS if tag.startswith(k)] for k in AHEAD]
        ordered += all(min(more) > max(less) for more, less in pairwise(by_kind))
        worth = {s.id: seed_weight(s, found, {}) for s in pool}
        drawn = draw(pool, 90, number, behind=found)
        kinds = Counter(s.tags[0][:-1] for s in drawn)
        moved += kinds["weak"] > 30 > kinds["strong"]
        assert worth["weak1-100"] == found["weak1"]
    assert ordered >= 190
    assert moved >= 190


def test_a_seed_with_two_weak_tags_weighs_as_one() -> None:
    both, one, none = seed("a", "x", "y"), seed("b", "x"), seed("c")
    behind = {"x": 4.0, "y": 2.0}
    assert [seed_weight(s, behind, {}) for s in (both, one, none)] == [3, 4, 1]
    firsts = Counter(draw([both, one, none], 1, n, behind=behind)[0].id for n in range(4000))
    assert [round(firsts[i] / 4000 * 8) for i in "abc"] == [3, 4, 1]


def test_gaps_have_bounds() -> None:
    ledger = Ledger(Battle("student", "peer", 0, f"s{n}", ("all",)) for n in range(500))
    boards = report(ledger, Method(replicates=0), None).boards
    (gap,) = gaps(boards, "student")
    assert (gap.tag, gap.peer, gap.battles, gap.weight) == ("all", "peer", 500, 4.0)
    assert gaps(boards, "peer")[0].weight == 0.25
    assert gaps(boards, "nobody") == ()
    assert seed_weight(seed("a", "all", "other", "x"), {"all": 4, "other": 2}, {"x": 3}) == 9


# The gate


def test_the_gate_lets_the_better_in_and_the_worse_not() -> None:
    """Students that win 60 % and 40 % of 400 held-out seeds, ties included; 200 simulations of each."""

    def let_in(rate: float, number: int) -> bool:
        chance = random.Random(number)
        scores = {
            f"s{n}": [0.5 if chance.random() < 0.2 else float(chance.random() < rate)]
            for n in range(400)
        }
        return decide(scores, "child", "parent", Bound(), 0).admitted

    assert sum(let_in(0.6, n) for n in range(200)) >= 190
    assert sum(let_in(0.4, n) for n in range(200)) == 0
    assert sum(let_in(0.5, n) for n in range(1000)) <= 75, "equals: about one in twenty"


@pytest.mark.parametrize(
    ("rates", "admitted", "why"),
    [
        ([1.0] * (FEWEST - 1), False, f"only {FEWEST - 1} seeds were decided"),
        ([1.0] * 10, True, "above 50%"),
        ([0.5] * 50, False, "not above 50%"),
        ([0.0] * 50, False, "win rate 0.0%"),
        ([], False, "only 0 seeds"),
        ([1.0] * 6 + [0.0] * 4, False, "win rate 60.0%"),
    ],
)
def test_a_handful_of_seeds_is_not_enough(rates: list[float], admitted: bool, why: str) -> None:
    told = decide({f"s{n}": [r] for n, r in enumerate(rates)}, "child", "parent", Bound(), 0)
    assert told.admitted is admitted
    assert why in told.why


def test_whoever_leaves_too_much_undecided_does_not_go_on() -> None:
    won: dict[str, list[float]] = {f"s{n}": [1.0] for n in range(30)}
    assert decide(won, "child", "parent", Bound(), 10).admitted
    told = decide(won, "child", "parent", Bound(), 11)
    assert not told.admitted
    assert told.why == "27% of the comparisons were not decided; at most 25% may be"


def test_a_student_that_falls_silent_is_not_let_in() -> None:
    """It is right on 18 of 118 seeds and says nothing on the others, of which its parent passes some."""

    def met(number: int) -> Transcript:
        said = ("yes", "no") if number < 18 else (" … ", "no")
        turns = tuple(
            Turn(
                index=n,
                call=Call(seat="student", agent=name, purpose="answer", messages=seed("s").prompt),
                reply=Reply(text=text),
            )
            for n, (name, text) in enumerate(zip(("child", "parent"), said, strict=True))
        )
        found = verdict("win", "a") if number < 18 else verdict("abstain")
        return Transcript(
            round="r", session=number, scenario="s", protocol="arena", status="completed",
            seed=seed(f"s{number}"), recorded=Recorded(turns=turns, notes=(found,)),
        )  # fmt: skip

    told = admission(map(met, range(118)), "child", "parent", Bound(level=0.8))
    assert (told.wins, told.losses, told.undecided, told.admitted) == (18, 100, 0, False)


def test_the_lower_end_is_students_t() -> None:
    rates = [0.0, 1.0, 0.5, 1.0, 1.0, 0.0, 1.0, 0.5, 1.0, 1.0]
    assert lower_end(rates, 0.95) == pytest.approx(0.7 - 1.8331 * 0.42164 / 10**0.5, abs=1e-4)


@pytest.mark.parametrize(
    ("more", "less"), [([1.0] * 8, [1.0] * 7 + [0.5]), ([0.8] * 8, [0.75] * 7 + [0.8])]
)
def test_who_does_better_has_no_lower_end_for_it(more: list[float], less: list[float]) -> None:
    assert lower_end(more, 0.95) >= lower_end(less, 0.95)
    assert 0.55 < lower_end(less, 0.95) < 0.7


def test_battles_are_read_from_sessions_whichever_side_the_student_is() -> None:
    def session(id: str, order: tuple[str, str], *notes: Verdict) -> Transcript:
        turns = tuple(
            Turn(
                index=n,
                call=Call(seat="student", agent=name, purpose="draft", messages=seed(id).prompt),
                reply=Reply(text="x"),
            )
            for n, name in enumerate(order)
        )
        recorded = Recorded(turns=turns, notes=notes)
        return Transcript(
            round="r", session=1, scenario="s", protocol="arena", status="completed",
            seed=seed(id), recorded=recorded,
        )  # fmt: skip

    told = admission(
        [
            session("1", ("child", "parent"), verdict("win", "a"), verdict("win", "b")),
            session("2", ("parent", "child"), verdict("win", "b")),
            session("3", ("parent", "child"), verdict("flip"), verdict("error")),
            session("4", ("parent", "stranger"), verdict("win", "a")),
        ],
        "child",
        "parent",
        Bound(),
    )
    assert (told.wins, told.ties, told.losses, told.undecided, told.seeds) == (2, 1, 1, 1, 3)
    assert told.win_rate == pytest.approx((0.5 + 1 + 0.5) / 3)


def test_answers_are_counted_by_what_their_seeds_checkers_say() -> None:
    def session(checker: dict[str, Any] | None, *said: tuple[str, str, str]) -> Transcript:
        asked = seed("1").model_copy(update={"checker": checker})
        turns = tuple(
            Turn(
                index=n,
                call=Call(seat="student", agent=agent, purpose=purpose, messages=asked.prompt),
                reply=Reply(text=text),
            )
            for n, (agent, purpose, text) in enumerate(said)
        )
        return Transcript(
            round="r", session=1, scenario="s", protocol="arena", status="completed",
            seed=asked, recorded=Recorded(turns=turns),
        )  # fmt: skip

    four = {"kind": "exact", "value": "4"}
    broken = {"kind": "none of ours"}
    told = passed(
        [
            session(four, ("old", "answer", "5"), ("new", "answer", "4")),
            session(four, ("old", "answer", "4"), ("new", "answer", "4"), ("new", "ballot", "4")),
            session(broken, ("old", "answer", "4")),
            session(None, ("old", "answer", "4")),
        ]
    )
    assert told == (
        Passed(agent="new", checked=2, passed=2),
        Passed(agent="old", checked=2, passed=1),
    )
