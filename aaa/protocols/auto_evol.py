"""Auto Evol-Instruct: the method by which prompts are evolved is itself improved, from where it fails.

After 2406.00770: a set of tasks is evolved by the method, an optimiser reads what became of them and says
where the method fails, then writes several new ones; each is tried on the same tasks, and the one with the
fewest failures stays if it has fewer than the method before. What counts as a failure is for rules and
students to say, not for the optimiser who wrote the method (ours). A session is one such search; its seed and
the option `dev` are the tasks. Methods come out as notes, and the last that was kept can be given to
`evol_instruct` as its `method`. Left out: a validation set of other tasks.
"""

import random
from typing import NamedTuple

from pydantic import Field

from aaa.judges import fence, salt_for
from aaa.play import Play, note, together, try_all
from aaa.prompts import prompts_beside
from aaa.protocols._evolving import Bounds, cleaned, words
from aaa.protocols._trials import (
    REWORK,
    Trajectory,
    failures_first,
    share_without_failure,
    trial,
)
from aaa.types import Agent, Call, Cast, Evolved, Message, Messages, Sampling, Seed, Turn

PROMPTS = prompts_beside(__file__)
SEATS = {
    "evolver": "rewrites tasks by the method",
    "optimizer": "reads what became of them and writes better methods; several take turns",
}
OPTIONAL = {"student": "answers the last rewritings, so that what nobody can answer is a failure"}
CONTESTANTS: tuple[str, ...] = ()
METHOD = REWORK
LONGEST_METHOD = 400
"""Words; a longer one is no instruction for a writer."""


class Options(Bounds):
    dev: tuple[str, ...] = Field((), max_length=200)
    """Tasks that methods are tried on, beside the seed's own; `{lines_of: FILE}` takes a file's lines."""
    steps: int = Field(2, ge=1, le=10)
    """How often the method is improved, at most; it ends early once nothing fails."""
    rounds: int = Field(1, ge=1, le=5)
    """How often a task is evolved in a trial, each time from the last."""
    candidates: int = Field(2, ge=1, le=8)
    """How many new methods are written and tried in each step."""
    trajectories: int = Field(8, ge=1, le=50)
    """How many tasks the optimiser is shown, those that failed first."""
    evolution_tokens: int | None = Field(None, ge=1)
    """Longest rewriting; `None` leaves it to the agent's card."""
    answer_tokens: int | None = Field(None, ge=1)
    """Longest answer of a student; `None` leaves it to the agent's card."""
    method_tokens: int | None = Field(None, ge=1)
    """Longest reply of an optimiser; `None` leaves it to the agent's card."""


class Method(NamedTuple):
    """A method, and what became of the tasks under it."""

    id: str
    text: str
    trajectories: tuple[Trajectory, ...]

    @property
    def value(self) -> float:
        return share_without_failure(self.trajectories)


class Candidate(NamedTuple):
    """A method that an optimiser wrote."""

    id: str
    turn: Turn
    text: str
    flaw: tuple[str, str]
    """(reason code, why) where it is not tried; empty where it is."""


