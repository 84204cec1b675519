"""The debate: who reads what, what the votes make of it, and that every candidate is on the record."""

import re
from collections import Counter
from collections.abc import Callable
from itertools import combinations, product
from typing import Any

import pytest

from aaa.catalogue import Catalogue
from aaa.estimate import estimate
from aaa.play import CallRefused, Play, Rehearsal, rehearse
from aaa.protocols import debate
from aaa.types import (
    Agent,
    Call,
    Cast,
    Check,
    CheckFailure,
    Checks,
    CheckWish,
    Consensus,
    Failure,
    Judging,
    Reply,
    Seed,
    Turn,
)
from tests.catalogues import small_catalogue
from tests.classroom import ANNA, BEN, JUDGE, prefers, user
from tests.resuming import by_checkers, resumes

CLEO = Agent(name="cleo", family="fir")
SEED = Seed(id="s1", prompt=user("What is 6 times 7?"), reference="42")
Said = Callable[[Call], str | Reply | Turn]


def debate_cast(*students: Agent, **judging: Any) -> Cast:
    seats = {"student": students or (ANNA, BEN, CLEO), "judge": (JUDGE,)}
    return Cast(seats=seats, judging=Judging.model_validate({"play": "logprob", **judging}))


def gives(**answers: str) -> Said:
    """agent=first, or agent="first>second>third": what it answers round by round; ballots are a tie."""

    def answer(call: Call) -> str | Reply:
        if call.seat == "judge":
            return Reply(text="A", choice_logprobs={"A": -0.1, "B": -0.1})
        rounds = answers[call.agent].split(">")
        before = (
            re.search(r"in round (\d+)", call.messages[-2].content) if call.messages[1:] else None
        )
        now = 0 if call.purpose == "answer" else 1 + int(before[1] if before else 0)
        text = rounds[min(now, len(rounds) - 1)]
        return f"{call.agent} in round {now}. Answer follows.\nAnswer: {text}" if text else ""

    return answer


def played(
    answer: Said, *students: Agent, seed: Seed = SEED, judging: Any = None, **options: Any
) -> Rehearsal:
    session = debate.play(seed, debate_cast(*students, **judging or {}), debate.Options(**options))
    return rehearse(session, answer, check=no_check)


def no_check(wish: CheckWish) -> Checks:
    raise AssertionError(wish)


def notes(done: Rehearsal) -> list[Consensus]:
    return [note for note in done.recorded.notes if isinstance(note, Consensus)]


def pairs(done: Rehearsal) -> list[tuple[int, int, str]]:
    return [(v.a, v.b, v.outcome + (v.winner or "")) for v in done.recorded.verdicts]


def test_all_answer_then_read_each_other_then_vote() -> None:
    done = played(gives(anna="42", ben="41>42", cleo="40"), baseline=False)
    assert done.batches == (3, 3)
    (note,) = notes(done)
    assert (note.method, note.calls, note.turns) == ("debate", 6, (3, 4, 5))
    assert (note.votes, note.answer, note.correct) == ({"42": 2, "40": 1}, "42", True)


def test_a_debater_reads_the_others_and_not_their_names() -> None:
    done = played(gives(anna="42", ben="41", cleo="40"))
    call = done.recorded.turns[3].call
    assert (call.agent, call.purpose) == ("anna", "debate")
    assert [m.role for m in call.messages] == ["user", "assistant", "user"]
    assert call.messages[1].content == done.recorded.turns[0].text
    shown = call.messages[2].content
    assert "Answer: 41" in shown
    assert "Answer: 40" in shown
    assert "Answer: 42" not in shown
    assert "Person 1 wrote:\nben in" in shown


def test_rounds_go_on_until_all_agree() -> None:
    answer = gives(anna="42", ben="41>42", cleo="40>41>42")
    done = played(answer, rounds=4, baseline=False)
    assert done.batches == (3, 3, 3)
    assert played(answer, rounds=4, baseline=False, until_agreed=False).batches == (3,) * 5
    assert notes(done)[0].votes == {"42": 3}


def test_who_agrees_from_the_start_debates_nothing() -> None:
    done = played(gives(anna="42", ben="42", cleo="42"))
    assert done.batches == (3,)
    assert [(n.method, n.calls, n.votes) for n in notes(done)] == [
        ("debate", 3, {"42": 3}),
        ("self_consistency", 3, {"42": 3}),
    ]


