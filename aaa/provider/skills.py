"""How good each of the stub's models is: one of skill N says the best of N texts, by hidden quality.

Of two models with skills N and M, the first is better in N / (N + M) of all prompts. Without a skill a model
says the one text that follows from the request. Left out: skills that differ by subject.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase

from aaa.errors import InputError

MOST = 1000
"""Each text of a skilled model costs as many as its skill."""

Skills = Mapping[str, int]
"""Pattern of model names -> skill; the first that fits a name counts."""


def parse_skills(spec: str) -> Skills:
    """`*-g1=4,*-g2=16`, of patterns as in a shell. Raises `InputError` naming the part."""
    found: dict[str, int] = {}
    for part in filter(None, (piece.strip() for piece in spec.split(","))):
        pattern, _, value = part.rpartition("=")
        if not pattern or not value.isdecimal() or not 1 <= int(value) <= MOST:
            raise InputError(f"skill {part!r}: expected MODEL=N, with N from 1 to {MOST}")
        found[pattern.strip()] = int(value)
    return found


def skill_of(skills: Skills, model: str) -> int:
    """The skill of a model; 1 where no pattern fits its name."""
    fits = (skill for pattern, skill in skills.items() if fnmatchcase(model, pattern))
    return next(fits, 1)
