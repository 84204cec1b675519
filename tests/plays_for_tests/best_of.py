"""Every student answers, and the answers are ranked."""

from aaa.play import Play, ask_all
from aaa.protocols._k_wise import rank
from aaa.types import Call, Cast, Seed, Value

SEATS = {"student": "answers", "judge": "compares"}
CONTESTANTS = ("student",)


class Options(Value):
    """There are none."""


def play(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    answers = yield from ask_all(
        Call(seat="student", agent=agent.name, purpose="draft", messages=seed.prompt)
        for agent in cast["student"]
    )
    yield from rank(cast, seed, answers)
