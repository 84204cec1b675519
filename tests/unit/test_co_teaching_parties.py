"""Co-teaching among several parties: simulated chat, mutual teaching, demonstrations, refusals."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from aaa.catalogue import Catalogue
from aaa.drive import drive
from aaa.errors import InputError
from aaa.estimate import estimate
from aaa.play import CallRefused, Rehearsal, rehearse
from aaa.protocols import co_teaching
from aaa.types import (
    Agent,
    Call,
    Cast,
    Check,
    CheckFailure,
    CheckWish,
    Failure,
    Judging,
    Note,
    Recorded,
    Reply,
    Seed,
    Turn,
    fingerprint,
)
from tests.catalogues import small_catalogue
from tests.classroom import ANNA, BEN, JUDGE, TEACHER, user
from tests.resuming import resumes
from tests.stub_judge import stub_judge

GUEST = Agent(name="guest", family="fir")
CARL = Agent(name="carl", family="pine")
SEED = Seed(id="s1", prompt=user("Why is the sky blue?"), reference="scattering", tags=("science",))
JUDGING = Judging(play="logprob", options={"margin": 0.0})
judge = stub_judge()


def cast(
    students: tuple[Agent, ...] = (ANNA, BEN),
    teachers: tuple[Agent, ...] = (TEACHER,),
    users: tuple[Agent, ...] = (GUEST,),
) -> Cast:
    seats = {"student": students, "teacher": teachers, "judge": (JUDGE,), "user": users}
    return Cast(seats=seats, judging=JUDGING)


def reply(call: Call) -> Reply:
    """Words that depend on every word of the call; the stub's judge compares them."""
    if call.seat == "judge":
        return judge(call)
    return Reply(text=f"{call.agent} {call.purpose} {fingerprint(call)[:6]}")


def played(
    seats: Cast | None = None,
    answer: Callable[[Call], Reply | Turn | str] = reply,
    seed: Seed = SEED,
    **options: Any,
) -> Rehearsal:
    given = co_teaching.Options(**options)
    return rehearse(co_teaching.play(seed, seats or cast(), given), answer)


def refused(call: Call) -> Turn:
    failure = Failure(kind="content_filter", message="no")
    return Turn(index=0, call=call, reply=Reply(text=""), failure=failure)


def purposes(done: Rehearsal) -> Counter[str]:
    return Counter(turn.call.purpose for turn in done.recorded.turns)


def contexts(done: Rehearsal) -> list[int]:
    return [len(verdict.context) for verdict in done.recorded.verdicts]


def test_a_chat_is_taught_at_its_end() -> None:
    done = played(chat_turns=2)
    first = [turn.call.purpose for turn in done.recorded.turns[:6]]
    assert first == ["draft", "message", "draft", "message", "draft", "draft"]
    assert set(contexts(done)) == {5}
    assert [v.edge for v in done.recorded.verdicts] == ["revision", "revision", "peer"]


def test_students_are_compared_on_the_same_chat() -> None:
    done = played(chat_turns=3)
    assert len({verdict.context for verdict in done.recorded.verdicts}) == 1
    drafts = [turn.call for turn in done.recorded.turns if turn.call.purpose == "draft"][-2:]
    assert {call.agent for call in drafts} == {"anna", "ben"}
    assert drafts[0].messages == drafts[1].messages == done.recorded.verdicts[0].context
    roles = [message.role for message in drafts[0].messages]
    assert roles == ["user", "assistant"] * 3 + ["user"]


def test_every_turn_can_be_taught() -> None:
    done = played(chat_turns=2, teach="every", rounds=1)
    assert contexts(done) == [1] * 3 + [3] * 3 + [5] * 3
    assert purposes(done)["message"] == 2


