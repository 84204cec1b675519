"""Self-reward: a student answers several times, answers get points, the best and the worst become a pair.

After Self-Rewarding Language Models (2401.10020): the model scores its own answers from 0 to 5, several
times each; and Meta-Rewarding (2407.19594): of answers with close scores the shorter is preferred, and
judgements are judged, so that judging is trained as well. A student that judges itself has to be allowed to
(`judging.exclude_family: false`), which is then written on each pair; a judge of another family may sit in
its place. Left out: new prompts (Evol Lab makes those), and judgements ranked by Elo from all their battles:
here the two that are furthest apart meet.

Of the scenario's `judging`, who may judge, the screen and the seed's checker hold for answers; the judging
play is the meta-judge's.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import Field

from aaa.judges import compare
from aaa.play import Play, note, together
from aaa.protocols._battle import ask_most, distinct, the_rest
from aaa.protocols._points import Judgement, Marking, Scored, by_points, score_all
from aaa.types import Agent, Call, Cast, Outcome, Sampling, Seed, Value, Verdict

T = TypeVar("T")

SEATS = {
    "student": "answers, several times",
    "judge": "gives each answer points, several times; may be the student",
}
OPTIONAL = {
    "meta": "says which of two judgements is better; the judge does, where nobody sits here"
}
CONTESTANTS = ("student",)


class Options(Value):
    answers: int = Field(4, ge=2, le=16)
    """n: how often each student answers."""
    temperature: float | None = Field(0.7, gt=0, le=2)
    """What answers are sampled at; `None` leaves it to the agent's card."""
    votes: int = Field(3, ge=1, le=9)
    """How often each judge scores each answer; its score is the mean."""
    judge_temperature: float = Field(0.7, ge=0, le=2)
    """What judgements are sampled at, where there are several votes; a single one is greedy."""
    close: float = Field(0.0, ge=0, le=2.5)
    """Scores at most so many points apart count as the same: of the best answers the shortest is chosen,
    of the worst the longest is rejected, and these two are further apart; where all are that close there is
    no pair."""
    meta: bool = False
    """Have two judgements of each answer compared, too: pairs that teach judging."""
    answer_tokens: int | None = Field(None, ge=1)
    """Longest answer; `None` leaves it to the agent's card."""
    rationale_tokens: int = Field(200, ge=20, le=2000)
    """Room for the rationale of a score, in tokens."""


