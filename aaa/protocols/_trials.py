"""An evolving method on trial: what becomes of a set of tasks that are evolved by it, and where it fails.

After Auto Evol-Instruct (2406.00770): every task is evolved several times in a row, and counts as a failure
if any rewriting of it is none by the rules of `_evolving`, or if nobody can answer the last one. Left out:
what to do about it (`auto_evol`).
"""

from collections.abc import Sequence

from aaa.play import Play, try_all
from aaa.protocols._evolving import Bounds, asked_last, cleaned, flaw_by_answers, flaw_of, reworded
from aaa.protocols._operations import rewriting
from aaa.types import Agent, Call, Messages, Sampling, Value

REWORK = "method"
"""Operation of what a method makes: in depth or not is its own choice."""


class Stretch(Value):
    """One rewriting of one task."""

    text: str
    flaw: str = ""
    """Why it is none; empty where it is one."""


class Trajectory(Value):
    """What became of one task."""

    first: str
    stretches: tuple[Stretch, ...] = ()
    last: Messages
    """The chat with the last rewriting that was one."""
    unanswered: str = ""
    """Why the last one cannot be answered; empty where it can, or nobody was asked."""

    @property
    def failed(self) -> bool:
        return bool(self.unanswered) or any(stretch.flaw for stretch in self.stretches)

    def told(self) -> str:
        """In words, for an optimiser."""
        lines = [f"task: {self.first}"]
        for number, stretch in enumerate(self.stretches, 1):
            mark = f" [failure: {stretch.flaw}]" if stretch.flaw else ""
            lines.append(f"rewriting {number}: {stretch.text}{mark}")
        if self.unanswered:
            lines.append(f"[failure: {self.unanswered}]")
        return "\n".join(lines)


def share_without_failure(trajectories: Sequence[Trajectory]) -> float:
    """What a method is worth, from 0 to 1."""
    return sum(not one.failed for one in trajectories) / len(trajectories)


def failures_first(trajectories: Sequence[Trajectory], most: int) -> str:
    """So many trajectories in words, those with a failure before those without."""
    ordered = sorted(trajectories, key=lambda one: not one.failed)
    return "\n\n".join(one.told() for one in ordered[:most])


def trial(
    method: str,
    tasks: Sequence[Messages],
    evolvers: Sequence[Agent],
    students: Sequence[Agent],
    rounds: int,
    bounds: Bounds,
    tokens: tuple[int | None, int | None],
) -> Play[tuple[Trajectory, ...]]:
    """Evolve every task `rounds` times by the method, evolvers taking turns; students answer what comes out.

    It asks the same number of calls whatever comes back. `tokens`: longest rewriting, longest answer.
    """
    found = [Trajectory(first=asked_last(task), last=task) for task in tasks]
    for number in range(rounds):
        turns = yield from try_all(
            rewriting(
                "evolver",
                evolvers[(i + number) % len(evolvers)].name,
                "trial",
                one.last,
                method,
                tokens[0],
            )
            for i, one in enumerate(found)
        )
        for i, turn in enumerate(turns):
            before = asked_last(found[i].last)
            known = {"its task": found[i].first, "the rewriting before": before}
            flaw = flaw_of(turn, before, known, True, bounds)
            text = cleaned(turn.text)
            stretch = Stretch(text=text, flaw="" if flaw is None else f"{flaw.code}: {flaw.why}")
            last = found[i].last if flaw else reworded(found[i].last, text, REWORK)
            grown = {"stretches": (*found[i].stretches, stretch), "last": last}
            found[i] = found[i].model_copy(update=grown)
    return (yield from _answered(found, students, tokens[1]))


def _answered(
    found: Sequence[Trajectory], students: Sequence[Agent], tokens: int | None
) -> Play[tuple[Trajectory, ...]]:
    answers = yield from try_all(
        Call(
            seat="student",
            agent=student.name,
            purpose="answer",
            messages=one.last,
            sampling=Sampling(max_tokens=tokens),
        )
        for one in found
        for student in students
    )
    size = len(students)
    flaws = [flaw_by_answers(answers[n * size : (n + 1) * size]) for n in range(len(found))]
    return tuple(
        one.model_copy(update={"unanswered": "" if flaw is None else f"{flaw.code}: {flaw.why}"})
        for one, flaw in zip(found, flaws, strict=True)
    )
