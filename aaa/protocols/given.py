"""Given answers: two answers that exist already are put on the record and judged; nobody answers.

A labelled pair measures the judges (`aaa judges calibrate`), an older round's pair is judged again
(`aaa rounds rejudge`). Either way it is an ordinary session: journal, budget, resume and dashboard
hold for it. Left out: the label, which no judge sees; what follows from it is `aaa.calibration`'s.
"""

from typing import Literal

from aaa.errors import PlayError
from aaa.judges import compare
from aaa.play import Play, ask_all, note, together
from aaa.types import Agent, Answer, Call, Cast, Comparison, Reply, Seed, Value

SEATS = {"judge": "compares the given answers blindly"}
CONTESTANTS = ()  # authors are known by their seeds; see `catalogue.prepare`
AUTHORS = "author"
UNKNOWN = Agent(name="unknown", family="unknown")


class Options(Value):
    judges: Literal["together", "apart"] = "together"
    """`together`: one verdict of all judges; `apart`: a verdict of each judge alone."""
    labels: str = ""
    """Name of the labelled set, for those who read the results; empty where nothing is labelled."""


def play(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    """Both answers on the record, then a verdict of all judges or one of each. Raises `PlayError`."""
    known = seed.comparison
    if known is None:
        raise PlayError(f"seed {seed.id!r} has no two answers to compare (`answer_a`, `answer_b`)")
    a, b = yield from ask_all(_given(seed, answer) for answer in (known.a, known.b))
    juries = [cast["judge"]] if options.judges == "together" else [(j,) for j in cast["judge"]]
    verdicts = yield from together(
        compare(_seated(cast, jury, known), seed, a, b, edge=known.edge) for jury in juries
    )
    for verdict in verdicts:
        yield from note(verdict)


def authors(comparison: Comparison) -> tuple[Agent, Agent]:
    """Who wrote a and b, as far as it is known."""
    return comparison.a.author or UNKNOWN, comparison.b.author or UNKNOWN


def _given(seed: Seed, answer: Answer) -> Call:
    return Call(
        seat=AUTHORS,
        agent=(answer.author or UNKNOWN).name,
        purpose="given",
        messages=seed.prompt,
        given=Reply(text=answer.text, finish_reason=answer.finish_reason, cost_usd=0.0),
    )


def _seated(cast: Cast, jury: tuple[Agent, ...], known: Comparison) -> Cast:
    """The cast with that jury, and with the authors, so that their relatives are found.

    A judgement that is judged again may speak of scores and of being best, as it might the first time.
    """
    seats = {**cast.seats, "judge": jury, AUTHORS: authors(known)}
    judgement = known.source is not None and known.edge == "judgement"
    screen = cast.judging.screen and not judgement
    judging = cast.judging.model_copy(update={"screen": screen})
    return cast.model_copy(update={"seats": seats, "judging": judging})
