"""Evol-Answer: rewritten for each aim, judged each time, the better one kept."""

import re

import pytest

from aaa.errors import InputError
from aaa.play import CallRefused, Play, Rehearsal, rehearse
from aaa.plugins import options_of
from aaa.protocols import evol_answer
from aaa.protocols.evol_answer import AIMS, Options
from aaa.types import (
    Agent,
    Call,
    Cast,
    ChoiceShape,
    Failure,
    FinishReason,
    Judging,
    Message,
    Reply,
    Seed,
    Turn,
    fingerprint,
)
from tests.classroom import ANNA, BEN, JUDGE, SEED, prefers
from tests.resuming import resumes

SMITH = Agent(name="smith", family="ash")
WRIGHT = Agent(name="wright", family="fir")


def cast(*students: Agent, **seats: tuple[Agent, ...]) -> Cast:
    held = {"student": students or (ANNA,), "judge": (JUDGE,), **seats}
    return Cast(seats=held, judging=Judging(play="logprob"))


def judged(call: Call, better: int) -> Reply:
    """The judge prefers the text with the number `better`, wherever it stands."""
    shown = sorted(set(re.findall(r"text \d{3}", call.messages[-1].content)))
    wanted = f"text {better:03d}"
    if wanted not in shown:
        wanted = shown[0]
    (other,) = [text for text in shown if text != wanted]
    return prefers(call, wanted, other)


def played(
    options: Options | None = None, seats: Cast | None = None, *, best: int = 999, seed: Seed = SEED
) -> Rehearsal:
    """Texts are numbered; `best` wins against all, of any others the older."""
    count = iter(range(1000))

    def answer(call: Call) -> Reply:
        if isinstance(call.shape, ChoiceShape):
            return judged(call, best)
        return Reply(text=f"text {next(count):03d}")

    return rehearse(evol_answer.play(seed, seats or cast(), options or Options()), answer)


def newer_wins(call: Call) -> Reply:
    """Depends on the call alone: longer texts are newer and win."""
    if isinstance(call.shape, ChoiceShape):
        shown = sorted(set(re.findall(r"say(?:ing)*\.", call.messages[-1].content)), key=len)
        return prefers(call, shown[-1], shown[0])
    found = (
        re.findall(r"say(?:ing)*\.", call.messages[-2].content) if len(call.messages) > 2 else []
    )
    return Reply(text=f"say{'ing' * len(found[0] if found else '')}.")


def asked(done: Rehearsal) -> list[str]:
    return [
        turn.call.messages[-1].content
        for turn in done.recorded.turns
        if turn.call.purpose == "revision"
    ]


def before(done: Rehearsal) -> list[str]:
    """The answers that were to be rewritten."""
    calls = [turn.call for turn in done.recorded.turns if turn.call.purpose == "revision"]
    assert all(call.messages[-2].role == "assistant" for call in calls)
    return [call.messages[-2].content for call in calls]


def test_each_aim_is_a_rewriting_and_a_verdict() -> None:
    done = played()
    assert done.batches == (1, 1, 2, 1, 2, 1, 2)
    verdicts = done.recorded.verdicts
    assert [v.edge for v in verdicts] == ["revision"] * 3
    assert all(v.context == SEED.prompt for v in verdicts)
    for text, words in zip(
        asked(done), ("reasoning holds", "is correct", "helped best"), strict=True
    ):
        assert words in text


def test_a_lost_rewriting_changes_nothing_and_ends_nothing() -> None:
    done = played()
    assert [(v.chosen, v.rejected) for v in done.recorded.verdicts] == [(0, 1), (0, 4), (0, 7)]
    assert before(done) == ["text 000"] * 3


def test_a_won_rewriting_is_what_goes_on() -> None:
    done = played(best=1)  # the first rewriting beats all
    assert [(v.chosen, v.rejected) for v in done.recorded.verdicts] == [(1, 0), (1, 4), (1, 7)]
    assert before(done) == ["text 000", "text 001", "text 001"]


def test_aims_and_rounds_are_the_users() -> None:
    done = played(Options(rounds=2, aims=("affinity", "correctness")))
    assert len(done.recorded.verdicts) == 4
    assert ["helped best" in text for text in asked(done)] == [True, False, True, False]
    for given, words in (
        ({"aims": []}, "aims"),
        ({"aims": ["charm"]}, "'charm'"),
        ({"rounds": 0}, "got 0"),
    ):
        with pytest.raises(InputError, match=words):
            options_of("protocol", "evol_answer", Options, given)


def test_rewriters_are_drawn_and_students_rewrite_where_there_are_none() -> None:
    assert {t.call.agent for t in played().recorded.turns} == {"anna", "judge"}
    spoke = set()
    for n in range(10):
        seed = SEED.model_copy(update={"id": f"s{n}"})
        done = played(seats=cast(rewriter=(SMITH, WRIGHT)), seed=seed)
        own = [turn.call for turn in done.recorded.turns if turn.call.purpose == "revision"]
        assert {call.seat for call in own} == {"rewriter"}
        spoke |= {call.agent for call in own}
    assert spoke == {"smith", "wright"}


