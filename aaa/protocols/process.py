"""Process data: a student writes a solution in steps, and each step is labelled right or wrong.

`by: rollouts` after Math-Shepherd (2312.08935): each beginning of the solution is completed several times,
and a step is right if enough of its completions come out right by the seed's checker or reference.
`by: judge`: a judge labels every step, as ChatGPT did for WizardMath's process reward model (2308.09583).
What comes out is a `Steps` note for each solution. Left out: training on it, and searching for the first
wrong step.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from pydantic import Field

from aaa.errors import PlayError
from aaa.judges import unfit
from aaa.judges._content import has_content
from aaa.play import Play, check_all, note, together, try_all
from aaa.prompts import prompts_beside
from aaa.protocols._step_judges import by_judges
from aaa.protocols._steps import Share, checker_of, prefix, share_of, split_steps
from aaa.types import (
    CHECKER,
    Agent,
    Ballot,
    Call,
    Cast,
    Check,
    CheckFailure,
    Message,
    Messages,
    Sampling,
    Seed,
    Steps,
    Turn,
    Value,
)

PROMPTS = prompts_beside(__file__)
SEATS = {"student": "writes solutions in steps"}
OPTIONAL = {
    "completer": "completes beginnings of solutions (`by: rollouts`); the student itself where nobody does",
    "judge": "labels each step (`by: judge`)",
}


class Options(Value):
    by: Literal["rollouts", "judge"] = "rollouts"
    """Who says which steps are right: completions that a program checks, or a judge."""
    solutions: int = Field(1, ge=1, le=16)
    """How many solutions each student writes."""
    completions: int = Field(4, ge=1, le=64)
    """How often each beginning is completed; Math-Shepherd took 8."""
    threshold: float = Field(0, ge=0, le=1)
    """Share of its completions that must come out right for a step to be right; 0: one is enough."""
    most_steps: int = Field(12, ge=1, le=32)
    """A solution with more steps is dropped: it costs `completions` calls a step."""
    solution_tokens: int | None = Field(None, ge=1)
    """Longest solution; `None` leaves it to the agent's card."""
    completion_tokens: int | None = Field(None, ge=1)
    """Longest completion; `None` leaves it to the agent's card."""


def CONTESTANTS(options: Options) -> tuple[str, ...]:  # noqa: N802 (a protocol's file calls it so)
    """A judge may not label steps of its relatives; completions are judged by nobody."""
    return ("student",) if options.by == "judge" else ()


def lacks(options: Options, seats: Mapping[str, tuple[str, ...]]) -> str | None:
    if options.by == "judge" and not seats.get("judge"):
        return "option 'by' is 'judge', so somebody must hold seat 'judge' (labels each step)"
    return None


