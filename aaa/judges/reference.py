"""Reference-guided judging: both answers are held against a known answer, or against the judge's own.

The seed's reference is taken where there is one; without it, the judge first answers the question itself and
sees that answer beside the two. After MT-Bench's reference-guided grading (2306.05685, sections 3.1 and 3.4),
which took a judge's failures on mathematics from 14 of 20 to 3 of 20. Both orders, as `pairwise`. Left out:
several references.
"""

from typing import Literal

from pydantic import Field

from aaa.judges import conclude, decided, labels_for, majority
from aaa.judges._own import own_answers
from aaa.judges._written import Asked, ballot_call, fenced, in_both_orders, material, poll
from aaa.judges.pairwise import read_choice, shape
from aaa.play import Play
from aaa.plugins import Contest
from aaa.prompts import prompts_beside
from aaa.types import Agent, Ballot, Call, Turn, Value, Verdict

PROMPTS = prompts_beside(__file__)


class Options(Value):
    whose: Literal["either", "own"] = "either"
    """`either`: the seed's reference, the judge's own answer where there is none; `own`: always its own."""
    answer_tokens: int = Field(800, ge=20, le=8000)
    """Room for the judge's own answer, in tokens."""
    explanation_tokens: int = Field(400, ge=20, le=4000)
    """Room for the judge's reply, in tokens."""


def play(contest: Contest, judges: tuple[Agent, ...], options: Options) -> Play[Verdict]:
    """An own answer per judge where one is needed, then two calls per judge in one batch."""
    labels = labels_for(contest.salt)
    given = contest.reference if options.whose == "either" else None
    references: dict[str, str | None] = {judge.name: given for judge in judges}
    if given is None:
        references = yield from own_answers(contest, judges, options.answer_tokens)
    silent = [name for name, reference in references.items() if reference is None]
    if silent:
        reason = f"{', '.join(map(repr, silent))} gave no answer to hold the others against"
        return decided(contest, "reference", (), ("error", None), reason=reason)

    def call(asked: Asked) -> Call:
        kind = "own" if given is None else "given"
        reference = references[asked.judge] or ""
        parts = (
            material(contest, asked.order, labels),
            fenced(PROMPTS, kind, contest, reference=reference),
            PROMPTS.fill("decide", label_one=labels[0], label_two=labels[1]),
        )
        texts = (PROMPTS.fill("system"), "\n\n".join(parts))
        return ballot_call(contest, asked.judge, texts, shape(labels), options.explanation_tokens)

    def read(asked: Asked, turn: Turn) -> Ballot:
        return read_choice(asked, turn, labels)

    ballots = yield from poll(in_both_orders(judges), call, read)
    found = majority(conclude(ballots.values()))
    return decided(contest, "reference", ballots.values(), found)