def test_a_judge_related_to_a_rewriter_is_not_asked() -> None:
    kin = Agent(name="kin", family="ash")
    seats = cast(rewriter=(SMITH,), judge=(kin,))
    verdicts = played(seats=seats).recorded.verdicts
    assert {v.outcome for v in verdicts} == {"abstain"}
    assert evol_answer.CONTESTANTS == ("student", "rewriter")


def test_students_work_side_by_side() -> None:
    done = played(seats=cast(ANNA, BEN))
    assert done.batches == (2, 2, 4, 2, 4, 2, 4)


@pytest.mark.parametrize(("rounds", "aims"), [(1, 3), (2, 3), (3, 1)])
def test_calls_are_a_draft_and_a_rewriting_with_two_ballots_for_each_aim(
    rounds: int, aims: int
) -> None:
    options = Options(rounds=rounds, aims=AIMS[:aims])

    def session() -> Play[None]:
        return evol_answer.play(SEED, cast(ANNA, BEN, rewriter=(SMITH,)), options)

    done = resumes(session, newer_wins)
    assert len(done.recorded.turns) == 2 * (1 + rounds * aims * (1 + 2))
    assert {v.outcome for v in done.recorded.verdicts} == {"win"}


@pytest.mark.parametrize(
    ("draft", "after", "outcome", "ballots"),
    [
        ("stop", "length", "abstain", 0),
        ("length", "length", "win", 2),
        ("length", "stop", "win", 2),
    ],
)
def test_a_rewriting_that_was_cut_off_does_not_replace_a_whole_answer(
    draft: FinishReason, after: FinishReason, outcome: str, ballots: int
) -> None:
    def answer(call: Call) -> Reply:
        if isinstance(call.shape, ChoiceShape):
            return judged(call, 1)
        first = call.purpose == "draft"
        return Reply(text=f"text 00{int(not first)}", finish_reason=draft if first else after)

    done = rehearse(evol_answer.play(SEED, cast(), Options(aims=("logic",))), answer)
    (verdict,) = done.recorded.verdicts
    assert (verdict.outcome, len(verdict.ballots)) == (outcome, ballots)
    assert verdict.outcome == "win" or verdict.reason.startswith("truncated")


def test_empty_same_and_refused_rewritings_end_as_verdicts() -> None:
    def answer(call: Call) -> Reply | Turn:
        aim = fingerprint(call.messages[-1].content)
        if call.purpose == "draft":
            return Reply(text="text 000")
        texts.append(aim)
        if len(texts) == 1:
            return Reply(text="text 000")
        if len(texts) == 2:
            return Reply(text="")
        failure = Failure(kind="content_filter", message="no")
        return Turn(index=0, call=call, reply=Reply(text=""), failure=failure)

    texts: list[str] = []
    done = rehearse(evol_answer.play(SEED, cast(), Options()), answer)
    assert [(v.outcome, v.reason.split(":")[0]) for v in done.recorded.verdicts] == [
        ("tie", "the answers are identical"),
        ("abstain", "no_content"),
        ("abstain", "no_content"),
    ]


def test_an_empty_draft_is_rewritten_without_an_empty_message() -> None:
    asked: list[Call] = []

    def answer(call: Call) -> Reply:
        asked.append(call)
        return Reply(text=" " if call.purpose == "draft" else "text 001")

    rehearse(evol_answer.play(SEED, cast(), Options(aims=("logic",))), answer)
    assert [call.purpose for call in asked] == ["draft", "revision"]
    assert all(message.content.strip() for call in asked for message in call.messages)


def test_a_student_whose_draft_is_refused_leaves_the_others_alone() -> None:
    def answer(call: Call) -> Reply | Turn:
        if call.agent == "ben":
            failure = Failure(kind="content_filter", message="no")
            return Turn(index=0, call=call, reply=Reply(text=""), failure=failure)
        return newer_wins(call)

    done = rehearse(evol_answer.play(SEED, cast(ANNA, BEN), Options()), answer)
    assert done.recorded.verdicts[0].a == 0
    assert len(done.recorded.verdicts) == 3
    with pytest.raises(CallRefused, match="'ben'"):
        rehearse(evol_answer.play(SEED, cast(BEN), Options()), answer)


def test_a_longer_chat_goes_on() -> None:
    chat = (Message(role="system", content="Be kind."), Message(role="user", content="Hello $aim?"))
    done = played(seed=Seed(id="c", prompt=chat))
    call = done.recorded.turns[1].call
    assert call.messages[:2] == chat
    assert '"Hello $aim?"' in call.messages[-1].content
