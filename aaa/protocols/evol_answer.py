"""Evol-Answer: an answer is rewritten for logic, correctness and affinity; each time the better one is kept.

After WizardLM-2, whose Evol-Answer has a model generate and rewrite an answer several times for these three
and gives no prompt; that every rewriting is judged blindly against what it came from, and that a lost one
changes nothing, is ours. Unlike `co_teaching` nobody criticises, and a lost rewriting does not end the
rounds: the next has another aim.
"""

import random
from typing import Literal, get_args

from pydantic import Field

from aaa.judges import compare
from aaa.play import CallRefused, Play, note, together, try_all
from aaa.prompts import prompts_beside
from aaa.protocols._moves import as_message
from aaa.types import Agent, Call, Cast, Message, Sampling, Seed, Turn, Value, Verdict

PROMPTS = prompts_beside(__file__)
SEATS = {"student": "answers, and rewrites where nobody else does", "judge": "compares blindly"}
OPTIONAL = {"rewriter": "rewrites the students' answers; one of several is drawn each time"}
CONTESTANTS = ("student", "rewriter")

Aim = Literal["logic", "correctness", "affinity"]
AIMS: tuple[Aim, ...] = get_args(Aim)


class Options(Value):
    rounds: int = Field(1, ge=1, le=10)
    """How often all aims are gone through."""
    aims: tuple[Aim, ...] = Field(AIMS, min_length=1, max_length=12)
    """What an answer is rewritten for, in this order; each is a rewriting of its own."""
    answer_tokens: int | None = Field(None, ge=1)
    """Longest answer or rewriting; `None` leaves it to the agent's card."""


def play(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    """Every student's answer, then its rewritings, side by side. Raises `CallRefused` where none answered."""
    drafts = yield from try_all(_draft(student, seed, options) for student in cast["student"])
    if all(draft.failure is not None for draft in drafts):
        raise CallRefused(drafts[0])
    yield from together(_evolve(seed, cast, options, d) for d in drafts if d.failure is None)


def _evolve(seed: Seed, cast: Cast, options: Options, draft: Turn) -> Play[None]:
    """Rewritings for one aim after another, each of the best answer so far."""
    student = cast.agent(draft.call.agent)
    chance = random.Random(f"evol_answer/{seed.id}/{student.name}")
    best = draft
    for aim in options.aims * options.rounds:
        seat = "rewriter" if cast["rewriter"] else "student"
        by = chance.choice(cast["rewriter"] or (student,))
        (rewritten,) = yield from try_all((_rewriting(seat, by, seed, best, aim, options),))
        verdict = yield from _judged(seed, cast, best, rewritten)
        yield from note(verdict)
        if verdict.chosen == rewritten.index:
            best = rewritten


def _judged(seed: Seed, cast: Cast, before: Turn, after: Turn) -> Play[Verdict]:
    """Whether it got better. What was cut off, where its parent was not, is none; nobody is asked."""
    if after.reply.finish_reason == "length" and before.reply.finish_reason != "length":
        return Verdict(
            edge="revision",
            context=seed.prompt,
            a=before.index,
            b=after.index,
            outcome="abstain",
            judging=cast.judging.play,
            reason="truncated: answer b was cut off at its longest length",
        )
    return (yield from compare(cast, seed, before, after, edge="revision"))


def _draft(student: Agent, seed: Seed, options: Options) -> Call:
    return Call(
        seat="student",
        agent=student.name,
        purpose="draft",
        messages=seed.prompt,
        sampling=Sampling(max_tokens=options.answer_tokens),
    )


def _rewriting(seat: str, by: Agent, seed: Seed, answer: Turn, aim: Aim, options: Options) -> Call:
    """Go on in the talk as if one had given the answer: weak models copy what stands between marks."""
    question = seed.prompt[-1].content
    asked = PROMPTS.fill("rewrite", aim=PROMPTS.fill(aim), question=question)
    return Call(
        seat=seat,
        agent=by.name,
        purpose="revision",
        messages=(
            *seed.prompt,
            as_message(answer),
            Message(role="user", content=asked),
        ),
        sampling=Sampling(max_tokens=options.answer_tokens),
    )
