"""Arena: several models answer the same prompt and meet in battles; a student learns from those it lost.

After Arena Learning (2407.10627): the target model battles stronger ones on every prompt, a judge decides,
and from its battles follow SFT answers, preference pairs and reward-model pairs (`aaa/data_rules.py`). There
a battle is two games with the order swapped; here it is one `compare`, by the scenario's judging play. Left
out: the margin K and which battle becomes what, since that changes from stage to stage.
"""

import random
from collections.abc import Mapping
from itertools import combinations, product
from typing import Literal

from pydantic import Field

from aaa.judges import eligible, unfit
from aaa.play import CallRefused, Play, note, together
from aaa.protocols._battle import ask_most, battle, refusal, related
from aaa.types import Agent, Ballot, Call, Cast, Sampling, Seed, Side, Turn, Value, Verdict

SEATS = {
    "student": "answers; the one to be trained, in one or several generations",
    "judge": "compares answers blindly",
}
OPTIONAL = {"opponent": "answers; what students are held against"}
CONTESTANTS = ("student", "opponent")

Battle = tuple[Turn, Turn]


class Options(Value):
    mode: Literal["target", "all_pairs"] = "target"
    """`target`: each student against each opponent; `all_pairs`: everybody against everybody."""
    opponents_per_seed: int | None = Field(None, ge=1)
    """How many opponents sit in on each seed, drawn by it: prompts split over opponents. `None`: all."""
    answer_tokens: int | None = Field(None, ge=1)
    """Longest answer; `None` leaves it to the agent's card."""
    temperature: float | None = Field(None, ge=0, le=2)
    """Of every answer: 0 is the likeliest words, the same each time; `None` leaves it to the agent's card."""


def lacks(options: Options, seats: Mapping[str, tuple[str, ...]]) -> str | None:
    """What does not fit, before a round."""
    students, opponents = seats.get("student", ()), seats.get("opponent", ())
    twice = [name for name in students if name in opponents]
    if twice:
        return f"{twice[0]!r} holds both `student` and `opponent`: nobody battles itself"
    if options.mode == "target" and not opponents:
        return "mode `target` needs somebody in seat `opponent`; or set `mode: all_pairs`"
    if len(students) + len(opponents) < 2:
        return "mode `all_pairs` needs two players or more in seats `student` and `opponent`"
    wanted = options.opponents_per_seed
    if wanted is not None and wanted > len(opponents):
        return f"`opponents_per_seed` is {wanted}, but {len(opponents)} hold seat `opponent`"
    return None


def play(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    """Everybody answers at once, then every battle is judged; no two battles of the same words twice."""
    students, opponents = cast["student"], _drawn(seed, cast["opponent"], options)
    turns = yield from ask_most(
        _answer(seat, agent, seed, options)
        for seat, agents in (("student", students), ("opponent", opponents))
        for agent in agents
    )
    battles = _battles(turns, options)
    if all(refusal(a, b) for a, b in battles):
        raise CallRefused(next(turn for turn in turns if turn.failure is not None))
    asked = [_asked(seed, cast, one) for one in battles]
    firsts: dict[object, Battle] = {}
    for key, one in zip(asked, battles, strict=True):
        firsts.setdefault(key, one)
    found = yield from together(battle(cast, seed, a, b, edge="peer") for a, b in firsts.values())
    verdicts = dict(zip(firsts, found, strict=True))
    for key, one in zip(asked, battles, strict=True):
        if one is not firsts[key]:
            yield from note(_carried(verdicts[key], firsts[key], one))


def _drawn(seed: Seed, opponents: tuple[Agent, ...], options: Options) -> tuple[Agent, ...]:
    """The opponents on this seed, in the order in which they sit."""
    if options.opponents_per_seed is None:
        return opponents
    drawn = random.Random(f"arena/opponents/{seed.id}").sample(
        range(len(opponents)), options.opponents_per_seed
    )
    return tuple(opponents[place] for place in sorted(drawn))


def _answer(seat: str, agent: Agent, seed: Seed, options: Options) -> Call:
    return Call(
        seat=seat,
        agent=agent.name,
        purpose="answer",
        messages=seed.prompt,
        sampling=Sampling(max_tokens=options.answer_tokens, temperature=options.temperature),
    )


def _battles(turns: tuple[Turn, ...], options: Options) -> list[Battle]:
    if options.mode == "all_pairs":
        return list(combinations(turns, 2))
    students = [turn for turn in turns if turn.call.seat == "student"]
    opponents = [turn for turn in turns if turn.call.seat == "opponent"]
    return list(product(students, opponents))


def _asked(seed: Seed, cast: Cast, pair: Battle) -> object:
    """Equal for two battles where the same judges would be asked about the same words.

    Battles that need no judge are equal to none: each says for itself why.
    """
    a, b = (turn.text.strip() for turn in pair)
    if a == b or any(unfit(turn, seed, seed.prompt, cast.judging) for turn in pair):
        return pair[0].index, pair[1].index
    judges = eligible(cast, [turn.call.agent for turn in pair])
    return frozenset((a, b)), tuple(judge.name for judge in judges), related(cast, *pair)


def _carried(verdict: Verdict, first: Battle, now: Battle) -> Verdict:
    """The verdict on another battle of the same words, perhaps with its sides changed."""
    turns: dict[Side, Turn] = {"a": now[0], "b": now[1]}
    goes_to: dict[Side, Side] = {"a": "a", "b": "b"}
    if first[0].text.strip() != now[0].text.strip():
        goes_to = {"a": "b", "b": "a"}
    return verdict.model_copy(
        update={
            "a": now[0].index,
            "b": now[1].index,
            "winner": verdict.winner and goes_to[verdict.winner],
            "ballots": tuple(_ballot(one, goes_to, turns) for one in verdict.ballots),
            "reason": f"same words as turns {verdict.a} and {verdict.b}",
        }
    )


def _ballot(ballot: Ballot, goes_to: dict[Side, Side], turns: dict[Side, Turn]) -> Ballot:
    """The ballot in terms of the other battle; a checker's looked at the turn with the same words."""
    order = ballot.order.translate(str.maketrans("ab", goes_to["a"] + goes_to["b"]))
    change: dict[str, object] = {"order": order}
    if ballot.prefers in ("a", "b"):
        change["prefers"] = goes_to[ballot.prefers]
    if ballot.scores is not None:
        change["scores"] = {goes_to[side]: score for side, score in ballot.scores.items()}
    if ballot.by_checker:
        change["turn"] = turns["a" if order == "a" else "b"].index
    return ballot.model_copy(update=change)
