"""Creator and solver: the gap between a solver's answers decides which prompts are evolved."""

import json
import re

import pytest

from aaa.errors import InputError
from aaa.play import CallRefused, Play, Rehearsal, rehearse
from aaa.plugins import options_of
from aaa.protocols import creator_solver
from aaa.protocols._operations import USUAL
from aaa.protocols.creator_solver import Options
from aaa.types import (
    Agent,
    Call,
    Cast,
    ChoiceShape,
    Evolved,
    Failure,
    Judging,
    Message,
    Reply,
    Seed,
    Turn,
    Verdict,
    fingerprint,
)
from tests.classroom import BEN, JUDGE, prefers
from tests.resuming import resumes

SEED = Seed(
    id="s1",
    prompt=(Message(role="user", content="Why is the sky blue?"),),
    reference="air",
    tags=("science",),
    checker={"kind": "exact", "value": "x"},
)
SOLVER = Agent(name="solver", family="birch")
CREATOR = Agent(name="creator", family="oak")
OTHER = Agent(name="other", family="yew")


def cast(play: str = "logprob", **seats: tuple[Agent, ...]) -> Cast:
    held = {"solver": (SOLVER,), "creator": (CREATOR,), "judge": (JUDGE,), **seats}
    return Cast(seats=held, judging=Judging(play=play))


class Room:
    """Answers are numbered within a prompt; the judge prefers the higher number, or finds all alike."""

    def __init__(
        self, *alike: str, new: str = "Why is the evening sky {} over the hills of {}?"
    ) -> None:
        self.alike = alike
        """Words of prompts whose answers are all of the same worth."""
        self.new = new
        self.said = 0

    def __call__(self, call: Call) -> Reply:
        text = call.messages[-1].content
        if isinstance(call.shape, ChoiceShape):
            one, two = sorted(set(re.findall(r"answer \d{4}", text)))
            if any(word in text for word in self.alike):
                return Reply(text="A", choice_logprobs={"A": -0.7, "B": -0.7})
            return prefers(call, two, one)
        self.said += 1
        if call.purpose == "evolution":
            return Reply(text=self.new.format(f"red{self.said}", f"town{self.said}"))
        return Reply(text=f"answer {self.said:04d}")


def played(
    room: Room | None = None, options: Options | None = None, seats: Cast | None = None
) -> Rehearsal:
    return rehearse(
        creator_solver.play(SEED, seats or cast(), options or Options()), room or Room()
    )


def noted(done: Rehearsal) -> list[Evolved]:
    return [note for note in done.recorded.notes if isinstance(note, Evolved)]


def purposes(done: Rehearsal, purpose: str) -> int:
    return sum(turn.call.purpose == purpose for turn in done.recorded.turns)


def test_an_informative_seed_is_evolved_and_the_new_prompt_answered() -> None:
    done = played()
    (note,) = noted(done)
    assert (note.id, note.parent, note.dropped) == ("s1.e1", "s1", "")
    assert note.value is not None
    assert note.value == pytest.approx(2.9)
    assert note.operation in USUAL
    assert purposes(done, "answer") == 8
    asked = [t.call.messages for t in done.recorded.turns if t.call.purpose == "answer"]
    assert asked == [SEED.prompt] * 4 + [note.prompt] * 4


def test_verdicts_are_of_the_prompt_that_was_answered_and_hold_best_against_worst() -> None:
    done = played()
    verdicts = done.recorded.verdicts
    assert {v.edge for v in verdicts} == {"solver"}
    for context, answers in ((SEED.prompt, {0, 1, 2, 3}), (noted(done)[0].prompt, None)):
        own = [v for v in verdicts if v.context == context]
        assert len(own) in (5, 6)
        assert any({v.a, v.b} == {min(own_all(own)), max(own_all(own))} for v in own)
        assert answers is None or own_all(own) == answers


def own_all(verdicts: list[Verdict]) -> set[int]:
    return {index for v in verdicts for index in (v.a, v.b)}


def test_an_uninformative_seed_is_accounted_for_and_evolved_no_further() -> None:
    done = played(Room("sky blue"))
    (note,) = noted(done)
    assert (note.dropped, note.operation, note.value) == ("uninformative", "none", 0.0)
    assert note.prompt == SEED.prompt
    assert "gap 0 is not above 0" in note.why
    assert purposes(done, "evolution") == 0


def test_an_uninformative_new_prompt_is_dropped_and_its_parent_stays() -> None:
    done = played(Room("evening"), Options(rounds=3))
    assert [(n.id, n.parent, n.dropped, n.value) for n in noted(done)] == [
        ("s1.e1", "s1", "uninformative", 0.0),
        ("s1.e2", "s1", "uninformative", 0.0),
        ("s1.e3", "s1", "uninformative", 0.0),
    ]


def test_informative_prompts_are_evolved_on() -> None:
    notes = noted(played(options=Options(rounds=3)))
    assert [(n.id, n.parent, n.dropped) for n in notes] == [
        ("s1.e1", "s1", ""),
        ("s1.e2", "s1.e1", ""),
        ("s1.e3", "s1.e2", ""),
    ]


