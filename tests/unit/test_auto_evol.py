"""Auto Evol-Instruct: methods are tried on tasks, and the one that fails least goes on."""

import re
from pathlib import Path

import pytest

from aaa.errors import InputError
from aaa.play import Play, Rehearsal, rehearse
from aaa.plugins import options_of
from aaa.protocols import auto_evol
from aaa.protocols._evolving import Bounds
from aaa.protocols._trials import (
    Stretch,
    Trajectory,
    failures_first,
    share_without_failure,
    trial,
)
from aaa.protocols.auto_evol import METHOD, PROMPTS, Options
from aaa.scenario import Scenario, with_lines
from aaa.types import Agent, Call, Cast, Evolved, Failure, Reply, Seed, Turn
from tests.classroom import ANNA, BEN, user
from tests.resuming import resumes

SEED = Seed(id="s1", prompt=user("Task zero about the moon, please?"))
EVOLVER, OTHER = Agent(name="evolver", family="oak"), Agent(name="other", family="ash")
OPTIMIZER = Agent(name="optimizer", family="elm")
DEV = ("Task one about the sun, please?", "Task two about the rain, please?")


def cast(**seats: tuple[Agent, ...]) -> Cast:
    return Cast(seats={"evolver": (EVOLVER,), "optimizer": (OPTIMIZER,), **seats})


def task_in(call: Call) -> str:
    found = re.search(r"A task:\n<[^>]+>\n(.*?)\n</", call.messages[-1].content, re.DOTALL)
    assert found
    return found[1]


class Room:
    """A method works for as many of the three tasks as the number it holds says; the first for none."""

    def __init__(self, *methods: str) -> None:
        self.methods = iter(methods)

    def __call__(self, call: Call) -> str:
        if call.purpose == "analysis":
            return "It asks for too little."
        if call.purpose == "method":
            return next(self.methods)
        task = task_in(call)
        if call.purpose == "answer":
            return "By the moon."
        works = re.search(r"works for (\d)", call.messages[-1].content)
        place = ("zero", "one", "two").index(re.findall("zero|one|two", task)[0])
        good = works is not None and place < int(works[1])
        return f"{task} Say it in three verses." if good else "Sure! Here it is."


def played(room: Room, options: Options, seats: Cast | None = None) -> Rehearsal:
    return rehearse(auto_evol.play(SEED, seats or cast(), options), room)


def noted(done: Rehearsal) -> list[Evolved]:
    return [note for note in done.recorded.notes if isinstance(note, Evolved)]


def test_the_candidate_that_fails_least_goes_on_and_the_others_are_not_better() -> None:
    room = Room("works for 1", "works for 2", "works for 2 only", "works for 1 only")
    done = played(room, Options(dev=DEV, steps=2, candidates=2))
    assert done.batches == (3, 1, 2, 6, 1, 2, 6)
    notes = noted(done)
    assert [(n.id, n.parent, n.dropped, round(3 * (n.value or 0))) for n in notes] == [
        ("s1.m1.1", "s1", "not_better", 1),
        ("s1.m1.2", "s1", "", 2),
        ("s1.m2.1", "s1.m1.2", "not_better", 2),
        ("s1.m2.2", "s1.m1.2", "not_better", 1),
    ]
    assert {note.operation for note in notes} == {METHOD}
    assert notes[1].prompt == user("works for 2")
    assert notes[1].why == "0.67 without failure, 0.00 before"
    asked = [t.call.messages[-1].content for t in done.recorded.turns if t.call.purpose == "method"]
    assert all("works for 2" in text for text in asked[2:])
    assert all(PROMPTS.fill("method") in text for text in asked[:2])


def test_the_search_ends_once_nothing_fails() -> None:
    done = played(Room("works for 3", "works for 1"), Options(dev=DEV, steps=5))
    assert [note.value for note in noted(done)] == [1.0, pytest.approx(1 / 3)]
    assert done.batches == (3, 1, 2, 6)


def test_a_method_without_failures_is_left_alone() -> None:
    def answer(call: Call) -> str:
        return f"{task_in(call)} Say it in three verses."

    done = rehearse(auto_evol.play(SEED, cast(), Options(dev=DEV)), answer)
    assert done.batches == (3,)
    assert noted(done) == []


def test_the_optimiser_reads_the_failures_and_what_was_said_of_them() -> None:
    done = played(Room("works for 1", "works for 2"), Options(dev=DEV, steps=1))
    by = {turn.call.purpose: turn.call.messages[-1].content for turn in done.recorded.turns}
    assert by["analysis"].count("[failure: meta_talk") == 3
    assert "task: Task one about the sun, please?" in by["analysis"]
    assert "It asks for too little." in by["method"]


def test_a_silent_analysis_leaves_the_failures_themselves() -> None:
    room = Room("works for 1", "works for 2")

    def answer(call: Call) -> str | Turn:
        if call.purpose == "analysis":
            failure = Failure(kind="content_filter", message="no")
            return Turn(index=0, call=call, reply=Reply(text=""), failure=failure)
        return room(call)

    done = rehearse(auto_evol.play(SEED, cast(), Options(dev=DEV, steps=1)), answer)
    asked = [t.call.messages[-1].content for t in done.recorded.turns if t.call.purpose == "method"]
    assert all("[failure: meta_talk" in text for text in asked)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        ("word " * 401, "too_long"),
        (PROMPTS.fill("method"), "no_gain"),
        ("works for 2", "no_gain"),
    ],
)
def test_a_candidate_that_is_none_is_dropped_untried(text: str, code: str) -> None:
    done = played(Room("works for 2", text), Options(dev=DEV, steps=1))
    good, bad = noted(done)
    assert (good.dropped, bad.dropped, bad.value) == ("", code, None)
    assert bad.why
    assert done.batches == (3, 1, 2, 3)


