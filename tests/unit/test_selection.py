"""Selectors: what each takes, what a wrong one is told, and how many are taken."""

from pathlib import Path

import pytest

from aaa.commands.export_asked import Wanted, checked
from aaa.corpus import selection as selecting
from aaa.corpus.families import part_of
from aaa.corpus.quota import even
from aaa.corpus.selection import Selection, parse
from aaa.corpus.sieve import Around, Sieve, parted, sifted
from aaa.errors import InputError
from aaa.records import Record, Vote
from tests.records import alone, fate, kept, made, said, source, vote

RECORDS = [
    made(0, margin=0.5, seed={"tags": ["topic:sky", "easy"]}, votes=[vote("a", "j"), vote("b", "k")]),
    made(1, margin=2.0, edge="peer", rejected=said("No.", "peer"), seed={"tags": ["topic:sea"]}),
    made(2, margin=None, judging="logprob", chosen=said("Yes.", "tutor", seat="teacher")),
    made(3, margin=1.0, whence={"stage": "first", "protocol": "arena"}, votes=[vote("a", "k")]),
    made(4, votes=[vote("a", scores={"a": 8.0, "b": 3.0}), vote("a", scores={"a": 6.0, "b": 1.0})]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("selectors", "wanted"),
    [
        ([], "p0 p1 p2 p3 p4"),
        ([("stage", "first")], "p3"),
        ([("protocol", "arena")], "p3"),
        ([("edge", "peer")], "p1"),
        ([("edge", "peer"), ("edge", "revision")], "p0 p1 p2 p3 p4"),
        ([("seat", "student")], "p0 p1 p3 p4"),
        ([("seat", "student"), ("seat", "teacher")], "p0 p1 p2 p3 p4"),
        ([("agent", "peer")], "p1"),
        ([("agent", "tutor"), ("agent", "peer")], "p1 p2"),
        ([("student", "pupil")], "p0 p3 p4"),
        ([("tag", "topic:sea")], "p1"),
        ([("tag", "easy"), ("tag", "topic:sea")], "p0 p1"),
        ([("judging", "logprob")], "p2"),
        ([("judge", "k")], "p0 p3"),
        ([("judge", "k"), ("judge", "j"), ("judges", "all")], "p0"),
        ([("judge", "k"), ("judges", "only")], "p3"),
        ([("judges", "unanimous")], "p1 p2 p3 p4"),
        ([("judge", "k"), ("judges", "unanimous")], "p3"),
        ([("min_margin", "1")], "p1 p3"),
        ([("max_margin", "1")], "p0 p3"),
        ([("min_margin", "0.6"), ("max_margin", "1")], "p3"),
        ([("min_score", "7")], "p4"),
        ([("min_score", "7.1")], ""),
        ([("outcome", "win")], "p0 p1 p2 p3 p4"),
    ],
)
async def test_what_each_takes(selectors: list[tuple[str, str]], wanted: str) -> None:
    assert await kept(RECORDS, *selectors) == wanted.split()


@pytest.mark.parametrize(
    ("votes", "selectors", "taken"),
    [
        ([vote("a", "j"), vote("tie", "k")], [("judges", "unanimous")], True),
        ([vote("a", "j"), vote("b", "k")], [("judges", "unanimous")], False),
        ([vote("tie", "j"), vote(None, "k")], [("judges", "unanimous")], False),
        (alone("j", 4.0, 3.0) + alone("k", 2.0, 2.0), [("judges", "unanimous")], True),
        (alone("j", 4.0, 3.0) + alone("k", 2.0, 3.0), [("judges", "unanimous")], False),
        (alone("j", 4.0, 3.0)[:1], [("judges", "unanimous")], False),
        (alone("checker:number", 1.0, 0.0), [("judges", "unanimous")], False),
        (
            [vote("a", "j"), *alone("checker:number", 1.0, 0.0)],
            [("judge", "j"), ("judges", "only")],
            True,
        ),
        (
            alone("checker:number", 1.0, 0.0),
            [("judge", "checker:number"), ("judges", "only")],
            True,
        ),
        ([vote("a", "j"), vote("a", "k")], [("judge", "j"), ("judges", "only")], False),
    ],
)
async def test_what_judges_must_have_said(
    votes: list[Vote], selectors: list[tuple[str, str]], taken: bool
) -> None:
    assert await kept([made(votes=votes)], *selectors) == ["p0"] * taken


@pytest.mark.parametrize(
    ("selectors", "gates"),
    [
        ([], ["contamination"]),
        ([("tag", "contamination")], ["contamination"]),
        ([("gate", "empty")], ["empty", "contamination"]),
        ([("gate", "paraphrase=0.8")], ["paraphrase"]),
        ([("gate", "contamination=8")], ["contamination"]),
        ([("gate", "none")], []),
    ],
)
def test_what_evaluation_files_are_for(selectors: list[tuple[str, str]], gates: list[str]) -> None:
    asked = checked(
        Wanted(("r",), "trl-dpo", "-", tuple(selectors), evaluations=(Path("bench.jsonl"),))
    )
    assert [gate.name for gate in asked.selection.gate] == gates


async def test_the_reason_is_the_selector() -> None:
    told = await fate(RECORDS, ("edge", "revision"), ("min_margin", "1"))
    assert told == {
        "p0": "min_margin",
        "p1": "edge",
        "p2": "min_margin",
        "p3": None,
        "p4": "min_margin",
    }


@pytest.mark.parametrize(
    ("selectors", "told"),
    [
        ([("colour", "red")], r"unknown selector 'colour'; valid here: stage, protocol, .*gate"),
        ([("outcome", "loss")], r"'win', 'tie', 'flip', 'error' or 'abstain', got 'loss'"),
        ([("judges", "most")], r"'any', 'all', 'only' or 'unanimous', got 'most'"),
        ([("min_margin", "wide")], r"'min_margin'.*number.*'wide'"),
        ([("min_margin", "nan")], r"'min_margin'.*finite"),
        ([("min_margin", "3"), ("max_margin", "1")], r"min_margin 3.0 is above max_margin 1.0"),
        ([("n", "0")], r"'n'.*greater than or equal to 1"),
        ([("n", "3"), ("n", "4")], r"'n' is given twice"),
        ([("split", "dev")], r"'train' or 'test', got 'dev'"),
        ([("judges", "only")], r"needs `judge`"),
        (
            [("gate", "nice")],
            r"no gate 'nice'; there are: empty, .*contamination, paraphrase, standard",
        ),
        ([("gate", "licence")], r"gate 'licence' needs a threshold"),
        ([("gate", "empty=3")], r"gate 'empty' takes no threshold"),
        ([("gate", "length_ratio=x")], r"must be a number from 1 to 1000, got 'x'"),
        ([("gate", "similar=nan")], r"must be a number from 0.1 to 1"),
    ],
)
def test_a_wrong_one_is_told_what_is_right(selectors: list[tuple[str, str]], told: str) -> None:
    with pytest.raises(InputError, match=told):
        parse(selectors)


def test_outcomes_that_make_no_pair_are_refused_for_pairs() -> None:
    with pytest.raises(InputError, match="only `win` makes a pair; format 'verdicts'"):
        selecting.for_pairs(parse([("outcome", "tie")]))
    selecting.for_sessions(parse([("outcome", "tie")]), "verdicts")
    with pytest.raises(
        InputError, match="cannot obey outcome; selectors that go with it: protocol,"
    ):
        selecting.for_sessions(parse([("outcome", "tie")]), "transcripts")


async def test_a_pair_of_two_rounds_is_taken_once() -> None:
    twice = [made(0), {**made(0), "round": "r2"}, made(1)]
    assert await fate(twice[:1] + twice[2:]) == {"p0": None, "p1": None}
    sieve = [twice[0], twice[1]]
    assert await kept(sieve) == []  # the second's fate stands under the same id
    assert (await fate(sieve))["p0"] == "double"


def of_seed(seed: str, *numbers: int, tags: tuple[str, ...] = ()) -> list[Record]:
    return [made(n, seed={"id": seed, "tags": list(tags), "family": seed}) for n in numbers]


async def test_most_of_a_seed() -> None:
    records = of_seed("a", 0, 1, 2) + of_seed("b", 3)
    assert await kept(records, ("max_per_seed", "2")) == ["p0", "p1", "p3"]


async def test_exactly_n_are_drawn_fairly_and_the_same_each_time() -> None:
    records = [made(n) for n in range(200)]
    drawn = await kept(records, ("n", "60"))
    assert drawn == await kept(records, ("n", "60"))
    assert len(drawn) == 60
    assert drawn == sorted(drawn, key=lambda id: int(id[1:]))
    halves = sum(int(id[1:]) < 100 for id in drawn)
    assert 15 < halves < 45
    assert set(await kept(records, ("n", "20"))) < set(drawn)


async def test_n_counts_what_passes_the_gates() -> None:
    records = [made(n, chosen=" " if n % 2 else "Yes, it is so.") for n in range(20)]
    drawn = await kept(records, ("n", "5"), ("gate", "empty"))
    assert len(drawn) == 5
    assert all(int(id[1:]) % 2 == 0 for id in drawn)


async def test_exactly_n_are_drawn_of_those_that_a_seed_may_have() -> None:
    """What is not drawn still is one of its seed's first: no later pair comes in for it."""
    pairs = [pair for s in range(100) for pair in of_seed(f"s{s:03}", *range(5 * s, 5 * s + 5))]
    found = await kept(pairs, ("max_per_seed", "1"), ("n", "20"))
    assert len(found) == 20
    assert all(int(id[1:]) % 5 == 0 for id in found)


async def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(InputError, match=r"n 7: there are not so many.*at most 5 can be had"):
        await kept(RECORDS, ("n", "7"))


async def test_as_many_of_each_value() -> None:
    records = [made(n, seed={"tags": [f"topic:{'sea' if n < 3 else 'sky'}"]}) for n in range(10)]
    records.append(made(99))
    told = await fate(records, ("balance", "topic"))
    assert [id for id, why in told.items() if why is None][:3] == ["p0", "p1", "p2"]
    assert sum(why is None for why in told.values()) == 6
    assert told["p99"] == "balance"
    four = await kept(records, ("balance", "topic"), ("n", "4"))
    assert sum(int(id[1:]) < 3 for id in four) == 2


def test_quotas_leave_no_rest() -> None:
    assert even({"a": 5, "b": 9, "c": 9}, 11) == {"a": 4, "b": 4, "c": 3}
    assert even({"a": 5, "b": 9}, None) == {"a": 5, "b": 5}


@pytest.mark.parametrize(
    "sizes", [{"a": 2, "b": 1}, {"a": 1, "b": 2}, {"a": 3, "b": 3, "c": 4}, {"a": 0}]
)
def test_what_can_be_had_at_most_can_be_had(sizes: dict[str, int]) -> None:
    with pytest.raises(InputError) as error:
        even(sizes, 100)
    most = int(str(error.value).rpartition("at most ")[2].split()[0])
    if most:
        assert sum(even(sizes, most).values()) == most
    with pytest.raises(InputError):
        even(sizes, most + 1)


async def test_a_split_keeps_families_together() -> None:
    heads = [made(n) for n in range(60)]
    evolved = [made(100 + n, seed={"family": f"s{n}", "parent": f"s{n}"}) for n in range(60)]
    records = heads + evolved
    test = await kept(records, ("split", "test"), ("test_share", "0.3"))
    train = await kept(records, ("split", "train"), ("test_share", "0.3"))
    assert sorted(test + train) == sorted(record["id"] for record in records)
    assert {int(id[1:]) % 100 for id in test}.isdisjoint(int(id[1:]) % 100 for id in train)
    assert 6 <= len(test) // 2 <= 30
    assert len(test) % 2 == 0


def test_a_seed_changes_sides_only_when_the_share_grows_past_it() -> None:
    small = {f"s{n}" for n in range(200) if part_of(f"s{n}", 0.1) == "test"}
    large = {f"s{n}" for n in range(200) if part_of(f"s{n}", 0.3) == "test"}
    assert small < large


async def test_what_was_exported_before_is_left_out() -> None:
    told = await fate(RECORDS, around=Around(exported={"p1", "p3"}))
    assert [id for id, why in told.items() if why == "since"] == ["p1", "p3"]


async def test_what_is_near_to_what_was_exported_is_no_news() -> None:
    """Else an increment would be what the first export left out."""
    words = (
        "The tides follow the moon, which pulls the water of the seas towards itself, twice a day."
    )
    near = [made(n, chosen=f"{words} So it is ({n}).") for n in (0, 1)]
    assert (await fate(near, ("gate", "near_duplicate")))["p1"] == "near_duplicate"
    told = await fate(near, ("gate", "near_duplicate"), around=Around(exported={"p0"}))
    assert told == {"p0": "since", "p1": "near_duplicate"}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
async def test_no_seed_is_parted(size: int) -> None:
    """However the source cuts its chunks; what an earlier export has is told apart from what is dropped."""
    records = of_seed("a", 0) + of_seed("b", 1, 2, 3, 4) + of_seed("c", 5, 6)
    sieve = Sieve(parse([("max_per_seed", "2")]), Around(exported={"p1"}))
    some = [part async for part in sifted(source(records, size), sieve)]
    assert [one.record["id"] for part in some for one in part] == [f"p{n}" for n in range(7)]
    seeds = [{one.record["seed"]["id"] for one in part} for part in some]
    assert sum(map(len, seeds)) == 3
    kept, before = parted(one for part in some for one in part)
    assert [r["id"] for r in kept] == ["p0", "p2", "p5", "p6"]  # of b's two places one is taken
    assert [r["id"] for r in before] == ["p1"]


def test_the_default_takes_everything() -> None:
    assert parse([]) == Selection()
    assert not Selection().needs_two_passes
