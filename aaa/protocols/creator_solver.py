"""Creator and solver: prompts on which a solver's own answers differ in worth are evolved, then answered.

After eva (2411.00062): the solver answers n times, the reward gap between the best and the worst answer says
how informative a prompt is, and the creator evolves the informative ones only. Where eva has a reward model,
the scenario's judging play decides here: answers are ranked by comparisons, and the gap is the margin by
which the best beats the worst, in that play's unit (1 where it has none, 0 where the best does not win).
Verdicts come out as pairs on the edge `solver`, new prompts with their own gap as `value`. Left out: eva's
mixing of new prompts with old ones, which sampling does, and training in between.
"""

import random
from typing import NamedTuple

from pydantic import Field

from aaa.judges import compare, unfit
from aaa.play import CallRefused, Play, note, try_all
from aaa.protocols._evolving import Bounds, Flaw, asked_last, cleaned, flaw_of, reworded
from aaa.protocols._k_wise import rank_all
from aaa.protocols._operations import DEPTH, USUAL, Operation, evolution_call, made_up
from aaa.types import Agent, Call, Cast, Evolved, Sampling, Seed, Verdict

__all__ = ["CONTESTANTS", "SEATS", "Options", "made_up", "play"]

SEATS = {
    "solver": "answers each prompt several times",
    "creator": "evolves the informative prompts; one of several is drawn each round",
    "judge": "ranks the solver's answers blindly",
}
CONTESTANTS = ("solver",)
UNINFORMATIVE = "uninformative"


class Options(Bounds):
    answers: int = Field(4, ge=2, le=8)
    """How often each solver answers a prompt."""
    threshold: float = Field(0, ge=0)
    """A prompt is informative if its gap is larger, in the judging play's unit; 0: if the best wins."""
    rounds: int = Field(1, ge=1, le=10)
    """How often a prompt is evolved, each time from the last informative one."""
    operations: tuple[Operation, ...] = Field(USUAL, min_length=1, max_length=100)
    """What is drawn from each round; one that stands twice is drawn twice as often."""
    answer_tokens: int | None = Field(None, ge=1)
    """Longest answer; `None` leaves it to the agent's card."""
    evolution_tokens: int | None = Field(None, ge=1)
    """Longest new prompt; `None` leaves it to the agent's card."""


class Measured(NamedTuple):
    """What the answers to a prompt say about it."""

    gap: float
    """How far the best answer is ahead of the worst; 0 where it does not win."""
    best: int
    """Index of the turn that holds the best answer."""


def play(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    """Measure the seed; where it is informative, evolve it and measure what comes of it.

    Raises `CallRefused` where nobody may answer the seed.
    """
    chance = random.Random(f"creator_solver/{seed.id}")
    measured = yield from _measured(seed, cast, options)
    if measured.gap <= options.threshold:
        yield from note(_uninformative(seed, measured, options))
        return
    parent = seed
    known = {seed.id: asked_last(seed.prompt)}
    for number in range(1, options.rounds + 1):
        creator = chance.choice(cast["creator"])
        operation = chance.choice(options.operations)
        tried = yield from _evolve(seed, cast, options, creator, operation, number, parent, known)
        yield from note(tried)
        if not tried.dropped:
            parent = _seed_of(seed, tried)
            known[parent.id] = asked_last(parent.prompt)


def _evolve(
    seed: Seed,
    cast: Cast,
    options: Options,
    creator: Agent,
    operation: Operation,
    number: int,
    parent: Seed,
    known: dict[str, str],
) -> Play[Evolved]:
    """One new prompt, held against the rules and then against the solver's answers."""
    call = evolution_call(
        creator.name,
        parent.prompt,
        operation,
        options.words,
        seat="creator",
        tokens=options.evolution_tokens,
    )
    (turn,) = yield from try_all((call,))
    flaw = flaw_of(turn, asked_last(parent.prompt), known, operation in DEPTH, options)
    made = Evolved(
        id=f"{seed.id}.e{number}",
        parent=parent.id,
        operation=operation,
        turn=turn.index,
        prompt=reworded(parent.prompt, cleaned(turn.text), operation),
    )
    if flaw is not None:
        return _dropped(made, flaw)
    try:
        measured = yield from _measured(_seed_of(seed, made), cast, options)
    except CallRefused as refused:
        return _dropped(made, Flaw("call_refused", str(refused)[:300]))
    code, why = _said(measured, options)
    return made.model_copy(update={"value": measured.gap, "dropped": code, "why": why})


def _measured(seed: Seed, cast: Cast, options: Options) -> Play[Measured]:
    """Answers to a prompt, ranked; and how far the best is ahead. Raises `CallRefused`."""
    answers = yield from try_all(
        _answer(solver, seed, options) for solver in cast["solver"] for _ in range(options.answers)
    )
    if all(answer.failure is not None for answer in answers):
        raise CallRefused(answers[0])
    ranking = yield from rank_all(cast, seed, answers, edge="solver")
    by_index = {answer.index: answer for answer in answers}
    ranked = [by_index[index] for index in ranking.order]
    fit = [answer for answer in ranked if unfit(answer, seed, seed.prompt, cast.judging) is None]
    if len(fit) < 2:
        return Measured(0.0, ranked[0].index)
    best, worst = fit[0], fit[-1]
    ends = {best.index, worst.index}
    verdict = next((v for v in ranking.verdicts if {v.a, v.b} == ends), None)
    if verdict is None:
        a, b = sorted((best, worst), key=lambda answer: answer.index)
        verdict = yield from compare(cast, seed, a, b, edge="solver")
        yield from note(verdict)
    return Measured(_gap(verdict, best.index), best.index)


def _gap(verdict: Verdict, best: int) -> float:
    """The margin by which the best answer won, 1 where there is none; 0 where it did not win."""
    if verdict.chosen != best:
        return 0.0
    return 1.0 if verdict.margin is None else verdict.margin


def _said(measured: Measured, options: Options) -> tuple[str, str]:
    """(reason code, why) of a prompt with that gap; empty where it is informative."""
    if measured.gap > options.threshold:
        return "", ""
    return UNINFORMATIVE, f"gap {measured.gap:.3g} is not above {options.threshold:.3g}"


def _uninformative(seed: Seed, measured: Measured, options: Options) -> Evolved:
    """What stands for the prompt that was not made of this seed; its turn is the best answer's."""
    code, why = _said(measured, options)
    return Evolved(
        id=f"{seed.id}.e1",
        parent=seed.id,
        operation="none",
        turn=measured.best,
        prompt=seed.prompt,
        dropped=code,
        why=why,
        value=measured.gap,
    )


def _dropped(made: Evolved, flaw: Flaw) -> Evolved:
    return made.model_copy(update={"dropped": flaw.code, "why": flaw.why})


def _seed_of(seed: Seed, made: Evolved) -> Seed:
    """The new prompt as a seed; reference and checker of the old one answer another question."""
    return Seed(
        id=made.id,
        prompt=made.prompt,
        tags=seed.tags,
        parent=made.parent,
        operation=made.operation,
    )


def _answer(solver: Agent, seed: Seed, options: Options) -> Call:
    return Call(
        seat="solver",
        agent=solver.name,
        purpose="answer",
        messages=seed.prompt,
        sampling=Sampling(max_tokens=options.answer_tokens),
    )