def test_the_winner_of_a_turn_is_gone_on_with() -> None:
    for question in range(12):
        seed = SEED.model_copy(update={"id": f"s{question}"})
        done = played(seed=seed, chat_turns=1, teach="every")
        peer = done.recorded.verdicts[2]
        assert peer.edge == "peer"
        assert peer.chosen is not None
        winner = done.recorded.turns[peer.chosen]
        assert done.recorded.verdicts[-1].context[1].content == winner.text


def test_who_speaks_untaught_is_drawn_by_the_seed() -> None:
    seeds = [SEED.model_copy(update={"id": f"s{n}"}) for n in range(20)]
    drawn = [played(seed=s, chat_turns=1).recorded.turns[0].call.agent for s in seeds]
    assert set(drawn) == {"anna", "ben"}
    assert drawn == [played(seed=s, chat_turns=1).recorded.turns[0].call.agent for s in seeds]


def test_the_user_sees_chat_and_tags_but_no_reference() -> None:
    (asked,) = [t.call for t in played(chat_turns=1).recorded.turns if t.call.seat == "user"]
    said = "\n".join(message.content for message in asked.messages)
    assert "Why is the sky blue?" in said
    assert "anna draft" in said or "ben draft" in said
    assert "science" in said
    assert "scattering" not in said
    seed = SEED.model_copy(update={"tags": ()})
    (asked,) = [
        t.call for t in played(seed=seed, chat_turns=1).recorded.turns if t.call.seat == "user"
    ]
    assert "cares about" not in asked.messages[-1].content


def test_reference_and_checker_answer_the_first_question_only() -> None:
    seed = SEED.model_copy(update={"checker": {"kind": "exact", "value": "scattering"}})
    seats = cast().model_copy(update={"judging": JUDGING.model_copy(update={"checker": "decides"})})
    done = played(seats, seed=seed, chat_turns=1, teach="every")
    by_turn = {len(v.context): v.judging for v in done.recorded.verdicts}
    assert by_turn == {1: "checker", 3: "logprob"}
    told = [t for t in done.recorded.turns if t.call.purpose == "critique"]
    shown = ["scattering" in t.call.messages[-1].content for t in told]
    assert shown == [True, True, False, False]


@pytest.mark.parametrize("said", ["", "  ", "[user]", "why is the sky BLUE? "])
def test_a_user_with_nothing_new_to_say_ends_the_chat(said: str) -> None:
    def answer(call: Call) -> Reply:
        return Reply(text=said) if call.seat == "user" else reply(call)

    for teach in ("last", "every"):
        done = played(answer=answer, chat_turns=4, teach=teach)
        assert contexts(done) == [1, 1, 1]
        assert purposes(done)["message"] == 1
        assert purposes(done)["draft"] == 2, "who has answered is not asked again"


def test_a_user_who_is_refused_ends_the_chat() -> None:
    done = played(answer=lambda c: refused(c) if c.seat == "user" else reply(c), chat_turns=4)
    assert contexts(done) == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[user] And at dusk?", "And at dusk?"),
        ("User: And at dusk?\n\nAssistant: It is red.", "And at dusk?"),
        ("And at dusk?\n[assistant]\nIt is red.", "And at dusk?"),
        ('"And at dusk?"', "And at dusk?"),
        ('"Dusk" or "dawn"', '"Dusk" or "dawn"'),
        ("Users say so?", "Users say so?"),
    ],
)
def test_the_users_own_words_go_into_the_chat(text: str, said: str) -> None:
    done = played(
        answer=lambda call: Reply(text=text) if call.seat == "user" else reply(call), chat_turns=1
    )
    assert done.recorded.verdicts[-1].context[-1].content == said


def test_a_drawn_student_that_says_nothing_is_replaced() -> None:
    first = played(chat_turns=1).recorded.turns[0].call.agent

    def answer(call: Call) -> Reply:
        silent = call.agent == first and call.purpose == "draft" and len(call.messages) == 1
        return Reply(text=" ") if silent else reply(call)

    done = played(answer=answer, chat_turns=1)
    assert done.recorded.turns[1].call.agent != first
    assert set(contexts(done)) == {3}


