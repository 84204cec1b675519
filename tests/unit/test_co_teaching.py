"""The co-teaching play, move by move."""

from aaa.play import Rehearsal, rehearse
from aaa.protocols import co_teaching
from aaa.types import Agent, Call, ChoiceShape, Judging, Message, Reply, Seed
from tests.classroom import ANNA, BEN, SEED, cast, user

LOGPROB = Judging(play="logprob")


def played(*students: Agent, newer_wins: bool = True, rounds: int = 1, **more: object) -> Rehearsal:
    """A session in which texts are numbered and the judge prefers the newer (or the older)."""
    count = iter(range(1000))

    def answer(call: Call) -> Reply:
        if isinstance(call.shape, ChoiceShape):
            prompt = call.messages[-1].content
            shown = [n for n in range(1000) if f"text {n:03d}" in prompt]
            shown.sort(key=lambda n: prompt.index(f"text {n:03d}"))
            a_is_newer = shown[0] > shown[1]
            good, bad = ("A", "B") if a_is_newer == newer_wins else ("B", "A")
            return Reply(text=good, choice_logprobs={good: -0.1, bad: -4.0})
        return Reply(text=f"text {next(count):03d}")

    options = co_teaching.Options(rounds=rounds, **more)
    return rehearse(co_teaching.play(SEED, cast(*students, judging=LOGPROB), options), answer)


def purposes(done: Rehearsal) -> list[str]:
    return [f"{t.call.agent} {t.call.purpose}" for t in done.recorded.turns]


def test_one_student_one_round() -> None:
    done = played(ANNA)
    assert purposes(done) == [
        "anna draft", "tutor critique", "anna revision", "judge ballot", "judge ballot",
    ]  # fmt: skip
    (verdict,) = done.recorded.verdicts
    assert (verdict.edge, verdict.chosen, verdict.rejected) == ("revision", 2, 0)
    assert verdict.context == SEED.prompt


def test_a_revision_that_loses_ends_the_rounds() -> None:
    done = played(ANNA, newer_wins=False, rounds=4)
    (verdict,) = done.recorded.verdicts
    assert (verdict.chosen, verdict.rejected) == (0, 2)


def test_winning_revisions_go_on_for_all_rounds() -> None:
    done = played(ANNA, rounds=3)
    assert [v.edge for v in done.recorded.verdicts] == ["revision"] * 3
    assert purposes(done).count("anna revision") == 3
    second = done.recorded.turns[5]
    assert second.call.purpose == "critique"
    assert "text 002" in second.call.messages[-1].content  # the first revision, not the draft


def test_students_work_side_by_side_and_meet_at_the_end() -> None:
    done = played(ANNA, BEN)
    assert done.batches == (2, 2, 2, 4, 2)
    assert [v.edge for v in done.recorded.verdicts] == ["revision", "revision", "peer"]
    peer = done.recorded.verdicts[-1]
    texts = {done.recorded.turns[i].call.purpose for i in (peer.a, peer.b)}
    assert texts == {"revision"}


def test_peers_can_be_left_out() -> None:
    assert [v.edge for v in played(ANNA, BEN, peers=False).recorded.verdicts] == ["revision"] * 2


def test_it_plays_the_same_twice() -> None:
    assert played(ANNA, BEN, rounds=2) == played(ANNA, BEN, rounds=2)


def test_the_teacher_alone_sees_the_reference() -> None:
    seed = Seed(id="r", prompt=user("6 times 7?"), reference="forty-two")
    asked: dict[str, str] = {}

    def answer(call: Call) -> Reply:
        asked[call.purpose] = "\n".join(m.content for m in call.messages)
        if isinstance(call.shape, ChoiceShape):
            return Reply(text="A", choice_logprobs={"A": -0.1, "B": -0.1})
        return Reply(text=f"my {call.purpose}")

    rehearse(co_teaching.play(seed, cast(judging=LOGPROB), co_teaching.Options()), answer)
    assert "forty-two" in asked["critique"]
    assert "forty-two" not in asked["draft"] + asked["revision"]


def test_a_longer_chat_is_kept_and_shown_with_roles() -> None:
    chat = (
        Message(role="system", content="Be kind."),
        Message(role="user", content="Hello"),
        Message(role="assistant", content="Hi"),
        Message(role="user", content="How are you?"),
    )
    calls: list[Call] = []

    def answer(call: Call) -> Reply:
        calls.append(call)
        if isinstance(call.shape, ChoiceShape):
            return Reply(text="A", choice_logprobs={"A": -0.1, "B": -0.1})
        return Reply(text=f"my {call.purpose}")

    seed = Seed(id="c", prompt=chat)
    rehearse(co_teaching.play(seed, cast(judging=LOGPROB), co_teaching.Options()), answer)
    assert calls[0].messages == chat
    assert "[assistant]\nHi" in calls[1].messages[-1].content
    assert calls[2].messages[:4] == chat


def test_text_that_looks_like_a_blank_stays_text() -> None:
    def answer(call: Call) -> Reply:
        if isinstance(call.shape, ChoiceShape):
            return Reply(text="A", choice_logprobs={"A": -0.1, "B": -0.1})
        return Reply(text=f"costs $question and ${{answer}} in {call.purpose}")

    done = rehearse(co_teaching.play(SEED, cast(judging=LOGPROB), co_teaching.Options()), answer)
    assert (
        "costs $question and ${answer} in draft" in done.recorded.turns[1].call.messages[-1].content
    )
