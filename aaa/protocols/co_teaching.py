"""Co-teaching: students answer, teachers criticise, students revise, blind judges say if it got better.

Every student's revision is judged against the answer it came from; a student whose revision wins goes
into the next round with it. At the end the students' best answers are judged against each other.
After WizardLM-2's co-teaching (chat, judging, suggestions, closing the skill gap), which was never
specified; the moves are ours. Left out here: simulated chat with a model as the user.
"""

from itertools import combinations

from pydantic import Field

from aaa.judges import compare
from aaa.play import Play, ask, ask_all, note, together
from aaa.prompts import prompts_beside, shown
from aaa.types import Agent, Call, Cast, Message, Sampling, Seed, Turn, Value

PROMPTS = prompts_beside(__file__)
SEATS = {
    "student": "answers, and revises after criticism",
    "teacher": "criticises each answer",
    "judge": "compares answers blindly",
}
CONTESTANTS = ("student",)


class Options(Value):
    rounds: int = Field(1, ge=1, le=10)
    """How often an answer is criticised and revised, at most; it ends when a revision does not win."""
    answer_tokens: int | None = Field(None, ge=1)
    """Longest draft or revision; `None` leaves it to the agent's card."""
    critique_tokens: int | None = Field(None, ge=1)
    """Longest critique; `None` leaves it to the agent's card."""
    peers: bool = True
    """Judge the students' final answers against each other."""


def play(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    """Draft, then rounds of critique, revision and judging; then students against each other."""
    students = cast["student"]
    drafts = yield from ask_all(_draft(student, seed, options) for student in students)
    answers = yield from together(_improve(seed, cast, options, draft) for draft in drafts)
    if options.peers:
        yield from together(_against(seed, cast, a, b) for a, b in combinations(answers, 2))


def _improve(seed: Seed, cast: Cast, options: Options, draft: Turn) -> Play[Turn]:
    """The student's best answer: its draft, or the last revision that a judge preferred."""
    answer = draft
    for _ in range(options.rounds):
        critiques = yield from ask_all(
            _critique(teacher, seed, answer, options) for teacher in cast["teacher"]
        )
        revised = yield from ask(_revision(seed, answer, critiques, options))
        verdict = yield from compare(cast, seed, answer, revised, edge="revision")
        yield from note(verdict)
        if verdict.chosen != revised.index:
            break
        answer = revised
    return answer


def _against(seed: Seed, cast: Cast, a: Turn, b: Turn) -> Play[None]:
    verdict = yield from compare(cast, seed, a, b, edge="peer")
    yield from note(verdict)


def _draft(student: Agent, seed: Seed, options: Options) -> Call:
    return Call(
        seat="student",
        agent=student.name,
        purpose="draft",
        messages=seed.prompt,
        sampling=Sampling(max_tokens=options.answer_tokens),
    )


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


def _revision(seed: Seed, answer: Turn, critiques: tuple[Turn, ...], options: Options) -> Call:
    """The student goes on in its own conversation: prompt, its answer, the criticism."""
    criticism = "\n\n".join(critique.text.strip() for critique in critiques)
    asked = PROMPTS.fill("revise", critique=criticism, question=seed.prompt[-1].content)
    return Call(
        seat="student",
        agent=answer.call.agent,
        purpose="revision",
        messages=(
            *seed.prompt,
            Message(role="assistant", content=answer.text),
            Message(role="user", content=asked),
        ),
        sampling=Sampling(max_tokens=options.answer_tokens),
    )
