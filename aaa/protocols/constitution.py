"""Constitution: a student criticises and revises its own answer by principles drawn from a list.

After Constitutional AI (2212.08073): critique and revision by one principle at a time, and AI labels, where a
judge says which of two answers keeps more to a principle. Ours: that a blind judge must confirm the last
revision against the first draft before it counts; and the principles, which are our own. Left out: judging
each step (a step may well be worse, and the next mends it), principles with weights.
"""

import random
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, StringConstraints

from aaa.judges import compare
from aaa.play import Play, note, together, try_all
from aaa.prompts import prompts_beside
from aaa.protocols._moves import Urge, answer_call, concluded, judged, says_something, self_revision
from aaa.types import Cast, Message, Seed, Turn, Value, Verdict

PROMPTS = prompts_beside(__file__)
SEATS = {
    "student": "answers, criticises its answer by each principle, and revises it",
    "judge": "compares blindly: the last revision with the first draft, and samples by a principle",
}
CONTESTANTS = ("student",)
PRINCIPLES = tuple(PROMPTS.fill("principles").splitlines())

Principle = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class Options(Value):
    principles: tuple[Principle, ...] = Field(PRINCIPLES, min_length=1, max_length=10_000)
    """One sentence each about "the answer"; in a scenario also `{lines_of: principles/honesty.txt}`."""
    revisions: int = Field(2, ge=0, le=8)
    """How often an answer is criticised and revised, each time by another principle."""
    labels: int = Field(0, ge=0, le=8)
    """How often two further answers of each student are compared by a principle alone."""
    answer_tokens: int | None = Field(None, ge=1)
    """Longest draft, revision or sample; `None` leaves it to the agent's card."""
    critique_tokens: int | None = Field(None, ge=1)
    """Longest critique; `None` leaves it to the agent's card."""


def lacks(options: Options, seats: Mapping[str, tuple[str, ...]]) -> str | None:
    """Too few principles, since none is drawn twice for one purpose; or nothing to do."""
    for name, wanted in (("revisions", options.revisions), ("labels", options.labels)):
        known = len(set(options.principles))
        if wanted > known:
            return (
                f"option {name!r} is {wanted}, but there are {known} different principles, "
                "and none is drawn twice"
            )
    if not options.revisions and not options.labels:
        return "options 'revisions' and 'labels' are both 0: there is nothing to compare"
    return None


def play(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    """Every student by itself, side by side, by the same principles.

    Raises `CallRefused` where a provider's refusals left nothing to judge.
    """
    yield from concluded(_session(seed, cast, options))


def _session(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    students = [student.name for student in cast["student"]]
    drafts = [
        answer_call(name, seed.prompt, options.answer_tokens, purpose="draft")
        for name in students
        if options.revisions
    ]
    labels = [(name, by) for name in students for by in _drawn(seed, options, "labels")]
    samples = [
        answer_call(name, seed.prompt, options.answer_tokens, purpose="sample")
        for name, _ in labels
        for _ in "ab"
    ]
    turns = yield from try_all([*drafts, *samples])
    first, rest = turns[: len(drafts)], turns[len(drafts) :]
    pairs = zip(rest[::2], rest[1::2], labels, strict=True)
    yield from together(
        [
            *(_improve(seed, cast, options, draft) for draft in first),
            *(_label(seed, cast, a, b, principle) for a, b, (_, principle) in pairs),
        ]
    )


def _improve(seed: Seed, cast: Cast, options: Options, draft: Turn) -> Play[None]:
    """Revision upon revision, each by a principle; then the last of them against the draft."""
    if draft.failure is not None:
        return
    answer, newest = draft, None
    for principle in _drawn(seed, options, "revisions"):
        revised = yield from self_revision(seed.prompt, answer, _urge(seed, options, principle))
        if revised.failure is None:
            newest = revised
        if says_something(revised):
            answer = revised
    last = newest if answer is draft else answer
    if last is not None:
        yield from judged(cast, seed, draft, last, edge="constitution")


def _label(seed: Seed, cast: Cast, a: Turn, b: Turn, principle: str) -> Play[None]:
    """Which of two samples keeps more to the principle; the pair answers the prompt without it."""
    if a.failure is not None or b.failure is not None:
        return
    *before, last = seed.prompt
    asked = f"{last.content}\n\n{PROMPTS.fill('label', principle=principle)}"
    context = (*before, Message(role=last.role, content=asked))
    # neither a reference nor a checker knows the principle
    bare = seed.model_copy(update={"reference": None, "checker": None})
    verdict = yield from compare(cast, bare, a, b, edge="principle", context=context)
    yield from note(_addressed(verdict, seed, principle))


def _addressed(verdict: Verdict, seed: Seed, principle: str) -> Verdict:
    """The verdict as one on answers to the seed's prompt, its principle told in the reason."""
    reason = f"by the principle {principle!r}" + (f": {verdict.reason}" if verdict.reason else "")
    return verdict.model_copy(update={"context": seed.prompt, "reason": reason})


def _drawn(seed: Seed, options: Options, purpose: str) -> list[str]:
    """As many principles as `purpose` needs, without replacement; the same for every student."""
    known = list(dict.fromkeys(options.principles))
    wanted = {"revisions": options.revisions, "labels": options.labels}[purpose]
    return random.Random(f"constitution/{purpose}/{seed.id}").sample(known, wanted)


def _urge(seed: Seed, options: Options, principle: str) -> Urge:
    question = seed.prompt[-1].content
    return Urge(
        critique=PROMPTS.fill("critique", principle=principle),
        revise=PROMPTS.fill("revise", question=question),
        anew=PROMPTS.fill("anew", principle=principle, question=question),
        answer_tokens=options.answer_tokens,
        critique_tokens=options.critique_tokens,
    )
