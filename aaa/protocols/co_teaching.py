"""Co-teaching: parties answer, teach each other, revise; blind judges say whether it got better.

Four moves after WizardLM-2's co-teaching, which was named and never specified: simulated chat (a model plays
the user), quality judging, suggestions, closing the skill gap; how they are made is ours. Every revision is
judged against the answer it came from, and only one that wins is gone on with. Final answers are judged
against each other, and against a teacher's own where teachers demonstrate. An agent may sit in both
seats: it teaches everybody but itself. Left out: teaching oneself (`self_teaching`), rating (`arena`).
"""

import random
import re
from collections import Counter
from collections.abc import Mapping
from itertools import combinations, product
from typing import Literal

from pydantic import Field

from aaa.play import Play, check_all, together, try_all
from aaa.prompts import prompts_beside, shown
from aaa.protocols._moves import (
    answer_call,
    answered,
    as_message,
    concluded,
    judged,
    says_something,
)
from aaa.types import (
    CHECKER,
    Agent,
    Call,
    Cast,
    Check,
    Message,
    Sampling,
    Seed,
    Turn,
    Value,
    Verdict,
)

PROMPTS = prompts_beside(__file__)
SEATS = {
    "student": "answers, and revises after criticism",
    "teacher": "criticises each answer but its own; may answer too (`demonstrate`)",
    "judge": "compares answers blindly",
}
OPTIONAL = {"user": "plays the user of a simulated chat (`chat_turns`)"}


class Options(Value):
    rounds: int = Field(1, ge=1, le=10)
    """How often an answer is criticised and revised, at most; it ends when a revision does not win."""
    answer_tokens: int | None = Field(None, ge=1)
    """Longest draft, revision or demonstration; `None` leaves it to the agent's card."""
    critique_tokens: int | None = Field(None, ge=1)
    """Longest critique; `None` leaves it to the agent's card."""
    peers: bool = True
    """Judge the students' final answers against each other."""
    chat_turns: int = Field(0, ge=0, le=8)
    """How often the user's seat writes another message, at most; 0 is no simulated chat."""
    teach: Literal["last", "every"] = "last"
    """Whether answers are taught and judged at the end of the chat only, or at every turn of it."""
    user_tokens: int | None = Field(None, ge=1)
    """Longest message of the simulated user; `None` leaves it to the agent's card."""
    skip_passed: bool = False
    """Do not criticise an answer that passes its seed's checker: it has nothing to gain by it."""
    demonstrate: bool = False
    """Have teachers answer too, and judge each student's final answer against theirs."""


def _contestants(options: Options) -> tuple[str, ...]:
    return ("student", "teacher") if options.demonstrate else ("student",)


CONTESTANTS = _contestants


def lacks(options: Options, seats: Mapping[str, tuple[str, ...]]) -> str | None:
    """A student whom nobody teaches, a chat without a user, teachers with nothing to demonstrate."""
    students, teachers = seats["student"], set(seats["teacher"])
    alone = [student for student in students if not teachers - {student}]
    if alone:
        return (
            f"nobody teaches {alone[0]!r}: it is the only teacher, and no agent criticises its own "
            "answer; seat another teacher, or play 'self_teaching'"
        )
    if options.chat_turns and not seats.get("user"):
        return f"option 'chat_turns' is {options.chat_turns}, but nobody holds seat 'user'"
    if options.demonstrate and teachers <= set(students):
        return (
            "option 'demonstrate' needs a teacher who is no student: those who are both answer "
            "already, and meet as peers"
        )
    return None