@pytest.mark.parametrize(("rounds", "copies"), [(1, 1), (2, 1), (1, 2), (3, 2)])
def test_the_baseline_takes_as_many_calls(rounds: int, copies: int) -> None:
    done = played(gives(anna="42", ben="41", cleo="40"), rounds=rounds, copies=copies)
    n = 3 * copies
    debated, alone = notes(done)
    assert debated.calls == alone.calls == n * (rounds + 1)
    assert len(alone.turns) == n * (rounds + 1)
    assert len(done.recorded.turns) == n * (2 * rounds + 1)  # the first answers count for both
    singles = [done.recorded.turns[index].call for index in alone.turns]
    assert {call.purpose for call in singles} == {"answer"}
    agents = [call.agent for call in singles]
    assert {agents.count(name) for name in ("anna", "ben", "cleo")} == {copies * (rounds + 1)}


def test_the_same_model_debates_with_itself() -> None:
    done = played(gives(anna="42"), ANNA, copies=3, until_agreed=False)
    assert done.batches[:2] == (3, 3)


# --- pairs ---


def test_pairs_by_vote() -> None:
    done = played(gives(anna="42", ben="41>42", cleo="40"), baseline=False)
    assert pairs(done) == [
        (1, 4, "winb"),  # ben came to it
        (3, 5, "wina"),  # cleo never did
        (4, 5, "wina"),
    ]
    own, across, _ = done.recorded.verdicts
    assert (own.edge, own.judging, own.ballots, own.margin) == ("consensus", "vote", (), 2.0)
    assert own.reason == "votes: '42' 2, '40' 1"
    assert across.margin == 1.0


def test_who_leaves_the_consensus_is_a_pair_the_other_way() -> None:
    done = played(gives(anna="42", ben="42>41", cleo="42", dora="40>42"), *_four(), baseline=False)
    assert (1, 5, "wina") in pairs(done)


ANSWERS = ("42", "41", "42>41", "41>42", "who knows; well>42", "", ">42", "42>")


def ends(answers: tuple[str, ...]) -> list[tuple[str, str]]:
    """What each debater says first and last: it talks where somebody else said something."""
    firsts = [one.partition(">")[0] for one in answers]
    if len(set(firsts)) == 1 and firsts[0].isdigit():
        return [(first, first) for first in firsts]
    found = []
    for place, (one, first) in enumerate(zip(answers, firsts, strict=True)):
        heard = any(firsts[:place] + firsts[place + 1 :])
        found.append((first, (one.rpartition(">")[2] or first) if heard else first))
    return found


def test_every_candidate_has_its_verdict() -> None:
    """Each two answers, of one debater or of two, of which one gives the consensus and the other does not."""
    for answers in product(ANSWERS, repeat=3):
        said = gives(**dict(zip(("anna", "ben", "cleo"), answers, strict=True)))
        done = played(said, form="number", baseline=False)
        consensus, lines = notes(done)[0].answer, ends(answers)
        every = [*lines, *combinations([last for _, last in lines], 2)]
        wanted = [pair for pair in every if consensus and pair.count(consensus) == 1]
        decided = sum(all(answer.isdigit() for answer in pair) for pair in wanted)
        outcomes = [v.outcome for v in done.recorded.verdicts]
        assert outcomes.count("win") == decided, answers
        assert outcomes.count("abstain") == len(outcomes) - decided == len(wanted) - decided


def test_without_a_consensus_the_note_says_so_and_nothing_is_compared() -> None:
    done = played(gives(anna="1", ben="2", cleo="3"))
    assert done.recorded.verdicts == ()
    assert [(n.answer, n.correct) for n in notes(done)] == [(None, None)] * 2
    assert notes(done)[0].votes == {"1": 1, "2": 1, "3": 1}


def test_an_answer_that_cannot_be_read_is_neither_for_nor_against() -> None:
    done = played(gives(anna="42", ben="who knows; well", cleo="42"), rounds=1, form="number")
    reasons = {(v.a, v.b): v.reason.partition(":")[0] for v in done.recorded.verdicts}
    assert reasons[3, 4] == reasons[4, 5] == "unreadable"
    assert notes(done)[0].votes == {"42": 2}
    assert notes(done)[0].turns == (3, 5)


