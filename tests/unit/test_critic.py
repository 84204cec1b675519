"""Critique data: tampering held against rules, critiques compared by a judge who knows the flaw."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from aaa.errors import InputError, PlayError
from aaa.play import Play, Rehearsal, rehearse
from aaa.plugins import options_of
from aaa.protocols import critic
from aaa.protocols.critic import Options, Tampered, flaw_in
from aaa.types import Agent, Call, Cast, Evolved, Failure, Judging, Reply, Seed, Turn
from tests.classroom import ANNA, BEN, JUDGE, TEACHER, user
from tests.playing import verdict_for
from tests.resuming import resumes

GOOD = "The sky is blue because air scatters blue light more than red light."
BAD = "The sky is blue because air scatters red light more than blue light."
SEED = Seed(
    id="s1", prompt=user("Why is the sky blue?"), reference=GOOD, checker={"kind": "exact", "value": "x"}
)  # fmt: skip
MOLE = Agent(name="mole", family="ash")
FLAW = "It swaps red and blue."


def tampered(text: str = BAD, flaw: str = FLAW) -> str:
    return json.dumps({"flaw": flaw, "tampered": text})


Choice = tuple[str, dict[str, Any]]
"""A judging play and its options."""


def cast(*critics: Agent, play: str = "pairwise", **seats: tuple[Agent, ...]) -> Cast:
    held = {"student": critics or (ANNA, BEN), "tamperer": (MOLE,), "judge": (JUDGE,), **seats}
    return Cast(seats=held, judging=Judging(play=play))


def said(call: Call) -> str:
    """Ben finds the flaw where there is one; Anna always finds one. The judge knows."""
    if call.purpose == "tampering":
        return tampered()
    if call.purpose == "critique":
        finds = BAD in call.messages[-1].content
        if call.agent == "anna":
            return "Wrong: the sky is grey."
        return "It should be blue more than red." if finds else "It is right."
    if call.purpose == "answer":
        return GOOD
    sound = "holds no mistake" in call.messages[-1].content
    return verdict_for(call, "It is right." if sound else "blue more than red")


def played(
    options: Options | None = None,
    seats: Cast | None = None,
    seed: Seed = SEED,
    answer: Callable[[Call], str | Reply | Turn] = said,
) -> Rehearsal:
    return rehearse(critic.play(seed, seats or cast(), options or Options()), answer)


def noted(done: Rehearsal) -> list[Evolved]:
    return [note for note in done.recorded.notes if isinstance(note, Evolved)]


def test_the_critique_that_finds_the_flaw_wins() -> None:
    done = played()
    assert done.batches == (1, 2, 2)
    (made,) = noted(done)
    assert (made.id, made.parent, made.operation, made.dropped) == ("s1.t1", "s1", "tamper", "")
    assert BAD in made.prompt[0].content
    (verdict,) = done.recorded.verdicts
    assert (verdict.edge, verdict.outcome, verdict.context) == ("critique", "win", made.prompt)
    assert verdict.chosen is not None
    assert done.recorded.turns[verdict.chosen].call.agent == "ben"
    assert done.recorded.turns[verdict.chosen].call.messages == verdict.context


def test_the_judge_alone_knows_the_flaw() -> None:
    done = played()
    by = {turn.call.purpose: turn.call.messages[-1].content for turn in done.recorded.turns}
    assert FLAW in by["ballot"]
    assert FLAW not in by["critique"]
    assert GOOD not in by["critique"]


def test_no_checker_is_asked_about_critiques() -> None:
    seats = cast().model_copy(update={"judging": Judging(play="pairwise", checker="decides")})
    (verdict,) = played(seats=seats).recorded.verdicts
    assert verdict.judging == "pairwise"


def test_one_critic_writes_two() -> None:
    done = played(seats=cast(BEN))
    assert done.batches[:2] == (1, 2)
    (verdict,) = done.recorded.verdicts
    assert (verdict.outcome, verdict.reason) == ("tie", "the answers are identical")


def test_controls_punish_who_invents_a_flaw() -> None:
    done = played(Options(controls=True))
    assert done.batches == (1, 4, 4)
    one, two = done.recorded.verdicts
    assert (one.edge, two.edge) == ("critique", "critique_control")
    assert GOOD in two.context[0].content
    assert two.chosen is not None
    assert done.recorded.turns[two.chosen].text == "It is right."


def test_several_critiques_are_ranked_and_every_one_is_in_a_verdict() -> None:
    def answer(call: Call) -> str:
        if call.purpose == "critique":
            texts.append(f"critique {len(texts)} {'x' * len(texts)}")
            return texts[-1]
        if call.purpose == "tampering":
            return tampered()
        shown = re.findall(r"Answer (\w):\n<[^>]+>\ncritique (\d+)", call.messages[-1].content)
        best = max(shown, key=lambda one: int(one[1]))
        return json.dumps({"explanation": "so", "better": best[0]})

    texts: list[str] = []
    done = played(Options(critiques=2), answer=answer)
    assert len(texts) == 4
    verdicts = done.recorded.verdicts
    assert {v.outcome for v in verdicts} == {"win"}
    assert {index for v in verdicts for index in (v.a, v.b)} == {1, 2, 3, 4}
    assert len(verdicts) <= 5


def test_refused_and_empty_critiques_end_as_verdicts_too() -> None:
    def answer(call: Call) -> str | Turn:
        if call.purpose == "critique" and call.agent == "anna":
            failure = Failure(kind="content_filter", message="no")
            return Turn(index=0, call=call, reply=Reply(text=""), failure=failure)
        return "…" if call.purpose == "critique" and call.agent == "carl" else said(call)

    carl = Agent(name="carl", family="yew")
    done = played(seats=cast(ANNA, BEN, carl), answer=answer)
    assert [(v.outcome, v.reason.split(":")[0]) for v in done.recorded.verdicts] == [
        ("abstain", "no_content"), ("abstain", "no_content"),
    ]  # fmt: skip
    assert {index for v in done.recorded.verdicts for index in (v.a, v.b)} == {1, 2, 3}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (BAD, ""),
        (GOOD, "unchanged"),
        (f" {GOOD}\n", "unchanged"),
        (GOOD.replace(".", "!"), ""),
        ("…", "no_content"),
        ("Quite another answer that says a lot about many other things under the wide sun.", "rewritten"),
        ("Grass is green.", ""),
        (f"{BAD} (wrong)", "announced"),
        (f"{BAD} This is a deliberate mistake.", "announced"),
    ],
)  # fmt: skip
def test_what_was_tampered_with_is_held_against_rules(text: str, code: str) -> None:
    found, why = flaw_in(GOOD, Tampered(flaw=FLAW, tampered=text))
    assert found == code
    assert bool(why) == bool(code)
    done = played(answer=lambda call: tampered(text) if call.purpose == "tampering" else said(call))
    assert [note.dropped for note in noted(done)] == [code]
    assert len(done.recorded.verdicts) == (not code)


def test_a_good_answer_between_our_marks_is_still_the_good_answer() -> None:
    """Seen: a weak tamperer returns what it was shown, marks and all, and tells of a flaw it never made."""

    def answer(call: Call) -> str:
        return next(replies) if call.purpose == "tampering" else said(call)

    marked = (f"<text-a27d99efcc>{text}</text-a27d99efcc>" for text in (GOOD, BAD))
    replies = iter([tampered(text) for text in marked])
    notes = noted(played(answer=answer)) + noted(played(answer=answer))
    assert [note.dropped for note in notes] == ["unchanged", ""]
    assert not any("text-a27d" in note.prompt[0].content for note in notes)


def test_a_word_of_the_good_answer_announces_nothing() -> None:
    good = "A flaw in a crystal is a missing atom."
    assert flaw_in(good, Tampered(flaw=FLAW, tampered=good.replace("missing", "spare")))[0] == ""


@pytest.mark.parametrize(
    "reply", ["I change red to blue.", '{"tampered": "x"}', '{"flaw": "", "tampered": "x"}']
)
def test_an_unreadable_reply_is_asked_for_once_more_then_dropped(reply: str) -> None:
    done = played(answer=lambda call: reply if call.purpose == "tampering" else said(call))
    assert done.batches == (1, 1)
    (note,) = noted(done)
    assert note.dropped == "unreadable"
    assert note.why
    texts = iter([reply, tampered()])
    done = played(answer=lambda call: next(texts) if call.purpose == "tampering" else said(call))
    assert [note.dropped for note in noted(done)] == [""]


def test_a_refused_tampering_is_dropped_and_the_control_still_played() -> None:
    def answer(call: Call) -> str | Turn:
        if call.purpose == "tampering":
            failure = Failure(kind="content_filter", message="no")
            return Turn(index=0, call=call, reply=Reply(text=""), failure=failure)
        return said(call)

    done = played(Options(controls=True), answer=answer)
    assert [note.dropped for note in noted(done)] == ["call_refused"]
    assert [v.edge for v in done.recorded.verdicts] == ["critique_control"]


def test_several_versions_each_with_its_critiques_and_no_version_twice() -> None:
    texts = iter([BAD, BAD.replace("air", "dust"), BAD])
    done = played(
        Options(tampered=3),
        answer=lambda call: tampered(next(texts)) if call.purpose == "tampering" else said(call),
    )
    assert [(n.id, n.dropped) for n in noted(done)] == [
        ("s1.t1", ""), ("s1.t2", ""), ("s1.t3", "repeated"),
    ]  # fmt: skip
    assert done.batches[:2] == (3, 4)
    assert len({v.context for v in done.recorded.verdicts}) == 2


def test_tamperers_are_drawn_by_the_seed() -> None:
    other = Agent(name="other", family="fir")
    spoke = set()
    for n in range(12):
        seed = SEED.model_copy(update={"id": f"s{n}"})
        done = played(seats=cast(tamperer=(MOLE, other)), seed=seed)
        spoke.add(done.recorded.turns[0].call.agent)
    assert spoke == {"mole", "other"}


@pytest.mark.parametrize(("teachers", "by"), [((TEACHER,), "tutor"), ((), "mole")])
def test_without_a_reference_somebody_writes_the_good_answer(
    teachers: tuple[Agent, ...], by: str
) -> None:
    bare = SEED.model_copy(update={"reference": None})
    done = played(seats=cast(teacher=teachers), seed=bare)
    assert done.batches == (1, 1, 2, 2)
    first = done.recorded.turns[0].call
    assert (first.agent, first.purpose) == (by, "answer")
    assert GOOD in done.recorded.turns[1].call.messages[-1].content


@pytest.mark.parametrize(
    ("reply", "code"),
    [(Reply(text=""), "no_content"), (Reply(text=GOOD, finish_reason="length"), "truncated")],
)
def test_no_good_answer_is_noted_and_ends_it(reply: Reply, code: str) -> None:
    bare = SEED.model_copy(update={"reference": None})
    done = played(seed=bare, answer=lambda _: reply)
    assert [note.dropped for note in noted(done)] == [code]
    assert done.batches == (1,)


def judged_by(choice: Choice) -> Cast:
    play, options = choice
    return cast().model_copy(update={"judging": Judging(play=play, options=options)})


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        *(((play, {}), repr(play)) for play in critic.BLIND),
        (("panel", {"play": "scores"}), "'scores'"),
        (("reference", {"whose": "own"}), "'reference' with `whose: own`"),
        (("panel", {"play": "reference", "options": {"whose": "own"}}), "`whose: own`"),
    ],
)
def test_a_judge_who_would_not_know_the_flaw_is_refused(choice: Choice, said: str) -> None:
    with pytest.raises(PlayError, match=f"{said} does not show its judge the reference"):
        played(seats=judged_by(choice))


@pytest.mark.parametrize(
    "choice",
    [
        ("pairwise", {}),
        ("reference", {}),
        ("rubric", {}),
        ("panel", {}),
        ("panel", {"play": "reference"}),
    ],
)
def test_the_others_do_show_it(choice: Choice) -> None:
    done = played(seats=judged_by(choice), answer=lambda call: said_by_any(call))
    ballots = [turn.call for turn in done.recorded.turns if turn.call.purpose == "ballot"]
    assert ballots
    assert all(FLAW in call.messages[-1].content for call in ballots)


def said_by_any(call: Call) -> str:
    return said(call) if call.purpose in ("tampering", "critique") else "unreadable"


def test_it_resumes_anywhere() -> None:
    def session() -> Play[None]:
        return critic.play(SEED, cast(), Options(controls=True, tampered=2, critiques=2))

    resumes(session, said)


def test_a_dry_run_tampers_so_that_critics_are_asked() -> None:
    done = played(answer=lambda call: critic.made_up(call, 3) or said(call))
    assert [note.dropped for note in noted(done)] == [""]
    assert len(done.recorded.turns) == 1 + 2 + 2


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match=r"option 'tampered'.*got 9"):
        options_of("protocol", "critic", Options, {"tampered": 9})