def test_students_that_say_nothing_are_judged_for_it() -> None:
    def answer(call: Call) -> Reply:
        return Reply(text="") if call.seat == "student" else reply(call)

    for teach in ("last", "every"):
        done = played(answer=answer, chat_turns=2, teach=teach)
        assert [v.outcome for v in done.recorded.verdicts] == ["abstain"] * 3
        sent = [message for turn in done.recorded.turns for message in turn.call.messages]
        assert all(message.content.strip() for message in sent), "providers refuse empty messages"
        assert purposes(done)["draft"] == 2


def test_several_users_one_is_drawn_for_the_session() -> None:
    seats = cast(users=(GUEST, CARL))
    drawn = set()
    for n in range(12):
        done = played(seats, seed=SEED.model_copy(update={"id": f"s{n}"}), chat_turns=2)
        users = {turn.call.agent for turn in done.recorded.turns if turn.call.seat == "user"}
        assert len(users) == 1
        drawn |= users
    assert drawn == {"guest", "carl"}


def test_every_pair_of_parties_is_linked_both_ways_and_none_to_itself() -> None:
    parties = (ANNA, BEN, CARL)
    done = played(cast(parties, parties), rounds=1)
    links = set()
    for turn in done.recorded.turns:
        if turn.call.purpose == "critique":
            (taught,) = [
                p.name for p in parties if f"{p.name} draft" in turn.call.messages[1].content
            ]
            links.add((turn.call.agent, taught))
    assert links == {(a.name, b.name) for a in parties for b in parties if a != b}
    edges = Counter(verdict.edge for verdict in done.recorded.verdicts)
    assert edges == {"revision": 3, "peer": 3}


def test_a_revision_takes_in_every_critique() -> None:
    done = played(cast((ANNA,), (TEACHER, CARL)))
    (revision,) = [t.call for t in done.recorded.turns if t.call.purpose == "revision"]
    for turn in done.recorded.turns:
        if turn.call.purpose == "critique":
            assert turn.text in revision.messages[-1].content


def test_teachers_demonstrate_and_the_gap_is_judged() -> None:
    done = played(cast(teachers=(TEACHER, CARL)), demonstrate=True)
    assert done.batches[0] == 4
    gaps = [v for v in done.recorded.verdicts if v.edge == "gap"]
    met = [(done.recorded.turns[v.a].call.agent, done.recorded.turns[v.b].call) for v in gaps]
    assert [(a, b.agent, b.seat) for a, b in met] == [
        (student, teacher, "teacher")
        for student in ("anna", "ben")
        for teacher in ("tutor", "carl")
    ]
    assert {b.purpose for _, b in met} == {"demonstration"}
    final = {v.chosen for v in done.recorded.verdicts if v.edge == "revision"}
    assert {v.a for v in gaps} == final, "the final answer is held against the teacher's"


def test_a_teacher_who_is_a_student_demonstrates_nothing() -> None:
    done = played(cast((ANNA, BEN), (BEN, TEACHER)), demonstrate=True)
    shown = [t.call.agent for t in done.recorded.turns if t.call.purpose == "demonstration"]
    assert shown == ["tutor"]


def test_contestants_include_teachers_only_where_they_demonstrate() -> None:
    assert co_teaching.CONTESTANTS(co_teaching.Options()) == ("student",)
    assert set(co_teaching.CONTESTANTS(co_teaching.Options(demonstrate=True))) == {
        "student",
        "teacher",
    }


@pytest.mark.parametrize("who", ["draft", "critique", "revision"])
def test_who_is_refused_does_not_take_the_rest_along(who: str) -> None:
    done = played(
        answer=lambda c: refused(c) if (c.purpose, c.agent) == (who, "anna") else reply(c),
        seats=cast((ANNA, BEN), (ANNA, TEACHER)),
    )
    edges = Counter(verdict.edge for verdict in done.recorded.verdicts)
    assert (
        edges
        == {
            "draft": {"revision": 1},
            "critique": {"revision": 2, "peer": 1},
            "revision": {"revision": 1, "peer": 1},
        }[who]
    )


