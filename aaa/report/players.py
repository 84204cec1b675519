"""Who answered: agents, which of them are generations of one student, and which two are compared.

A student's line is the agent at its head and all that were trained from it, as cards and registered
generations tell. Left out: opponents and teachers, beyond their names.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from aaa.errors import NotFound
from aaa.types import Value


class Player(Value):
    """One agent that answered."""

    agent: str
    line: str
    """The agent at the head of its line; itself, where it was trained from nobody."""
    generation: int
    model: str
    answers: int


class Known(Value):
    """What cards and registered generations tell of an agent."""

    generation: int = 0
    parent: str | None = None
    model: str = ""


def line_of(agent: str, known: Mapping[str, Known]) -> tuple[str, ...]:
    """The agent and its ancestors, nearest first."""
    passed = [agent]
    while (of := known.get(passed[-1])) is not None and of.parent and of.parent not in passed:
        passed.append(of.parent)
    return tuple(passed)


def head_of(agent: str, known: Mapping[str, Known]) -> str:
    """The agent at the head of its line."""
    return line_of(agent, known)[-1]


def players(counts: Mapping[str, int], known: Mapping[str, Known]) -> tuple[Player, ...]:
    """The agents that answered so often: the longest line first, by generation; then the others."""
    heads = {agent: head_of(agent, known) for agent in counts}
    long = {head: list(heads.values()).count(head) for head in heads.values()}
    found = [
        Player(
            agent=agent,
            line=heads[agent],
            generation=known.get(agent, Known()).generation,
            model=known.get(agent, Known()).model,
            answers=counts[agent],
        )
        for agent in counts
    ]
    return tuple(sorted(found, key=lambda p: (-long[p.line], p.line, p.generation, p.agent)))


def compared(
    found: Sequence[Player], wanted: tuple[str, str] | None, refused: Collection[str] = ()
) -> tuple[str, str] | None:
    """(before, after): as wanted, else the longest line's first generation and its last that was not refused.

    `None` where no line has two generations. Raises `NotFound` for one that did not answer.
    """
    if wanted is not None:
        _check(wanted, found)
        return wanted
    if not found:
        return None
    line = [one.agent for one in found if one.line == found[0].line]
    if len(line) < 2:
        return None
    admitted = [agent for agent in line[1:] if agent not in refused]
    return line[0], (admitted or line)[-1]


def _check(wanted: Iterable[str], found: Sequence[Player]) -> None:
    names = [one.agent for one in found]
    for name in wanted:
        if name not in names:
            there = ", ".join(names) or "nobody"
            raise NotFound(f"{name!r} answered no seed here; there are: {there}")