def test_refused_and_truncated_candidates_are_dropped() -> None:
    replies = iter(["refused", "cut"])

    def answer(call: Call) -> str | Reply | Turn:
        if call.purpose != "method":
            return Room()(call)
        if next(replies) == "cut":
            return Reply(text="works for", finish_reason="length")
        failure = Failure(kind="content_filter", message="no")
        return Turn(index=0, call=call, reply=Reply(text=""), failure=failure)

    done = rehearse(auto_evol.play(SEED, cast(), Options(dev=DEV, steps=1)), answer)
    assert [note.dropped for note in noted(done)] == ["call_refused", "truncated"]


def test_several_evolvers_and_optimisers_take_turns() -> None:
    seats = cast(evolver=(EVOLVER, OTHER), optimizer=(OPTIMIZER, BEN))
    room = Room(*(f"works for 0 {n}" for n in range(4)))
    done = played(room, Options(dev=DEV, steps=2), seats)
    calls = [turn.call for turn in done.recorded.turns]
    assert [call.agent for call in calls[:3]] == ["evolver", "other", "evolver"]
    analysts = [call.agent for call in calls if call.purpose == "analysis"]
    assert sorted(analysts) == ["ben", "optimizer"]
    assert len({call.agent for call in calls if call.purpose == "method"}) == 2


@pytest.mark.parametrize(("rounds", "students"), [(1, ()), (2, (ANNA,)), (3, (ANNA, BEN))])
def test_calls_are_a_trial_for_the_start_and_each_candidate(
    rounds: int, students: tuple[Agent, ...]
) -> None:
    options = Options(dev=DEV, steps=2, candidates=3, rounds=rounds)

    names = iter(range(1000))

    def dry(call: Call) -> str:
        made = auto_evol.made_up(call, next(names))
        return "It is so." if made is None else made

    done = rehearse(auto_evol.play(SEED, cast(student=students), options), dry)
    trial_calls = 3 * rounds + 3 * len(students)
    assert len(done.recorded.turns) == trial_calls * (1 + 2 * 3) + 2 * (1 + 3)
    assert len(noted(done)) == 2 * 3


def test_it_resumes_anywhere() -> None:
    def answer(call: Call) -> str:
        if call.purpose == "method":
            return f"works for {len(call.agent) % 4}"
        return Room()(call)

    def session() -> Play[None]:
        seats = cast(optimizer=(OPTIMIZER, BEN), student=(ANNA,))
        return auto_evol.play(SEED, seats, Options(dev=DEV, steps=2))

    def everything(call: Call) -> str:
        return "By the moon." if call.purpose == "answer" else answer(call)

    assert noted(resumes(session, everything))


# Trials


def tried(
    answer: object, rounds: int = 1, students: tuple[Agent, ...] = ()
) -> tuple[Trajectory, ...]:
    assert callable(answer)
    play = trial("Do it.", [SEED.prompt], (EVOLVER,), students, rounds, Bounds(), (None, None))
    found = rehearse(play, answer).result
    assert isinstance(found, tuple)
    return found


def test_a_rewriting_that_fails_leaves_its_parent_and_marks_the_task() -> None:
    texts = iter(["Task zero about the moon, please, in nine verses?", "", "Sure!"])
    (one,) = tried(lambda _: next(texts), rounds=3)
    assert one.failed
    assert [stretch.flaw.split(":")[0] for stretch in one.stretches] == ["", "empty", "meta_talk"]
    assert one.last == user("Task zero about the moon, please, in nine verses?")


def test_an_unanswerable_last_rewriting_is_a_failure() -> None:
    def answer(call: Call) -> str:
        return "I am sorry." if call.purpose == "answer" else f"{task_in(call)} In nine verses."

    (one,) = tried(answer, students=(ANNA,))
    assert one.failed
    assert one.unanswered.startswith("refusal")
    assert not tried(answer)[0].failed


def test_failures_are_told_first_and_counted() -> None:
    fine = Trajectory(first="fine", last=SEED.prompt, stretches=(Stretch(text="finer"),))
    bad = Trajectory(first="bad", last=SEED.prompt, stretches=(Stretch(text="", flaw="empty: x"),))
    assert share_without_failure((fine, bad, fine, fine)) == 0.75
    assert failures_first((fine, bad), 1) == "task: bad\nrewriting 1:  [failure: empty: x]"
    assert failures_first((fine, bad), 2).endswith("task: fine\nrewriting 1: finer")


# Before a round


def test_tasks_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "tasks.txt").write_text("# tasks\nOne?\n\nTwo?\n")
    scenario = Scenario.model_validate({
        "name": "x",
        "protocol": {"id": "auto_evol", "options": {"dev": {"lines_of": "tasks.txt"}}},
        "seats": {"evolver": ["a"], "optimizer": ["b"]},
        "seeds": {"inline": [{"prompt": "Zero?"}]},
    })  # fmt: skip
    options = Options.model_validate(with_lines(scenario, tmp_path).protocol.options)
    assert options.dev == ("One?", "Two?")


def test_options_out_of_range_are_refused() -> None:
    for given, words in (({"candidates": 9}, "got 9"), ({"steps": 0}, "got 0")):
        with pytest.raises(InputError, match=words):
            options_of("protocol", "auto_evol", Options, given)