def test_the_context_of_pairs_is_what_was_asked() -> None:
    done = played(gives(anna="42", ben="41>42", cleo="40"))
    context = done.recorded.verdicts[0].context
    assert context == done.recorded.turns[0].call.messages
    assert context[-1].content.startswith("What is 6 times 7?\n\nFirst write")
    bare = played(gives(anna="42", ben="41>42", cleo="40"), final_line=False)
    assert bare.recorded.verdicts[0].context == SEED.prompt


# --- confirmed by a judge ---

CHANGED = gives(anna="42", ben="41>42", cleo="40")


def with_judge(wanted: str, other: str) -> Said:
    def answer(call: Call) -> str | Reply | Turn:
        if call.seat != "judge":
            return CHANGED(call)
        return prefers(call, f"Answer: {wanted}", f"Answer: {other}")

    return answer


def test_a_judge_confirms_the_vote() -> None:
    done = played(with_judge("42", "41"), baseline=False, judge=True)
    own = next(v for v in done.recorded.verdicts if (v.a, v.b) == (1, 4))
    assert (own.outcome, own.winner, own.judging) == ("win", "b", "logprob")
    assert len(own.ballots) == 2
    assert own.reason == "votes: '42' 2, '40' 1"
    assert done.batches == (3, 3, 6)  # three pairs that the vote decides, in two orders


def test_a_judge_against_the_vote_is_a_flip_and_no_pair() -> None:
    done = played(with_judge("41", "42"), baseline=False, judge=True)
    own = next(v for v in done.recorded.verdicts if (v.a, v.b) == (1, 4))
    assert (own.outcome, own.winner, own.margin) == ("flip", None, None)
    assert "the judge prefers a, the vote b" in own.reason


def test_a_judge_who_cannot_tell_makes_no_pair() -> None:
    done = played(CHANGED, baseline=False, judge=True)
    assert [v.outcome for v in done.recorded.verdicts] == ["tie"] * 3


# --- right or wrong ---


@pytest.mark.parametrize(
    ("change", "correct"),
    [
        ({"reference": "41"}, False),
        ({"reference": "42."}, True),
        ({"reference": None}, None),
        ({"reference": "6 times 7 is the number of all things, as has been said before."}, None),
        ({"reference": None, "checker": {"kind": "exact", "value": ["forty-two", "42"]}}, True),
        ({"reference": None, "checker": {"kind": "exact", "value": "43"}}, False),
        ({"reference": None, "checker": {"kind": "python_tests", "tests": "assert f"}}, None),
    ],
)
def test_right_by_the_reference(change: dict[str, object], correct: bool | None) -> None:
    seed = SEED.model_copy(update=change)
    done = played(gives(anna="42", ben="42", cleo="42"), seed=seed)
    assert [n.correct for n in notes(done)] == [correct, correct]


@pytest.mark.parametrize(
    ("found", "correct"),
    [
        (Check(score=1), True),
        (Check(score=0), False),
        (CheckFailure(kind="timeout", message="x"), None),
    ],
)
def test_right_by_the_checker(found: Check | CheckFailure, correct: bool | None) -> None:
    seed = SEED.model_copy(update={"checker": {"kind": "number", "value": 42}})
    asked: list[CheckWish] = []

    def check(wish: CheckWish) -> Checks:
        asked.append(wish)
        return dict.fromkeys(wish.answers, found)

    session = debate.play(seed, debate_cast(), debate.Options())
    done = rehearse(session, gives(anna="42", ben="41", cleo="42"), check=check)
    assert [n.correct for n in notes(done)] == [correct, correct]
    assert [list(wish.answers) for wish in asked] == [[3], [0]]


# --- what goes wrong ---


def refuses(agent: str, purpose: str, answer: Said) -> Said:
    def said(call: Call) -> str | Reply | Turn:
        if (call.agent, call.purpose) != (agent, purpose):
            return answer(call)
        failure = Failure(kind="context_overflow", message="too long")
        return Turn(index=0, call=call, reply=Reply(text=""), failure=failure)

    return said