def play(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    """Improve the method step by step; every candidate is noted as kept or dropped."""
    chance = random.Random(f"auto_evol/{seed.id}")
    optimizers = chance.sample(cast["optimizer"], len(cast["optimizer"]))
    text = PROMPTS.fill("method")
    trajectories = yield from _trial(text, seed, cast, options)
    best = Method(seed.id, text, trajectories)
    tried = {best.text}
    for step in range(1, options.steps + 1):
        if best.value == 1:
            return
        by = optimizers[(step - 1) % len(optimizers)]
        failures = yield from _analysed(by, best, options)
        calls = [
            _improving(optimizers[(step - 1 + n) % len(optimizers)], best, failures, options)
            for n in range(options.candidates)
        ]
        turns = yield from try_all(calls)
        written = _candidates(seed, step, turns, tried)
        best = yield from _best_of(seed, cast, options, best, written)


def _best_of(
    seed: Seed, cast: Cast, options: Options, best: Method, written: list[Candidate]
) -> Play[Method]:
    """Try the candidates side by side and note each; the method that goes on."""
    fit = [one for one in written if not one.flaw[0]]
    trials = yield from together(_trial(one.text, seed, cast, options) for one in fit)
    methods = {
        one.id: Method(one.id, one.text, found) for one, found in zip(fit, trials, strict=True)
    }
    winner = max(methods.values(), key=lambda method: method.value, default=best)
    if winner.value <= best.value:
        winner = best
    for one in written:
        yield from note(_noted(one, methods.get(one.id), best, winner))
    return winner


def _noted(one: Candidate, tried: Method | None, before: Method, winner: Method) -> Evolved:
    code, why = one.flaw
    if tried is not None:
        code = "" if winner.id == one.id else "not_better"
        why = f"{tried.value:.2f} without failure, {before.value:.2f} before"
    return Evolved(
        id=one.id,
        parent=before.id,
        operation=METHOD,
        turn=one.turn.index,
        prompt=(Message(role="user", content=one.text),),
        dropped=code,
        why=why,
        value=None if tried is None else tried.value,
    )


def _candidates(seed: Seed, step: int, turns: tuple[Turn, ...], tried: set[str]) -> list[Candidate]:
    """What optimisers wrote; `tried` grows by it, since no method is tried twice."""
    found = []
    for number, turn in enumerate(turns, 1):
        text = cleaned(turn.text)
        flaw = _flaw(turn, text, tried)
        found.append(Candidate(f"{seed.id}.m{step}.{number}", turn, text, flaw))
        tried.add(text)
    return found


def _flaw(turn: Turn, text: str, tried: set[str]) -> tuple[str, str]:
    if turn.failure is not None:
        return "call_refused", f"{turn.failure.kind}: {turn.failure.message}"[:300]
    if not words(text):
        return "empty", "there is no word in it"
    if turn.reply.finish_reason == "length":
        return "truncated", "it was cut off at its longest length"
    if len(words(text)) > LONGEST_METHOD:
        return "too_long", f"{len(words(text))} words, more than {LONGEST_METHOD}"
    if words(text) in map(words, tried):
        return "no_gain", "a method that was tried already"
    return "", ""


def _trial(method: str, seed: Seed, cast: Cast, options: Options) -> Play[tuple[Trajectory, ...]]:
    own = (Message(role="user", content=task) for task in options.dev)
    tasks: list[Messages] = [seed.prompt, *((message,) for message in own)]
    tokens = (options.evolution_tokens, options.answer_tokens)
    return (
        yield from trial(
            method, tasks, cast["evolver"], cast["student"], options.rounds, options, tokens
        )
    )


def _analysed(by: Agent, method: Method, options: Options) -> Play[str]:
    """What the optimiser says about the failures, or the failures themselves where it says nothing."""
    shown = failures_first(method.trajectories, options.trajectories)
    mark = fence(salt_for("analyse", method.text, shown))
    asked = PROMPTS.fill("analyse", fence=mark, method=method.text, trajectories=shown)
    (turn,) = yield from try_all((_call(by, "analysis", asked, options),))
    return turn.text.strip() or shown


def _improving(by: Agent, method: Method, failures: str, options: Options) -> Call:
    mark = fence(salt_for("improve", method.text, failures))
    asked = PROMPTS.fill("improve", fence=mark, method=method.text, failures=failures)
    return _call(by, "method", asked, options)


def _call(by: Agent, purpose: str, asked: str, options: Options) -> Call:
    return Call(
        seat="optimizer",
        agent=by.name,
        purpose=purpose,
        messages=(
            Message(role="system", content=PROMPTS.fill("optimizer")),
            Message(role="user", content=asked),
        ),
        sampling=Sampling(max_tokens=options.method_tokens),
    )


def made_up(call: Call, number: int) -> str | None:
    """For a dry run: rewritings that fail, so that no step is left out, and methods that differ."""
    return {"trial": "", "method": f"made up method {number}"}.get(call.purpose)
