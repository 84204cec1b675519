"""`any`: at least one of several checkers passes. The score is the best of theirs.

One that cannot tell does not matter where another passes; where none does, it is an error, for it might have.
"""

from aaa import checkers
from aaa.checkers import all as every
from aaa.errors import CheckError
from aaa.types import Check

Options = every.Options


def check(answer: str, options: every.Options) -> Check:
    found: list[Check] = []
    unknown: CheckError | None = None
    for spec in options.of:
        try:
            found.append(checkers.apply(spec, answer))
        except CheckError as error:
            unknown = error
            continue
        if found[-1].passed:
            return Check(score=1, why=f"{spec['kind']} passes: {found[-1].why}")
    if unknown is not None:
        raise unknown
    return Check(score=max(part.score for part in found), why=every.told(options.of, found))