def test_the_threshold_is_in_the_unit_of_the_judging_play() -> None:
    assert noted(played(options=Options(threshold=2.8)))[0].dropped == ""
    (note,) = noted(played(options=Options(threshold=3)))
    assert (note.dropped, note.operation) == ("uninformative", "none")
    assert note.value == pytest.approx(2.9)


def test_a_play_without_a_margin_gives_one() -> None:
    def answer(call: Call) -> str | Reply:
        if call.purpose != "ballot":
            return room(call)
        shown = re.findall(r"Answer (\w):\n<[^>]+>\nanswer (\d+)", call.messages[-1].content)
        best = max(shown, key=lambda one: int(one[1]))
        return json.dumps({"explanation": "so", "better": best[0]})

    room = Room()
    done = rehearse(creator_solver.play(SEED, cast("pairwise"), Options()), answer)
    assert [note.value for note in noted(done)] == [1.0]


def test_a_rule_drops_before_anybody_answers() -> None:
    done = played(Room(new="Sure! Here {}{}"), Options(rounds=2))
    assert [note.dropped for note in noted(done)] == ["meta_talk", "meta_talk"]
    assert [note.value for note in noted(done)] == [None, None]
    assert purposes(done, "answer") == 4


def test_the_new_prompt_has_neither_reference_nor_checker() -> None:
    seats = Cast(
        seats=cast().seats, judging=Judging(play="logprob", checker="decides", checker_margin=0.1)
    )
    done = rehearse(creator_solver.play(SEED, seats, Options()), Room())
    by = {v.context: v.judging for v in done.recorded.verdicts}
    assert by[SEED.prompt] == "checker"
    assert by[noted(done)[0].prompt] == "logprob"


def test_several_solvers_answer_and_creators_are_drawn() -> None:
    spoke = set()
    for n in range(10):
        seed = SEED.model_copy(update={"id": f"s{n}", "checker": None})
        seats = cast(solver=(SOLVER, BEN), creator=(CREATOR, OTHER))
        done = rehearse(creator_solver.play(seed, seats, Options(answers=2)), Room())
        assert purposes(done, "answer") == 8
        spoke |= {t.call.agent for t in done.recorded.turns if t.call.purpose == "evolution"}
    assert spoke == {"creator", "other"}


def refusing(who: str, room: Room) -> object:
    def answer(call: Call) -> Reply | Turn:
        if call.purpose == "answer" and who in (call.agent, call.messages[-1].content[:20]):
            failure = Failure(kind="content_filter", message="no")
            return Turn(index=0, call=call, reply=Reply(text=""), failure=failure)
        return room(call)

    return answer


def test_refused_answers_end_as_verdicts_and_spoil_no_gap() -> None:
    answer = refusing("ben", Room())
    assert callable(answer)
    seats = cast(solver=(SOLVER, BEN))
    done = rehearse(creator_solver.play(SEED, seats, Options(answers=2)), answer)
    (note,) = noted(done)
    assert note.value == pytest.approx(2.9)
    for context in (SEED.prompt, note.prompt):
        own = [v for v in done.recorded.verdicts if v.context == context]
        assert [v.reason.split(":")[0] for v in own if v.outcome == "abstain"] == ["no_content"] * 2
        assert len(own_all(own)) == 4


def test_nobody_answering_the_seed_fails_the_session_and_the_new_prompt_is_dropped() -> None:
    answer = refusing("solver", Room())
    assert callable(answer)
    with pytest.raises(CallRefused, match="'solver'"):
        rehearse(creator_solver.play(SEED, cast(), Options()), answer)
    answer = refusing("Why is the evening s", Room())
    assert callable(answer)
    (note,) = noted(rehearse(creator_solver.play(SEED, cast(), Options()), answer))
    assert (note.dropped, note.value) == ("call_refused", None)


def test_the_same_answer_every_time_is_uninformative() -> None:
    done = rehearse(creator_solver.play(SEED, cast(), Options()), lambda _: "It is the air.")
    assert [note.dropped for note in noted(done)] == ["uninformative"]
    assert {v.outcome for v in done.recorded.verdicts} == {"tie"}


def test_it_resumes_anywhere() -> None:
    def answer(call: Call) -> Reply:
        text = call.messages[-1].content
        if isinstance(call.shape, ChoiceShape):
            shown = sorted(re.findall(r"answer \w{6}", text))
            return prefers(call, shown[-1], shown[0])
        word = fingerprint(call)
        if call.purpose == "evolution":
            return Reply(text=f"Why is the {word[:4]} sky {word[4:8]} over {word[8:12]}?")
        return Reply(text=f"answer {fingerprint([call.agent, text])[:6]}")

    def session() -> Play[None]:
        seats = cast(solver=(SOLVER, BEN))
        return creator_solver.play(SEED, seats, Options(answers=2, rounds=2))

    resumes(session, answer)


def test_options_out_of_range_are_refused() -> None:
    for given, words in (({"answers": 1}, "got 1"), ({"threshold": -1}, "got -1")):
        with pytest.raises(InputError, match=words):
            options_of("protocol", "creator_solver", Options, given)
