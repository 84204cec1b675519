"""Constitution: revision by drawn principles, confirmed by a judge; labels by a principle."""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from aaa.catalogue import shipped
from aaa.errors import InputError
from aaa.estimate import estimate
from aaa.play import CallRefused, Rehearsal, rehearse
from aaa.protocols import constitution
from aaa.protocols.constitution import PRINCIPLES, Options
from aaa.types import (
    Agent,
    Call,
    Cast,
    Failure,
    Judging,
    Reply,
    Seed,
    Turn,
    fingerprint,
)
from tests.catalogues import small_catalogue
from tests.classroom import ANNA, BEN, JUDGE, user
from tests.resuming import resumes
from tests.stub_judge import stub_judge

SEED = Seed(id="s1", prompt=user("Why is the sky blue?"), reference="scattering")
JUDGING = Judging(play="logprob", options={"margin": 0.0})
FOUR = ("It is true.", "It is short.", "It is kind.", "It is clear.")
judge = stub_judge()


def cast(*students: Agent, judging: Judging = JUDGING) -> Cast:
    return Cast(seats={"student": students or (ANNA,), "judge": (JUDGE,)}, judging=judging)


def reply(call: Call) -> Reply:
    if call.seat == "judge":
        return judge(call)
    return Reply(text=f"{call.agent} {call.purpose} {fingerprint(call)[:6]}")


def refused(call: Call) -> Turn:
    failure = Failure(kind="content_filter", message="no")
    return Turn(index=0, call=call, reply=Reply(text=""), failure=failure)


def distinct() -> Callable[[Call], Reply]:
    """As `reply`, but the same call twice gives two texts, as sampling does."""
    count = iter(range(1000))
    return lambda call: (
        reply(call) if call.seat == "judge" else Reply(text=f"{call.purpose} {next(count):03d}")
    )


def played(
    seats: Cast | None = None,
    answer: Callable[[Call], Reply | Turn] | None = None,
    seed: Seed = SEED,
    principles: tuple[str, ...] = FOUR,
    **options: Any,
) -> Rehearsal:
    given = Options(principles=principles, **options)
    return rehearse(constitution.play(seed, seats or cast(), given), answer or distinct())


def purposes(done: Rehearsal) -> list[str]:
    return [turn.call.purpose for turn in done.recorded.turns]


def principles_of(done: Rehearsal, purpose: str) -> list[str]:
    """The one principle that each call of that purpose names."""
    found = []
    for turn in done.recorded.turns:
        if turn.call.purpose == purpose:
            (one,) = [p for p in FOUR if p in turn.call.messages[-1].content]
            found.append(one)
    return found


def test_two_principles_two_revisions_one_verdict() -> None:
    done = played()
    assert purposes(done) == [
        "draft", "critique", "revision", "critique", "revision", "ballot", "ballot",
    ]  # fmt: skip
    (verdict,) = done.recorded.verdicts
    assert (verdict.edge, verdict.a, verdict.b) == ("constitution", 0, 4)
    assert verdict.context == SEED.prompt
    assert {turn.call.agent for turn in done.recorded.turns[:5]} == {"anna"}


def test_each_revision_revises_the_one_before_by_its_own_principle() -> None:
    done = played(revisions=4)
    critiques = principles_of(done, "critique")
    assert sorted(critiques) == sorted(FOUR), "none is drawn twice"
    answers = [t for t in done.recorded.turns if t.call.purpose in ("draft", "revision")]
    for earlier, later in pairwise(answers):
        assert later.call.messages[1].content == earlier.text


def test_principles_are_drawn_by_the_seed_and_the_same_for_every_student() -> None:
    drawn = set()
    for n in range(30):
        done = played(cast(ANNA, BEN), seed=SEED.model_copy(update={"id": f"s{n}"}), revisions=1)
        one, two = principles_of(done, "critique")
        assert one == two
        drawn.add(one)
    assert drawn == set(FOUR)


def test_a_principle_that_is_listed_twice_is_drawn_once() -> None:
    for n in range(10):
        seed = SEED.model_copy(update={"id": f"s{n}"})
        done = played(seed=seed, principles=(*FOUR[:2], *FOUR[:2]), revisions=2)
        assert sorted(principles_of(done, "critique")) == sorted(FOUR[:2])


