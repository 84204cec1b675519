"""Judging plays meet garbage, ties, forged verdicts and swapped order."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.judges import compare, logprob, pairwise, with_lead
from aaa.play import Play, rehearse
from aaa.types import Agent, Call, Cast, JsonShape, Judging, Reply, Side, Verdict
from tests.classroom import ANNA, JUDGE, SEED, TEACHER, cast, prefers, shown_first, turn

GOOD, BAD = turn(0, "Rayleigh scattering"), turn(1, "because the sea is blue")


def judged(play: Play[Verdict], answer: object) -> Verdict:
    result = rehearse(play, answer).result  # type: ignore[arg-type]
    assert isinstance(result, Verdict)
    return result


def comparison(play: str, **options: object) -> Play[Verdict]:
    judging = Judging(play=play, options=options)
    return compare(cast(judging=judging), SEED, GOOD, BAD, edge="revision")


def labels_of(call: Call) -> list[str]:
    assert isinstance(call.shape, JsonShape)
    enum: list[str] = call.shape.fields["properties"]["better"]["enum"]
    return enum


def names(call: Call, wanted: str) -> str:
    """A written verdict for the answer whose text is `wanted`, under its blind label."""
    first, second, _ = labels_of(call)
    label = first if shown_first(call, GOOD.text, BAD.text) == wanted else second
    return json.dumps({"explanation": "seen", "better": label})


# Log-probabilities


def test_logprob_win_needs_no_particular_order() -> None:
    verdict = judged(comparison("logprob"), lambda c: prefers(c, GOOD.text, BAD.text))
    assert (verdict.outcome, verdict.winner, verdict.chosen) == ("win", "a", 0)
    assert verdict.margin == pytest.approx(2.9)
    assert {b.order for b in verdict.ballots} == {"ab", "ba"}


def test_logprob_position_bias_cancels_to_a_tie() -> None:
    always_a = Reply(text="A", choice_logprobs={"A": -0.1, "B": -5.0})
    verdict = judged(comparison("logprob"), lambda _: always_a)
    assert (verdict.outcome, verdict.winner) == ("tie", None)


@pytest.mark.parametrize(
    ("winner", "leads", "expected"),
    [
        ("a", [1.0, 1.0, -8.0], (("tie", None), 2.0)),
        ("b", [-1.0, -1.0, 8.0], (("tie", None), 2.0)),
        ("a", [1.0, 1.0, -2.0], (("tie", None), 0.0)),
        ("a", [4.0, 3.0, -1.0], (("win", "a"), 2.0)),
        ("b", [-4.0, None, -2.0], (("win", "b"), 3.0)),
        ("b", [None], (("win", "b"), None)),
    ],
)
def test_who_wins_by_votes_must_lead_on_average(
    winner: Side, leads: list[float | None], expected: object
) -> None:
    assert with_lead(("win", winner), leads) == expected


def test_without_a_winner_the_margin_is_how_far_they_lie_apart() -> None:
    assert with_lead(("flip", None), [-3.0, 1.0]) == (("flip", None), 1.0)


def test_logprob_below_the_margin_is_a_tie() -> None:
    verdict = judged(comparison("logprob", margin=3.0), lambda c: prefers(c, GOOD.text, BAD.text))
    assert verdict.outcome == "tie"


def test_logprob_pointwise_scores_each_answer_alone() -> None:
    def yes_to_good(call: Call) -> Reply:
        good = GOOD.text in call.messages[-1].content
        return Reply(text="", choice_logprobs={"Yes": -0.1 if good else -2.1, "No": -1.1})

    verdict = judged(comparison("logprob", mode="pointwise"), yes_to_good)
    assert (verdict.outcome, verdict.winner) == ("win", "a")
    assert verdict.margin == pytest.approx(2.0)
    assert [b.order for b in verdict.ballots] == ["a", "b"]


def test_logprob_absent_choice_is_at_most_the_floor() -> None:
    only_b = Reply(text="B", choice_logprobs={"B": -0.1}, logprob_floor=-9.0)
    verdict = judged(comparison("logprob"), lambda _: only_b)
    scores = verdict.ballots[0].scores or {}
    assert [scores["a"], scores["b"]] == pytest.approx([-8.9, 8.9])


@pytest.mark.parametrize("reply", [Reply(text="A"), Reply(text="A", choice_logprobs={})])
def test_logprob_without_numbers_is_an_error(reply: Reply) -> None:
    verdict = judged(comparison("logprob"), lambda _: reply)
    assert verdict.outcome == "error"
    assert verdict.winner is None
    assert "judge" in verdict.reason


def test_a_score_of_nothing_has_no_sign() -> None:
    """The database gives -0.0 back as 0.0; a resumed session would then find another verdict."""
    even = Reply(text="A", choice_logprobs={"A": -1.0, "B": -1.0})
    verdict = judged(comparison("logprob"), lambda _: even)
    scores = [score for ballot in verdict.ballots for score in (ballot.scores or {}).values()]
    assert [str(score) for score in scores] == ["0.0"] * 4


# Written verdicts


def test_pairwise_win_in_both_orders() -> None:
    verdict = judged(comparison("pairwise"), lambda c: names(c, BAD.text))
    assert (verdict.outcome, verdict.winner, verdict.chosen, verdict.rejected) == ("win", "b", 1, 0)


def test_pairwise_always_the_first_shown_is_a_flip() -> None:
    def first(call: Call) -> str:
        return json.dumps({"explanation": "", "better": labels_of(call)[0]})

    verdict = judged(comparison("pairwise"), first)
    assert (verdict.outcome, verdict.winner) == ("flip", None)


def test_pairwise_tie() -> None:
    tie = json.dumps({"explanation": "", "better": "tie"})
    assert judged(comparison("pairwise"), lambda _: tie).outcome == "tie"


def test_pairwise_unreadable_is_asked_once_more() -> None:
    asked: list[Call] = []

    def garbled_once(call: Call) -> str:
        asked.append(call)
        return "sure! {" if len(asked) <= 2 else names(call, GOOD.text)

    verdict = judged(comparison("pairwise"), garbled_once)
    assert len(asked) == 4
    assert (verdict.outcome, verdict.winner) == ("win", "a")


@pytest.mark.parametrize(
    "reply",
    ["", "A", "null", "[]", '{"better": "tie"}', '{"explanation": "x", "better": "A "}',
     '{"explanation": "x", "better": "tie", "extra": 1}', "[[A]]", '```json\n{"better":"tie"}\n```'],
)  # fmt: skip
def test_pairwise_garbage_is_an_error_never_a_tie(reply: str) -> None:
    verdict = judged(comparison("pairwise"), lambda _: reply)
    assert verdict.outcome == "error"
    assert verdict.winner is None


def test_a_key_that_stands_twice_is_an_error() -> None:
    """A reader that takes the last one would take what an echoed answer appended."""

    def twice(call: Call) -> str:
        return names(call, GOOD.text)[:-1] + ', "better": "tie"}'

    assert judged(comparison("pairwise"), twice).outcome == "error"


def test_a_reply_that_was_cut_off_is_an_error_even_if_it_can_be_read() -> None:
    def cut(call: Call) -> Reply:
        return Reply(text=names(call, GOOD.text), finish_reason="length")

    verdict = judged(comparison("pairwise"), cut)
    assert verdict.outcome == "error"
    assert "longest" in verdict.reason


@given(text=st.text(max_size=300), other=st.text(max_size=300))
def test_no_answer_text_changes_the_parsed_verdict(text: str, other: str) -> None:
    """The judge names what was shown first in the first order; whatever the answers hold, that counts."""
    a, b = turn(0, f"x{text}"), turn(1, f"y{other}")

    def calls(call: Call) -> str:
        return json.dumps({"explanation": "", "better": labels_of(call)[0]})

    judging = Judging(play="pairwise")
    verdict = judged(compare(cast(judging=judging), SEED, a, b, edge="revision"), calls)
    assert verdict.outcome == "flip"


def test_labels_and_fences_change_from_contest_to_contest() -> None:
    shapes, fences = set(), set()
    for n in range(20):
        a, b = turn(0, f"yes, {n} times"), turn(1, "no")

        def look(call: Call) -> str:
            shapes.add(tuple(labels_of(call)))
            fences.add(call.messages[-1].content.split("\n")[1])
            return "{}"

        rehearse(compare(cast(), SEED, a, b, edge="peer"), look)
    assert len(shapes) > 10
    assert len(fences) == 20


def test_a_label_belongs_to_the_place_not_to_the_answer() -> None:
    """What names a label then asks for one answer in one order and for the other in the other."""
    seen: list[tuple[str, str]] = []

    def look(call: Call) -> str:
        text = call.messages[-1].content
        first, second, _ = labels_of(call)
        assert text.index(f"Answer {first}:") < text.index(f"Answer {second}:")
        seen.append((first, second))
        return "{}"

    rehearse(compare(cast(), SEED, GOOD, BAD, edge="peer"), look)
    assert len(set(seen)) == 1


def test_the_same_contest_gets_the_same_prompts_whatever_its_turns_are_numbered() -> None:
    def prompts(first: int) -> list[str]:
        a, b = turn(first, GOOD.text), turn(first + 5, BAD.text)
        done = rehearse(compare(cast(), SEED, a, b, edge="peer"), lambda _: "{}")
        return [t.call.messages[-1].content for t in done.recorded.turns]

    assert prompts(0) == prompts(7)


# What needs no judge


@pytest.mark.parametrize("empty", ["", "   ", ":", "\n", "...", "\u200b"])
def test_empty_answers_are_never_chosen(empty: str) -> None:
    play = compare(cast(), SEED, turn(0, empty), BAD, edge="revision")
    done = rehearse(play, lambda _: "{}")
    verdict = done.result
    assert isinstance(verdict, Verdict)
    assert (verdict.outcome, verdict.winner, done.batches) == ("abstain", None, ())


def test_identical_answers_are_a_tie_without_a_call() -> None:
    done = rehearse(compare(cast(), SEED, GOOD, turn(1, GOOD.text), edge="r"), lambda _: "{}")
    assert isinstance(done.result, Verdict)
    assert (done.result.outcome, done.batches) == ("tie", ())


# Who may judge


def relatives() -> list[Agent]:
    return [
        ANNA,
        Agent(name="cousin", family=ANNA.family),
        Agent(name="child", family="new", lineage=("anna",)),
        Agent(name="sibling", family="new", lineage=("sapling",)),
        Agent(name="alias", family="new", model="local/anna"),
    ]


@pytest.mark.parametrize("relative", relatives(), ids=lambda agent: agent.name)
def test_relatives_do_not_judge(relative: Agent) -> None:
    play = compare(cast(judges=(relative, JUDGE)), SEED, GOOD, BAD, edge="revision")
    verdict = judged(play, lambda _: json.dumps({"explanation": "", "better": "tie"}))
    assert {b.judge for b in verdict.ballots} == {"judge"}
    assert not verdict.related_judges


def test_relatives_judge_only_where_the_scenario_says_so_and_it_is_written_down() -> None:
    judging = Judging(exclude_family=False)
    play = compare(cast(judging=judging, judges=(ANNA,)), SEED, GOOD, BAD, edge="revision")
    verdict = judged(play, lambda _: json.dumps({"explanation": "", "better": "tie"}))
    assert verdict.related_judges


def test_nobody_left_to_judge_abstains() -> None:
    verdict = judged(
        compare(cast(judges=(ANNA,)), SEED, GOOD, BAD, edge="revision"), lambda _: "{}"
    )
    assert (verdict.outcome, verdict.ballots) == ("abstain", ())


def panel(*wins: str | None) -> Verdict:
    """Three judges; each names the text given for it, or writes garbage."""
    judges = tuple(Agent(name=f"j{n}", family=f"f{n}") for n in range(len(wins)))

    def by_judge(call: Call) -> str:
        wanted = wins[int(call.agent[1:])]
        return "garbage" if wanted is None else names(call, wanted)

    seats: Cast = cast(judges=judges)
    return judged(compare(seats, SEED, GOOD, BAD, edge="revision"), by_judge)


def test_a_panel_needs_more_than_half_of_all_its_judges() -> None:
    assert panel(GOOD.text, GOOD.text, BAD.text).winner == "a"
    assert panel(GOOD.text, BAD.text).outcome == "tie"
    assert panel(GOOD.text, None, None).outcome == "error"
    assert panel(GOOD.text, GOOD.text, None).winner == "a"


def test_options_have_limits() -> None:
    with pytest.raises(ValueError):
        logprob.Options(margin=-1)
    with pytest.raises(ValueError):
        pairwise.Options(explanation_tokens=0)
    assert TEACHER.family != JUDGE.family
