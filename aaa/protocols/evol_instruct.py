"""Evol-Instruct: a prompt is rewritten round by round into a chain of new prompts; what is none is dropped.

After WizardLM (2304.12244): an operation is drawn each round, an eliminated evolution leaves its parent for
the next round. Of WizardLM-2, which names several agents as evolvers: the evolver is drawn as well. With a
student, a prompt that nobody could answer is dropped; with a judge, one that asks for the same as its
parent, and every other gets its difficulty. Left out: a better answer to the new prompt, which a later stage
may make.
"""

import random
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from aaa.judges import fence, salt_for
from aaa.judges._written import Written, closed, parsed
from aaa.play import Play, note, try_all
from aaa.prompts import prompts_beside, shown
from aaa.protocols._evolving import (
    Bounds,
    Flaw,
    asked_last,
    cleaned,
    flaw_by_answers,
    flaw_of,
    reworded,
)
from aaa.protocols._operations import DEPTH, USUAL, Operation, evolution_call, made_up, rewriting
from aaa.protocols._strict import Heard, hear
from aaa.types import Agent, Call, Cast, Evolved, Message, Messages, Sampling, Seed, Turn

PROMPTS = prompts_beside(__file__)
SEATS = {"evolver": "rewrites the prompt; one of several is drawn each round"}
OPTIONAL = {
    "student": "answers each new prompt, so that one that nobody can answer is dropped",
    "judge": "says whether a new prompt asks for something new, and how hard it is",
}
CONTESTANTS: tuple[str, ...] = ()

__all__ = ["CONTESTANTS", "OPTIONAL", "SEATS", "Options", "made_up", "play"]

BY_METHOD: Literal["by_method"] = "by_method"
"""Operation of what a method of the user's makes."""
HARDEST = 10


class Options(Bounds):
    rounds: int = Field(4, ge=1, le=10)
    """How often a prompt is rewritten, each time from the last that was kept; WizardLM did it 4 times."""
    operations: tuple[Operation, ...] = Field(USUAL, min_length=1, max_length=100)
    """What is drawn from each round; one that stands twice is drawn twice as often."""
    method: str | None = Field(None, min_length=1, max_length=4000)
    """How to rewrite, in words, in place of `operations`: what `auto_evol` found, say. `None`: by these."""
    evolution_tokens: int | None = Field(None, ge=1)
    """Longest new prompt; `None` leaves it to the agent's card."""
    answer_tokens: int | None = Field(None, ge=1)
    """Longest answer of a student; `None` leaves it to the agent's card."""


class Assessment(Written):
    """What a judge says about a new prompt."""

    same: bool
    difficulty: int = Field(ge=1, le=HARDEST)


SHAPE = closed(
    "assessment",
    {
        "same": {"type": "boolean"},
        "difficulty": {"type": "integer", "minimum": 1, "maximum": HARDEST},
    },
)


def play(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    """A chain of evolutions, one attempt a round, each noted as kept or dropped."""
    chance = random.Random(f"evol_instruct/{seed.id}")
    id, chat = seed.id, seed.prompt
    known = {seed.id: asked_last(seed.prompt)}
    for number in range(1, options.rounds + 1):
        evolver = chance.choice(cast["evolver"])
        operation = chance.choice(options.operations) if options.method is None else BY_METHOD
        tried = yield from _evolve(
            seed, cast, options, evolver, operation, (number, id, chat), known
        )
        yield from note(tried)
        if not tried.dropped:
            id, chat = tried.id, tried.prompt
            known[id] = asked_last(chat)


def _evolve(
    seed: Seed,
    cast: Cast,
    options: Options,
    evolver: Agent,
    operation: Operation | Literal["by_method"],
    parent: tuple[int, str, Messages],
    known: dict[str, str],
) -> Play[Evolved]:
    """One attempt on `parent` (number of the attempt, id, chat), through rules, answers and judges."""
    number, id, chat = parent
    (turn,) = yield from try_all((_rewriting(evolver, chat, operation, options),))
    text = cleaned(turn.text)
    made = reworded(chat, text, operation)
    flaw = flaw_of(turn, asked_last(chat), known, operation in (*DEPTH, BY_METHOD), options)
    value: float | None = None
    why = ""
    if flaw is None:
        answers = yield from try_all(_answer(s, made, options) for s in cast["student"])
        flaw = flaw_by_answers(answers)
    if flaw is None and cast["judge"]:
        flaw, value, why = yield from _assess(cast["judge"], chat, made)
    return Evolved(
        id=f"{seed.id}.e{number}",
        parent=id,
        operation=operation,
        turn=turn.index,
        prompt=made,
        dropped="" if flaw is None else flaw.code,
        why=why if flaw is None else flaw.why,
        value=value,
    )


def _rewriting(
    evolver: Agent, chat: Messages, operation: Operation | Literal["by_method"], options: Options
) -> Call:
    tokens = options.evolution_tokens
    if operation == BY_METHOD:
        return rewriting("evolver", evolver.name, "evolution", chat, options.method or "", tokens)
    return evolution_call(evolver.name, chat, operation, options.words, tokens=tokens)


def _answer(student: Agent, chat: Messages, options: Options) -> Call:
    return Call(
        seat="student",
        agent=student.name,
        purpose="answer",
        messages=chat,
        sampling=Sampling(max_tokens=options.answer_tokens),
    )


def _assess(
    judges: Sequence[Agent], parent: Messages, made: Messages
) -> Play[tuple[Flaw | None, float | None, str]]:
    """(why it is dropped, its mean difficulty from 1 to 10, what could not be read) by the judges' word.

    More than half of those who could be read must find it the same as its parent.
    """
    heard = yield from hear((_assessment(judge, parent, made) for judge in judges), _read)
    said = [one.value for one in heard if one.value is not None]
    if not said:
        return None, None, f"no assessment could be read: {heard[0].why}"
    if 2 * sum(one.same for one in said) > len(said):
        return Flaw("no_gain", "the judge finds that it asks for the same as its parent"), None, ""
    return None, sum(one.difficulty for one in said) / len(said), _unread(heard)


def _unread(heard: Sequence[Heard[Assessment]]) -> str:
    missing = [one.turn.call.agent for one in heard if one.value is None]
    return f"no assessment by {', '.join(missing)}" if missing else ""


def _read(turn: Turn) -> Assessment:
    return parsed(turn, Assessment)


def _assessment(judge: Agent, parent: Messages, made: Messages) -> Call:
    one, two = shown(parent), shown(made)
    mark = fence(salt_for("assessment", one, two))
    return Call(
        seat="judge",
        agent=judge.name,
        purpose="assessment",
        messages=(
            Message(role="system", content=PROMPTS.fill("judge")),
            Message(role="user", content=PROMPTS.fill("assess", fence=mark, one=one, two=two)),
        ),
        sampling=Sampling(temperature=0, max_tokens=60),
        shape=SHAPE,
    )