@pytest.mark.parametrize("who", ["draft", "critique", "revision"])
def test_a_session_that_refusals_left_empty_fails(who: str) -> None:
    with pytest.raises(CallRefused, match=f"'(anna|tutor)' .{who}.: no"):
        played(cast((ANNA,)), lambda c: refused(c) if c.purpose == who else reply(c))


def test_judges_that_are_refused_leave_errors_on_the_record() -> None:
    done = played(answer=lambda c: refused(c) if c.seat == "judge" else reply(c))
    assert [v.outcome for v in done.recorded.verdicts] == ["error"] * 3


@pytest.mark.parametrize("teach", ["last", "every"])
@pytest.mark.parametrize("rounds", [1, 2])
def test_it_asks_no_more_than_the_formula_and_every_answer_is_accounted_for(
    teach: str, rounds: int
) -> None:
    """Per lesson: drafts, demonstrations; per round a critique and a revision; two ballots a verdict."""
    students, teachers, turns = 3, 2, 2
    done = played(
        cast((ANNA, BEN, CARL), (TEACHER, Agent(name="dora", family="yew"))),
        chat_turns=turns, teach=teach, rounds=rounds, demonstrate=True,
    )  # fmt: skip
    lessons = turns + 1 if teach == "every" else 1
    meetings = students * (students - 1) // 2 + students * teachers
    verdicts = lessons * (students * rounds + meetings)
    calls = lessons * (students + teachers + students * rounds * (teachers + 1)) + turns
    calls += 0 if teach == "every" else turns
    assert len(done.recorded.verdicts) <= verdicts
    assert len(done.recorded.turns) <= calls + 2 * verdicts
    judged = {index for v in done.recorded.verdicts for index in (v.a, v.b)}
    answers = [
        t.index
        for t in done.recorded.turns
        if t.call.purpose in ("draft", "revision", "demonstration")
    ]
    spoken = set() if teach == "every" else {0, 2}
    assert set(answers) == judged | spoken


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chat_turns": 2},
        {"chat_turns": 1, "teach": "every", "rounds": 2},
        {"demonstrate": True, "peers": False, "chat_turns": 1},
    ],
)
def test_it_resumes_anywhere(options: dict[str, Any]) -> None:
    given = co_teaching.Options(**options)
    resumes(lambda: co_teaching.play(SEED, cast(), given), reply)


@pytest.mark.parametrize("id", ["s0", "s1", "s2", "s3"])
def test_it_resumes_anywhere_where_some_are_refused(id: str) -> None:
    def answer(call: Call) -> Reply | Turn:
        return refused(call) if fingerprint(call)[0] in "01" else reply(call)

    given = co_teaching.Options(chat_turns=2, teach="every", rounds=2)
    seed = SEED.model_copy(update={"id": id})
    whole = resumes(lambda: co_teaching.play(seed, cast(), given), answer).recorded
    assert any(turn.failure for turn in whole.turns)


@pytest.mark.parametrize(
    ("scenario", "why"),
    [
        ({"seats": {"student": ["pupil", "teacher"], "teacher": ["teacher"], "judge": ["judge"]}},
         "nobody teaches 'teacher'"),
        ({"protocol": {"options": {"chat_turns": 2}}}, "'chat_turns' is 2, but nobody holds seat 'user'"),
        ({"protocol": {"options": {"demonstrate": True}},
          "seats": {"student": ["pupil", "peer"], "teacher": ["pupil", "peer"], "judge": ["judge"]}},
         "'demonstrate' needs a teacher who is no student"),
        ({"protocol": {"options": {"demonstrate": True}},
          "seats": {"student": ["pupil"], "teacher": ["judge"], "judge": ["judge"]}},
         "nobody may judge"),
        ({"protocol": {"options": {"chat_turns": 9}}}, "option 'chat_turns'"),
    ],
)  # fmt: skip
def test_impossible_casts_are_refused_before_a_round(
    tmp_path: Any, scenario: dict[str, Any], why: str
) -> None:
    catalogue: Catalogue = small_catalogue(tmp_path, **scenario)
    with pytest.raises(InputError, match=why):
        catalogue.prepare(*catalogue.scenario("small"))