def play(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    """A chat of `chat_turns` further messages, taught at its end or at each turn.

    Raises `CallRefused` where a provider's refusals left nothing to judge.
    """
    yield from concluded(_session(seed, cast, options))


def _session(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    at, due = seed, True
    drafts: tuple[Turn, ...] = ()
    for _ in range(options.chat_turns):
        if options.teach == "every":
            answer = yield from _lesson(at, cast, options)
            due = False
        else:
            drafts = yield from _one_answer(at, cast, options)
            answer = drafts[-1] if says_something(drafts[-1]) else None
        if answer is None:
            break
        message = yield from _next_message(at, cast, options, answer)
        if message is None:
            break
        at, due, drafts = _after(at, answer, message), True, ()
    if due:
        yield from _lesson(at, cast, options, drafts)


def _lesson(
    seed: Seed, cast: Cast, options: Options, known: tuple[Turn, ...] = ()
) -> Play[Turn | None]:
    """Drafts, teaching and comparisons at one point of the chat; the answer that the chat goes on with.

    `known`: drafts that are there already.
    """
    there = {turn.call.agent for turn in known}
    calls = [_draft(one, seed, options) for one in cast["student"] if one.name not in there]
    turns = yield from try_all([*calls, *_demonstrations(seed, cast, options)])
    drafts = answered([*known, *turns[: len(calls)]])
    answers = yield from together(_improve(seed, cast, options, draft) for draft in drafts)
    meetings = [(a, b, "peer") for a, b in combinations(answers, 2) if options.peers]
    meetings += [(a, b, "gap") for a, b in product(answers, answered(turns[len(calls) :]))]
    verdicts = yield from together(judged(cast, seed, a, b, edge=edge) for a, b, edge in meetings)
    return _speaker(seed, answers, verdicts)


def _improve(seed: Seed, cast: Cast, options: Options, draft: Turn) -> Play[Turn]:
    """The student's best answer: its draft, or the last revision that a judge preferred."""
    answer = draft
    teachers = [one for one in cast["teacher"] if one.name != draft.call.agent]
    for _ in range(options.rounds):
        if options.skip_passed and (yield from _passes(seed, answer)):
            break
        critiques = answered(
            (yield from try_all(_critique(one, seed, answer, options) for one in teachers))
        )
        if not critiques:
            break
        (revised,) = yield from try_all([_revision(seed, answer, critiques, options)])
        if revised.failure is not None:
            break
        verdict = yield from judged(cast, seed, answer, revised, edge="revision")
        if verdict.chosen != revised.index:
            break
        answer = revised
    return answer


def _passes(seed: Seed, answer: Turn) -> Play[bool]:
    """By its seed's checker, as its verdicts find it: it is checked once."""
    if seed.checker is None:
        return False
    judge = CHECKER + str(seed.checker["kind"])
    found = (yield from check_all(seed.checker, (answer,), recorded_as=judge))[answer.index]
    return isinstance(found, Check) and found.passed


def _one_answer(seed: Seed, cast: Cast, options: Options) -> Play[tuple[Turn, ...]]:
    """Drafts, of which the last is what the chat goes on with untaught: of one student, drawn by the seed.

    The others would answer for nothing. Where the drawn one says nothing, the next is asked.
    """
    turns: list[Turn] = []
    for student in _chance(seed).sample(cast["student"], len(cast["student"])):
        turns += yield from try_all([_draft(student, seed, options)])
        if says_something(turns[-1]):
            break
    return tuple(turns)


def _speaker(seed: Seed, answers: tuple[Turn, ...], verdicts: tuple[Verdict, ...]) -> Turn | None:
    """The answer that won most against its peers; among equals one drawn by the seed."""
    wins = Counter(verdict.chosen for verdict in verdicts if verdict.edge == "peer")
    able = [turn for turn in answers if says_something(turn)]
    most = max((wins[turn.index] for turn in able), default=0)
    best = [turn for turn in able if wins[turn.index] == most]
    return _chance(seed).choice(best) if best else None


def _next_message(seed: Seed, cast: Cast, options: Options, answer: Turn) -> Play[str | None]:
    """What the user says next, or `None` where the user's seat has nothing new to say."""
    user = random.Random(f"co_teaching/user/{seed.id}").choice(cast["user"])
    chat = (*seed.prompt, Message(role="assistant", content=answer.text))
    text = PROMPTS.fill("next", chat=shown(chat))
    if seed.tags:
        text = PROMPTS.fill("topic", topic=", ".join(seed.tags)) + "\n\n" + text
    (turn,) = yield from try_all(
        [
            Call(
                seat="user",
                agent=user.name,
                purpose="message",
                messages=(
                    Message(role="system", content=PROMPTS.fill("user")),
                    Message(role="user", content=text),
                ),
                sampling=Sampling(max_tokens=options.user_tokens),
            )
        ]
    )
    said = _said(turn.text)
    before = {m.content.strip().casefold() for m in seed.prompt if m.role == "user"}
    return None if not said or said.casefold() in before else said


_LABEL = re.compile(r"\A\s*(?:\[user\]|(?:user|you|me)\s*:)\s*", re.IGNORECASE)
_OTHERS_TURN = re.compile(r"^\s*(?:\[assistant\]|assistant\s*:).*", re.IGNORECASE | re.M | re.S)


def _said(text: str) -> str:
    """The user's own words: without a label before them, or a reply that the user made up for the other."""
    own = _OTHERS_TURN.sub("", _LABEL.sub("", text)).strip()
    quoted = len(own) > 1 and own[0] == own[-1] == '"' and own.count('"') == 2
    return own[1:-1].strip() if quoted else own


def _after(seed: Seed, answer: Turn, message: str) -> Seed:
    """The chat with that answer and the user's next message.

    Reference and checker are left behind: they answer the first question, not this one.
    """
    prompt = (
        *seed.prompt,
        Message(role="assistant", content=answer.text),
        Message(role="user", content=message),
    )
    return seed.model_copy(update={"prompt": prompt, "reference": None, "checker": None})


def _chance(seed: Seed) -> random.Random:
    """Drawn anew at each turn of the chat."""
    return random.Random(f"co_teaching/{len(seed.prompt)}/{seed.id}")


def _draft(student: Agent, seed: Seed, options: Options) -> Call:
    return answer_call(student.name, seed.prompt, options.answer_tokens, purpose="draft")


def _demonstrations(seed: Seed, cast: Cast, options: Options) -> list[Call]:
    """Answers of teachers; one who is a student too has its draft."""
    students = {student.name for student in cast["student"]}
    teachers = [one for one in cast["teacher"] if one.name not in students and options.demonstrate]
    return [
        answer_call(
            one.name, seed.prompt, options.answer_tokens, seat="teacher", purpose="demonstration"
        )
        for one in teachers
    ]


def _critique(teacher: Agent, seed: Seed, answer: Turn, options: Options) -> Call:
    text = PROMPTS.fill("critique", question=shown(seed.prompt), answer=answer.text)
    if seed.reference is not None:
        text += "\n\n" + PROMPTS.fill("reference", reference=seed.reference)
    return Call(
        seat="teacher",
        agent=teacher.name,
        purpose="critique",
        messages=(
            Message(role="system", content=PROMPTS.fill("teacher")),
            Message(role="user", content=text),
        ),
        sampling=Sampling(max_tokens=options.critique_tokens),
    )


def _revision(seed: Seed, answer: Turn, critiques: list[Turn], options: Options) -> Call:
    """The student goes on in its own conversation: prompt, its answer, the criticism."""
    criticism = "\n\n".join(critique.text.strip() for critique in critiques)
    asked = PROMPTS.fill("revise", critique=criticism, question=seed.prompt[-1].content)
    return Call(
        seat="student",
        agent=answer.call.agent,
        purpose="revision",
        messages=(
            *seed.prompt,
            as_message(answer),
            Message(role="user", content=asked),
        ),
        sampling=Sampling(max_tokens=options.answer_tokens),
    )