def test_who_is_refused_at_first_is_out_and_the_others_go_on() -> None:
    done = played(refuses("ben", "answer", gives(anna="42", ben="", cleo="41>42")), baseline=False)
    assert done.batches == (3, 2)
    assert notes(done)[0].votes == {"42": 2}
    refused = [v for v in done.recorded.verdicts if v.reason.startswith("refused: ")]
    assert [(v.a, v.b) for v in refused] == [(3, 1), (1, 4)]


def test_who_is_refused_later_stays_with_its_answer() -> None:
    done = played(refuses("ben", "debate", gives(anna="42", ben="41", cleo="42")), baseline=False)
    assert notes(done)[0].votes == {"42": 2, "41": 1}
    assert notes(done)[0].turns == (3, 1, 5)


def test_an_empty_answer_reads_the_others_all_the_same() -> None:
    done = played(gives(anna=">42", ben="42", cleo="41"), baseline=False)
    call = next(t.call for t in done.recorded.turns[3:] if t.call.agent == "anna")
    assert call.messages[1].content == "I have no answer yet."
    others = next(t.call for t in done.recorded.turns[3:] if t.call.agent == "ben")
    assert "Person 1 wrote:\ncleo" in others.messages[2].content


def test_one_debater_is_no_debate() -> None:
    with pytest.raises(CallRefused, match="ben"):
        played(refuses("ben", "answer", gives(anna="42", ben="")), ANNA, BEN)


def test_a_cut_off_text_votes_only_with_a_marked_answer() -> None:
    def answer(call: Call) -> Reply:
        return Reply(text=f"We have 7, {call.agent}, and 6", finish_reason="length")

    assert notes(played(answer, form="number"))[0].votes == {}


# --- the same again ---


def test_it_plays_the_same_twice() -> None:
    assert played(CHANGED, rounds=2) == played(CHANGED, rounds=2)


@pytest.mark.parametrize("judge", [False, True])
def test_it_goes_on_wherever_it_was_cut_off(judge: bool) -> None:
    seed = SEED.model_copy(update={"checker": {"kind": "number", "value": 42}})

    def session() -> Play[None]:
        return debate.play(seed, debate_cast(), debate.Options(rounds=2, judge=judge))

    answer = with_judge("42", "40") if judge else CHANGED
    whole = resumes(session, answer, by_checkers).recorded
    assert [n.correct for n in whole.notes if isinstance(n, Consensus)] == [True, None]


# --- before a round ---


def test_impossible_casts_are_refused() -> None:
    one = {"student": ("a",)}
    assert "two debaters" in (debate.lacks(debate.Options(), one) or "")
    assert debate.lacks(debate.Options(copies=2), one) is None
    two = {"student": ("a", "b")}
    assert debate.lacks(debate.Options(), two) is None
    assert "seat `judge`" in (debate.lacks(debate.Options(judge=True), two) or "")


def test_judges_are_checked_only_where_one_confirms() -> None:
    assert debate.CONTESTANTS(debate.Options()) == ()
    assert debate.CONTESTANTS(debate.Options(judge=True)) == ("student",)


@pytest.mark.parametrize("checker", [None, {"kind": "choice", "value": "A"}])
@pytest.mark.parametrize(
    ("students", "rounds", "copies"), [(2, 1, 1), (2, 2, 1), (2, 1, 2), (1, 3, 5)]
)
def test_a_dry_run_counts_the_most(
    tmp_path: Any, students: int, rounds: int, copies: int, checker: Any
) -> None:
    options = {"rounds": rounds, "copies": copies, "judge": True}
    catalogue: Catalogue = small_catalogue(
        tmp_path,
        protocol={"id": "debate", "options": options},
        seats={"student": ["pupil", "peer"][:students], "judge": ["judge"]},
        seeds={"inline": [{"id": "s", "prompt": "6 times 7?", "checker": checker}]},
    )
    n = students * copies
    found: Counter[tuple[str, str]] = Counter()
    for line in estimate(*catalogue.prepare(*catalogue.scenario("small"))).lines:
        found[line.seat, line.purpose] += line.calls
    across = 0 if n == 2 else (n // 2) * (n - n // 2)
    assert found == {
        ("student", "answer"): n * (rounds + 1),
        ("student", "debate"): n * rounds,
        ("judge", "ballot"): 2 * (n + across),
    }


def _four() -> tuple[Agent, ...]:
    return ANNA, BEN, CLEO, Agent(name="dora", family="gum")