def test_a_dry_run_counts_the_most_that_may_be_asked(tmp_path: Any) -> None:
    options = {"chat_turns": 2, "teach": "every", "rounds": 3}
    catalogue = small_catalogue(
        tmp_path,
        questions=1,
        protocol={"options": options},
        seats={"student": ["pupil", "peer"], "teacher": ["teacher"], "judge": ["judge"], "user": ["teacher"]},
    )  # fmt: skip
    found = estimate(*catalogue.prepare(*catalogue.scenario("small")))
    calls = {line.purpose: 0 for line in found.lines}
    for line in found.lines:
        calls[line.purpose] += line.calls
    lessons, verdicts = 3, 2 * 3 + 1
    assert calls == {
        "draft": 2 * lessons,
        "critique": 6 * lessons,
        "revision": 6 * lessons,
        "message": 2,
        "ballot": 2 * verdicts * lessons,
    }


CHECKED = SEED.model_copy(update={"checker": {"kind": "exact", "value": "right"}})


def drafting(text: str) -> Callable[[Call], Reply]:
    return lambda call: Reply(text=text) if call.purpose == "draft" else reply(call)


@pytest.mark.parametrize(("draft", "criticised"), [("right", 0), ("wrong", 1)])
def test_an_answer_that_passes_may_be_left_alone(draft: str, criticised: int) -> None:
    seats, options = cast(students=(ANNA,)), co_teaching.Options(skip_passed=True)

    def by_text(wish: CheckWish) -> dict[int, Check | CheckFailure]:
        return {at: Check(score=float(text == "right")) for at, text in wish.answers.items()}

    done = rehearse(co_teaching.play(CHECKED, seats, options), drafting(draft), check=by_text)
    assert purposes(done)["critique"] == criticised
    assert purposes(played(seats, drafting(draft), CHECKED))["critique"] == 1


def test_a_checker_that_cannot_tell_spares_no_critique() -> None:
    seats, options = cast(students=(ANNA,)), co_teaching.Options(skip_passed=True)

    def unable(wish: CheckWish) -> dict[int, Check | CheckFailure]:
        return {at: CheckFailure(kind="timeout", message="no") for at in wish.answers}

    done = rehearse(co_teaching.play(CHECKED, seats, options), drafting("right"), check=unable)
    assert purposes(done)["critique"] == 1


def test_an_estimate_counts_every_critique() -> None:
    done = played(cast(students=(ANNA,)), seed=CHECKED, skip_passed=True, rounds=3)
    assert purposes(done)["critique"] == 3


async def test_an_answer_that_is_looked_at_before_teaching_is_checked_once() -> None:
    """Its verdict has the same finding: a checker may run code, for seconds."""
    judging = JUDGING.model_copy(update={"checker": "decides"})
    seats = cast(students=(ANNA,)).model_copy(update={"judging": judging})
    looked: list[int] = []

    async def grant(index: int, call: Call) -> Turn:
        return Turn(index=index, call=call, reply=drafting("wrong")(call))

    async def check(wish: CheckWish) -> dict[int, Check | CheckFailure]:
        looked.extend(wish.answers)
        return {at: Check(score=0) for at in wish.answers}

    async def record(index: int, after: int, note: Note) -> None: ...

    session = co_teaching.play(CHECKED, seats, co_teaching.Options(skip_passed=True))
    await drive(session, grant, record, Recorded(), check)
    assert sorted(looked) == [0, 2]  # the draft and its revision