def test_students_work_side_by_side() -> None:
    done = played(cast(ANNA, BEN))
    assert done.batches == (2, 2, 2, 2, 2, 4)
    assert len(done.recorded.verdicts) == 2


def test_samples_are_compared_under_a_principle_that_the_pair_does_not_show() -> None:
    done = played(labels=3, revisions=0)
    assert purposes(done) == ["sample"] * 6 + ["ballot"] * 6
    assert all(turn.call.messages == SEED.prompt for turn in done.recorded.turns[:6])
    asked = principles_of(done, "ballot")
    assert asked[::2] == asked[1::2]
    assert len(set(asked)) == 3
    for verdict, principle in zip(done.recorded.verdicts, asked[::2], strict=True):
        assert (verdict.edge, verdict.context) == ("principle", SEED.prompt)
        assert principle in verdict.reason
    places = [(v.a, v.b) for v in done.recorded.verdicts]
    assert places == [(0, 1), (2, 3), (4, 5)]
    wins = [v for v in done.recorded.verdicts if v.outcome == "win"]
    assert wins


def test_neither_reference_nor_checker_decides_what_a_principle_says() -> None:
    judging = Judging(play="reference", checker="decides")
    seed = SEED.model_copy(update={"checker": {"kind": "exact", "value": "x"}})
    done = played(cast(judging=judging), seed=seed, labels=1, revisions=1)
    verdicts = {v.edge: v for v in done.recorded.verdicts}
    assert verdicts["constitution"].judging == "checker"
    assert verdicts["principle"].judging == "reference"
    shown = [t for t in done.recorded.turns if t.call.seat == "judge"]
    assert not any("scattering" in m.content for t in shown for m in t.call.messages)


def test_the_reason_of_a_label_keeps_what_the_judge_said() -> None:
    same = played(answer=lambda call: Reply(text="the same"), labels=1, revisions=0)
    (verdict,) = same.recorded.verdicts
    assert verdict.outcome == "tie"
    assert verdict.reason.endswith(": the answers are identical")


@pytest.mark.parametrize(("empty", "final"), [(0, 4), (1, 2)])
def test_an_empty_revision_is_passed_over(empty: int, final: int) -> None:
    principle = principles_of(played(), "critique")[empty]

    def answer(call: Call) -> Reply:
        told = any(principle in message.content for message in call.messages)
        silent = call.purpose == "revision" and told
        return Reply(text="") if silent else reply(call)

    done = played(answer=answer)
    (verdict,) = done.recorded.verdicts
    assert (verdict.a, verdict.b) == (0, final)
    before = done.recorded.turns[3].call.messages[1].content
    assert before == done.recorded.turns[0 if empty == 0 else 2].text


def test_revisions_that_say_nothing_are_judged_for_it() -> None:
    done = played(answer=lambda call: Reply(text="") if call.purpose == "revision" else reply(call))
    assert [(v.b, v.outcome) for v in done.recorded.verdicts] == [(4, "abstain")]


def test_an_empty_critique_is_left_out_of_the_talk() -> None:
    done = played(
        answer=lambda call: Reply(text=" ") if call.purpose == "critique" else reply(call)
    )
    for turn in done.recorded.turns:
        if turn.call.purpose == "revision":
            assert len(turn.call.messages) == 3
            assert "Using this" not in turn.call.messages[-1].content


@pytest.mark.parametrize("who", ["draft", "critique", "revision", "sample"])
def test_who_is_refused_does_not_take_the_rest_along(who: str) -> None:
    done = played(
        cast(ANNA, BEN),
        lambda call: refused(call) if (call.purpose, call.agent) == (who, "anna") else reply(call),
        labels=1,
    )
    edges = Counter(verdict.edge for verdict in done.recorded.verdicts)
    assert (
        edges
        == {
            "draft": {"constitution": 1, "principle": 2},
            "critique": {"constitution": 2, "principle": 2},
            "revision": {"constitution": 1, "principle": 2},
            "sample": {"constitution": 2, "principle": 1},
        }[who]
    )