def play(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    """All solutions, then all labels. Raises `PlayError` where rollouts have nothing to be held against."""
    if options.by == "rollouts" and checker_of(seed) is None:
        raise PlayError(
            f"seed {seed.id!r} has no checker and no short reference, so no completion can be called "
            "right: give it one (`checker`, `reference`), or take `by: judge`"
        )
    asked = solving(seed.prompt, options)
    written = yield from try_all(
        _solution(student, asked, options)
        for student in cast["student"]
        for _ in range(options.solutions)
    )
    yield from together(_labelled(seed, cast, options, asked, turn) for turn in written)


def _labelled(seed: Seed, cast: Cast, options: Options, asked: Messages, turn: Turn) -> Play[None]:
    """Put a solution's steps on the record with their labels, or why there are none."""
    steps = split_steps(turn.text)
    dropped = _unfit(seed, cast, options, turn, steps)
    if dropped:
        yield from note(_noted(seed, options, turn, dropped=dropped))
        return
    if options.by == "judge":
        labels = yield from by_judges(seed, cast, turn, steps)
        shares = tuple(Share(label, None) for label in labels)
        yield from note(_noted(seed, options, turn, steps, shares))
        return
    completed = yield from _completed(cast, options, asked, turn, steps)
    yield from note((yield from _by_rollouts(seed, options, turn, steps, completed)))


def _unfit(seed: Seed, cast: Cast, options: Options, turn: Turn, steps: Sequence[str]) -> str:
    """Why a solution's steps are not labelled, as a reason code."""
    if turn.failure is not None:
        return "call_refused"
    if not has_content(turn.text):
        return "no_content"
    if turn.reply.finish_reason == "length":
        return "truncated"
    if len(steps) > options.most_steps:
        return "too_many_steps"
    shown = options.by == "rollouts" or unfit(turn, seed, seed.prompt, cast.judging) is None
    return "" if shown else "suspect_text"


def _completed(
    cast: Cast, options: Options, asked: Messages, turn: Turn, steps: Sequence[str]
) -> Play[tuple[tuple[Turn, ...], ...]]:
    """For each step but the last, the turns that go on after it."""
    by = cast["completer"] or (cast.agent(turn.call.agent),)
    seat = "completer" if cast["completer"] else "student"
    calls = [
        _completion(seat, by[n % len(by)], asked, steps, count, options)
        for count in range(1, len(steps))
        for n in range(options.completions)
    ]
    turns = yield from try_all(calls)
    size = options.completions
    return tuple(turns[start : start + size] for start in range(0, len(turns), size))


def _by_rollouts(
    seed: Seed,
    options: Options,
    turn: Turn,
    steps: tuple[str, ...],
    completed: Sequence[Sequence[Turn]],
) -> Play[Steps]:
    """Labels by what a program says of the solution itself, for its last step, and of all completions."""
    checker = checker_of(seed)
    assert checker is not None
    judge = CHECKER + str(checker["kind"])
    whole = [turn]
    for count, turns in enumerate(completed, 1):
        whole += [_joined(steps, count, one) for one in turns if _counts(one)]
    found = yield from check_all(checker, whole, recorded_as=judge)
    shares = [
        share_of([found.get(one.index) for one in turns], options.threshold) for turns in completed
    ]
    own = found[turn.index]
    shares.append(share_of([own], 0))
    correct = own.passed if isinstance(own, Check) else None
    ballots = tuple(_ballot(judge, index, found[index]) for index in sorted(found))
    return _noted(seed, options, turn, steps, shares, correct=correct, ballots=ballots)


def _counts(turn: Turn) -> bool:
    """Whether a completion tells anything: a refused one does not, nor one that was cut off."""
    return turn.failure is None and turn.reply.finish_reason != "length"


def _joined(steps: Sequence[str], count: int, turn: Turn) -> Turn:
    """The completion behind the steps that it completes: a program may need the whole."""
    text = f"{prefix(steps, count)}\n{turn.text.strip()}"
    return turn.model_copy(update={"reply": turn.reply.model_copy(update={"text": text})})


def _ballot(judge: str, turn: int, found: Check | CheckFailure) -> Ballot:
    if isinstance(found, CheckFailure):
        return Ballot(judge=judge, order="a", turn=turn, error=f"{found.kind}: {found.message}")
    scores = {"a": found.score}
    return Ballot.model_validate(
        {"judge": judge, "order": "a", "turn": turn, "scores": scores, "explanation": found.why}
    )


def _noted(
    seed: Seed,
    options: Options,
    turn: Turn,
    steps: tuple[str, ...] = (),
    shares: Iterable[Share] = (),
    *,
    correct: bool | None = None,
    dropped: str = "",
    ballots: tuple[Ballot, ...] = (),
) -> Steps:
    shares = tuple(shares)
    return Steps(
        turn=turn.index,
        context=seed.prompt,
        steps=steps,
        labels=tuple(share.label for share in shares),
        values=tuple(share.value for share in shares),
        by=options.by,
        correct=correct,
        dropped=dropped,
        ballots=ballots,
    )


# What is asked


def solving(chat: Messages, options: Options) -> Messages:
    """The chat, with its last message asking for steps."""
    asked = PROMPTS.fill("solve", most=str(options.most_steps))
    last = chat[-1].model_copy(update={"content": f"{chat[-1].content}\n\n{asked}"})
    return (*chat[:-1], last)


def _solution(student: Agent, asked: Messages, options: Options) -> Call:
    return Call(
        seat="student",
        agent=student.name,
        purpose="solution",
        messages=asked,
        sampling=Sampling(max_tokens=options.solution_tokens),
    )


def _completion(
    seat: str, by: Agent, asked: Messages, steps: Sequence[str], count: int, options: Options
) -> Call:
    """Go on after the first `count` steps, as if one had written them oneself."""
    return Call(
        seat=seat,
        agent=by.name,
        purpose="completion",
        messages=(
            *asked,
            Message(role="assistant", content=prefix(steps, count)),
            Message(role="user", content=PROMPTS.fill("go_on", next=str(count + 1))),
        ),
        sampling=Sampling(max_tokens=options.completion_tokens),
    )


def made_up(call: Call, number: int) -> str | None:
    """For a dry run: a solution with as many steps as are allowed."""
    if call.purpose != "solution":
        return None
    return "\n".join(f"Step {n}: made up {number}." for n in range(1, _allowed(call) + 1))


def _allowed(call: Call) -> int:
    """The number of steps that the call asks for at most."""
    head, tail = PROMPTS.fill("solve", most="\0").split("\0")
    said = call.messages[-1].content.rpartition(head.rsplit("\n", 1)[-1])[2]
    return int(said.removesuffix(tail))
