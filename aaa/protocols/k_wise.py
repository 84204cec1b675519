"""K-wise: several models of a pool answer the same prompt, and their answers are ranked.

After UltraFeedback (2310.01377: a pool of 17 models, 4 answers for each prompt, marked by aspects with
rationales) and Nectar (7 answers in order). The ranking is `_k_wise.py`: as few comparisons as an order
needs, each by the scenario's judging play and on the record; `rubric` gives marks by aspects. Left out:
system prompts that vary how a model answers (UltraFeedback's principles): give cards personas for that.
"""

import random
from collections import Counter
from itertools import combinations

from pydantic import Field

from aaa.play import Play, note, together
from aaa.protocols._battle import ask_most, distinct, the_rest
from aaa.protocols._k_wise import Ranking, rank
from aaa.protocols._points import Marking, by_points, score_all
from aaa.types import Agent, Call, Cast, Sampling, Seed, Turn, Value, Verdict

SEATS = {
    "student": "the pool: answers, where it is drawn",
    "judge": "compares answers blindly, and scores them where `scores: true`",
}
CONTESTANTS = ("student",)


class Options(Value):
    answers: int = Field(4, ge=2, le=16)
    """n: how many answers each seed gets."""
    temperatures: tuple[float, ...] = Field((1.0, 0.5, 1.3), min_length=1)
    """What an agent is sampled at when the pool is too small and it answers again: second time, third time …,
    then from the beginning. The first time is as its card says."""
    implied: bool = False
    """Put on the record, too, which answers beat which through others; without it only those that met."""
    scores: bool = False
    """Have each answer scored from 0 to 5 besides, and the best by score put against every other."""
    rationale_tokens: int = Field(200, ge=20, le=2000)
    """Room for the rationale of a score, in tokens."""
    answer_tokens: int | None = Field(None, ge=1)
    """Longest answer; `None` leaves it to the agent's card."""


def play(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    """Answers at once, the ranking, and a verdict for each answer that no judge is shown."""
    turns = yield from ask_most(_answers(seed, cast, options))
    ranked = distinct(seed, cast, turns)
    ranking = yield from rank(cast, seed, ranked)
    yield from the_rest(cast, seed, turns, ranked, edge="k_wise")
    if options.implied:
        for verdict in _implied(seed, ranking):
            yield from note(verdict)
    if options.scores:
        yield from _score(cast, seed, ranked, options)


def _answers(seed: Seed, cast: Cast, options: Options) -> list[Call]:
    """Who answers, in an order drawn by the seed: nobody twice before everybody once."""
    chance = random.Random(f"k_wise/{seed.id}")
    pool, drawn = cast["student"], list[Agent]()
    while len(drawn) < options.answers:
        drawn += chance.sample(pool, min(len(pool), options.answers - len(drawn)))
    times: Counter[str] = Counter()
    calls = []
    for agent in drawn:
        calls.append(_answer(agent, times[agent.name], seed, options))
        times[agent.name] += 1
    return calls


def _answer(agent: Agent, before: int, seed: Seed, options: Options) -> Call:
    """The call for an agent that answered `before` times."""
    again = options.temperatures[(before - 1) % len(options.temperatures)]
    return Call(
        seat="student",
        agent=agent.name,
        purpose="answer",
        messages=seed.prompt,
        sampling=Sampling(temperature=again if before else None, max_tokens=options.answer_tokens),
    )


def _implied(seed: Seed, ranking: Ranking) -> list[Verdict]:
    """Who beats whom through others, best first; who met is on the record already."""
    met = {frozenset((v.a, v.b)) for v in ranking.verdicts}
    return [
        _won(seed, _chain(ranking, better, worse))
        for better, worse in combinations(ranking.order, 2)
        if frozenset((better, worse)) not in met and ranking.beats(better, worse)
    ]


def _chain(ranking: Ranking, better: int, worse: int) -> list[Verdict]:
    """The shortest way of won comparisons from one answer to the other."""
    ways: list[list[Verdict]] = [[]]
    for way in ways:
        last = way[-1].rejected if way else better
        if last == worse:
            return way
        ways += [[*way, verdict] for verdict in ranking.verdicts if verdict.chosen == last]
    raise AssertionError((better, worse))


def _won(seed: Seed, chain: list[Verdict]) -> Verdict:
    """The best answer of a chain of won comparisons against the worst."""
    better, worse = chain[0].chosen, chain[-1].rejected
    assert better is not None
    assert worse is not None
    a, b = sorted((better, worse))
    turns = " > ".join(map(str, (better, *(verdict.rejected for verdict in chain))))
    return Verdict(
        edge="k_wise",
        context=seed.prompt,
        a=a,
        b=b,
        outcome="win",
        winner="a" if a == better else "b",
        judging="ranking",
        related_judges=any(verdict.related_judges for verdict in chain),
        reason=f"turns {turns}, each by a comparison",
    )


def _score(cast: Cast, seed: Seed, answers: list[Turn], options: Options) -> Play[None]:
    """Points for each answer; the best by points against every other."""
    marking = Marking(rationale_tokens=options.rationale_tokens)
    scored = yield from score_all(cast, seed, answers, marking)
    if len(scored) < 2:
        return
    best = max(scored, key=lambda one: (one.score() is not None, one.score() or 0.0))
    others = [one for one in scored if one is not best]
    verdicts = yield from together(
        by_points(cast, seed, best, one, edge="points") for one in others
    )
    for verdict in verdicts:
        yield from note(verdict)