@pytest.mark.parametrize("who", ["draft", "revision"])
def test_a_session_that_refusals_left_empty_fails(who: str) -> None:
    with pytest.raises(CallRefused, match="'anna'"):
        played(answer=lambda call: refused(call) if call.purpose == who else reply(call))


@pytest.mark.parametrize("revisions", [0, 1, 4])
@pytest.mark.parametrize("labels", [0, 1, 4])
def test_it_asks_as_the_formula_says_and_every_answer_is_accounted_for(
    revisions: int, labels: int
) -> None:
    """Per student: draft and two calls a revision, two samples a label; two ballots a verdict."""
    if not revisions + labels:
        return
    done = played(cast(ANNA, BEN), revisions=revisions, labels=labels)
    told = Counter(purposes(done))
    verdicts = 2 * ((revisions > 0) + labels)
    assert told == Counter(
        draft=2 * (revisions > 0),
        critique=2 * revisions,
        revision=2 * revisions,
        sample=4 * labels,
        ballot=2 * verdicts,
    )
    assert len(done.recorded.notes) == verdicts
    judged = {index for v in done.recorded.verdicts for index in (v.a, v.b)}
    steps = 2 * (revisions - 1) if revisions else 0
    answers = told["draft"] + told["revision"] + told["sample"]
    assert len(judged) == answers - steps, "all but the steps on the way"


@pytest.mark.parametrize(
    "options", [{}, {"revisions": 3, "labels": 2}, {"revisions": 0, "labels": 1}]
)
@pytest.mark.parametrize("often", ["", "0"])
def test_it_resumes_anywhere(options: dict[str, Any], often: str) -> None:
    def answer(call: Call) -> Reply | Turn:
        return refused(call) if often and fingerprint(call)[0] in often else reply(call)

    given = Options(principles=FOUR, **options)
    resumes(lambda: constitution.play(SEED, cast(ANNA, BEN), given), answer)


def test_the_default_principles_are_the_shipped_general_ones() -> None:
    folder = shipped("scenarios") / "principles"
    text = (folder / "general.txt").read_text("utf-8")
    assert list(PRINCIPLES) == [line for line in text.splitlines() if line and line[0] != "#"]


@pytest.mark.parametrize("name", ["general", "honesty", "safety"])
def test_shipped_principles_are_enough_for_every_option(name: str, tmp_path: Path) -> None:
    text = (shipped("scenarios") / "principles" / f"{name}.txt").read_text("utf-8")
    (tmp_path / "scenarios").mkdir()
    catalogue = small_catalogue(
        tmp_path / "more",
        seats={"student": ["pupil"], "judge": ["judge"]},
        protocol={
            "id": "constitution",
            "options": {"principles": {"lines_of": "mine.txt"}, "revisions": 8, "labels": 8},
        },
    )
    (tmp_path / "more" / "scenarios" / "mine.txt").write_text(text, "utf-8")
    script, seeds = catalogue.prepare(*catalogue.scenario("small"))
    found = script.scenario.protocol.options["principles"]
    assert len(set(found)) == len(found) >= 8
    assert all(one.startswith(("The answer", "Where")) and one.endswith(".") for one in found)
    counted = {line.purpose: line.calls for line in estimate(script, seeds).lines}
    assert counted == {"draft": 3, "critique": 24, "revision": 24, "sample": 48, "ballot": 54}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"principles": ["Be true."]}, "'revisions' is 2, but there are 1 different principles"),
        ({"principles": ["A.", "A. ", "B."], "revisions": 3}, "'revisions' is 3, but there are 2"),
        ({"principles": ["A.", "B."], "labels": 3}, "'labels' is 3"),
        ({"revisions": 0}, "both 0"),
        ({"revisions": 9}, "option 'revisions'"),
        ({"principles": []}, "option 'principles'"),
        ({"principles": ["A.", " "]}, "option 'principles"),
    ],
)
def test_impossible_options_are_refused_before_a_round(
    tmp_path: Path, options: dict[str, Any], why: str
) -> None:
    catalogue = small_catalogue(
        tmp_path,
        seats={"student": ["pupil"], "judge": ["judge"]},
        protocol={"id": "constitution", "options": options},
    )
    with pytest.raises(InputError, match=why):
        catalogue.prepare(*catalogue.scenario("small"))