def play(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    """Each student for itself, side by side."""
    yield from together(_student(student, seed, cast, options) for student in cast["student"])


def lacks(options: Options, seats: Mapping[str, tuple[str, ...]]) -> str | None:
    """What does not fit, before a round."""
    if options.meta and options.votes * len(seats.get("judge", ())) < 2:
        return (
            "`meta: true` needs two judgements of an answer: set `votes: 2`, or seat a second judge"
        )
    return None


def juries(options: Options, seats: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Whoever says which judgement is better judges the judges."""
    if not options.meta:
        return {}
    return {"meta" if seats.get("meta") else "judge": ("judge",)}


def _student(student: Agent, seed: Seed, cast: Cast, options: Options) -> Play[None]:
    """Answers, points, the pair, what became of the other answers; then judgements."""
    turns = yield from ask_most(_answer(student, seed, options) for _ in range(options.answers))
    fit = distinct(seed, cast, turns)
    several = options.votes > 1
    marking = Marking(
        votes=options.votes,
        temperature=options.judge_temperature if several else 0.0,
        rationale_tokens=options.rationale_tokens,
    )
    scored = yield from score_all(cast, seed, fit, marking)
    yield from _conclude(seed, cast, options, scored)
    yield from the_rest(cast, seed, turns, fit, edge="self_reward")
    if options.meta:
        yield from together(_judge(cast, seed, one) for one in scored)


def _answer(student: Agent, seed: Seed, options: Options) -> Call:
    return Call(
        seat="student",
        agent=student.name,
        purpose="answer",
        messages=seed.prompt,
        sampling=Sampling(temperature=options.temperature, max_tokens=options.answer_tokens),
    )


def _conclude(seed: Seed, cast: Cast, options: Options, scored: Sequence[Scored]) -> Play[None]:
    """The best against the worst; and for every other answer a verdict that says why it is in no pair."""
    if len(scored) < 2:
        return
    ends = _ends(scored, options.close)
    first, *_ = ends or sorted(scored, key=lambda one: one.score() is None)
    why: tuple[Outcome, str] = ("tie", f"close: all scores are within {options.close:g} points")
    if ends is not None:
        best, worst = ends
        why = ("abstain", "in_between: neither the best nor the worst answer")
        verdict = yield from by_points(cast, seed, best, worst, edge="self_reward")
        yield from note(verdict)
    for one in scored:
        if one not in (ends or (first,)):
            verdict = yield from by_points(cast, seed, first, one, edge="self_reward", instead=why)
            yield from note(verdict)


def _ends(scored: Sequence[Scored], close: float) -> tuple[Scored, Scored] | None:
    """Which answer is chosen and which is rejected; `None` where no two scores are far enough apart."""
    known = [(score, one) for one in scored if (score := one.score()) is not None]
    if not known:
        return None
    top, bottom = max(score for score, _ in known), min(score for score, _ in known)
    if top - bottom <= close:
        return None
    high, best = min(
        (pair for pair in known if pair[0] >= top - close and pair[0] > bottom + close),
        key=lambda pair: _length(pair[1]),
    )
    _, worst = max(
        (pair for pair in known if pair[0] <= bottom + close and pair[0] < high - close),
        key=lambda pair: _length(pair[1]),
    )
    return best, worst


def _length(one: Scored) -> int:
    return len(one.answer.text.strip())


def _judge(cast: Cast, seed: Seed, scored: Scored) -> Play[None]:
    """Two judgements of one answer against each other: those whose scores are furthest apart."""
    if len(scored.judgements) < 2:
        return
    readable = [one for one in scored.judgements if one.score is not None]
    if len(readable) < 2:
        yield from note(_unreadable(cast, scored.judgements))
        return
    low, high = (end(readable, key=lambda one: one.score or 0) for end in (min, max))
    if low is high:
        low, high = readable[0], readable[-1]
    a, b = sorted((low.turn, high.turn), key=lambda turn: turn.index)
    seat = "meta" if cast["meta"] else "judge"
    bare = seed.model_copy(update={"reference": None, "checker": None})  # those are of the answer
    verdict = yield from _in_seat(
        seat, compare(_meta_cast(cast, seat), bare, a, b, edge="judgement", context=low.asked)
    )
    yield from note(verdict)


def _meta_cast(cast: Cast, seat: str) -> Cast:
    """The cast in which that seat judges the judges. A judgement may speak of scores and of being best."""
    seats = {**cast.seats, "judged": cast["judge"], "judge": cast[seat]}
    judging = cast.judging.model_copy(update={"screen": False})
    return cast.model_copy(update={"seats": seats, "judging": judging})


def _unreadable(cast: Cast, judgements: Sequence[Judgement]) -> Verdict:
    a, b = (one.turn.index for one in judgements[:2])
    return Verdict(
        edge="judgement",
        context=judgements[0].asked,
        a=a,
        b=b,
        outcome="error",
        judging=cast.judging.play,
        reason="unreadable: fewer than two judgements of the answer can be read",
    )


def _in_seat(seat: str, play: Play[T]) -> Play[T]:
    """The play with its judge's calls made from another seat, whose budget and name they are to carry."""
    try:
        wish = next(play)
        while True:
            if isinstance(wish, tuple):
                wish = tuple(call.model_copy(update={"seat": seat}) for call in wish)
            wish = play.send((yield wish))
    except StopIteration as end:
        result: T = end.value
        return result
