"""Ballots that a judge writes: asked as one batch, read strictly, asked once more where they cannot be read.

Only the JSON that the shape demands is read, as a whole, with known keys and values: nothing in an answer's
text can be taken for the verdict. What cannot be read is asked once more, with a fixed line that says so and
quotes nothing; then it is an error, never a tie. What the provider refused for good is not asked again.
"""

import json
import re
from collections.abc import Callable, Collection, Iterable
from itertools import product
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import ConfigDict, ValidationError

from aaa.judges import fence
from aaa.play import Play, try_all
from aaa.plugins import Contest
from aaa.prompts import Prompts, prompts_beside, shown
from aaa.types import Agent, Ballot, Call, JsonShape, Message, Sampling, Side, Turn, Value

PROMPTS = prompts_beside(__file__)

Order = Literal["ab", "ba", "a", "b"]
V = TypeVar("V", bound="Written")
LONGEST_ERROR = 300
"""Characters of what is said about an unreadable reply; the reply itself is in its turn."""

_NUMBER = r"(\d{1,3}(?:\.\d+)?|one|two|three|four|five|six|seven|eight|nine|ten)"
_STATED = re.compile(
    r"\b(?:score[sd]?|rating|rated?|grade[sd]?)\b(?:\s+(?:is|was|of|as|at|a|an|it|this)\b|\s*[:=]){1,3}\s*"
    + _NUMBER
    + r"\b(?!\.\d|\s*(?:%|percent|/|out of|of the|points? (?:less|more)|[-–:]\d))",
    re.IGNORECASE,
)
_FRACTION = re.compile(
    r"(?<![\d./])(\d{1,3}(?:\.\d+)?)\s*(?:/|out of)\s*(\d{1,3})(?![\d/]|\.\d)"
    r"(?!\s+(?!(?:for|because|since|as|due|on|at|overall|stars?)\b)\w)",
    re.IGNORECASE,
)
"""A score, or a share of something: then what it is a share of follows."""
_WORDS = dict(
    zip("one two three four five six seven eight nine ten".split(), range(1, 11), strict=True)
)


class Written(Value):
    """What a judge must return: known keys only, and no type taken for another."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Asked(NamedTuple):
    """Who is asked for a ballot, and what that judge is shown first."""

    judge: str
    order: Order


class Unreadable(Exception):
    """A reply that is no ballot; the text says why, for the record."""


def in_both_orders(judges: Iterable[Agent]) -> list[Asked]:
    """Every judge in both orders."""
    orders: tuple[Order, Order] = ("ab", "ba")
    return [Asked(judge.name, order) for judge, order in product(judges, orders)]


def poll(
    asked: Iterable[Asked], call: Callable[[Asked], Call], read: Callable[[Asked, Turn], Ballot]
) -> Play[dict[Asked, Ballot]]:
    """A ballot for each that is asked, in that order. `read` raises `Unreadable` for what is none."""
    keys = list(asked)
    turns = yield from try_all(map(call, keys))
    ballots = {key: _ballot(key, turn, read) for key, turn in zip(keys, turns, strict=True)}
    unread = [
        key
        for key, turn in zip(keys, turns, strict=True)
        if ballots[key].error is not None and turn.failure is None
    ]
    again = yield from try_all(once_more(call(key)) for key in unread)
    return ballots | {key: _ballot(key, t, read) for key, t in zip(unread, again, strict=True)}


def ballot_call(
    contest: Contest, judge: str, texts: tuple[str, str], shape: JsonShape, tokens: int
) -> Call:
    """The call for one ballot; `texts`: system and user message."""
    return Call(
        seat="judge",
        agent=judge,
        purpose=contest.purpose,
        messages=(
            Message(role="system", content=texts[0]),
            Message(role="user", content=texts[1]),
        ),
        sampling=Sampling(temperature=0, max_tokens=tokens),
        shape=shape,
    )


def material(contest: Contest, order: Order, labels: tuple[str, str]) -> str:
    """The question and both answers, fenced and under their labels, in that order."""
    answers = {"a": contest.a.text, "b": contest.b.text}
    return PROMPTS.fill(
        "material",
        fence=fence(contest.salt),
        question=shown(contest.context),
        label_one=labels[0],
        label_two=labels[1],
        one=answers[order[0]],
        two=answers[order[-1]],
    )


def fenced(prompts: Prompts, name: str, contest: Contest, **blanks: str) -> str:
    """A prompt of a play's own with the contest's delimiter filled in."""
    return prompts.fill(name, fence=fence(contest.salt), **blanks)


def sides(labels: tuple[str, str], order: Order) -> dict[str, Side]:
    """Label -> the contestant who is shown under it in that order."""
    first: Side = "a" if order[0] == "a" else "b"
    second: Side = "a" if order[-1] == "a" else "b"
    return {labels[0]: first, labels[1]: second}


def closed(name: str, properties: dict[str, Any]) -> JsonShape:
    """A shape with these properties, all of them required and no others allowed."""
    return JsonShape(name=name, fields=closed_object(properties))


def closed_object(properties: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of such an object."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def parsed(turn: Turn, kind: type[V], inside: str | None = None) -> V:
    """The reply as that kind of value, or as its field `inside`. Raises `Unreadable`."""
    if turn.reply.finish_reason == "length":
        raise Unreadable("not a verdict: cut off at its longest length")
    try:
        found = json.loads(turn.text, object_pairs_hook=_once_each)
        return kind.model_validate(found if inside is None else {inside: found})
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Unreadable(f"not a verdict: {where} {first['msg']}".replace("  ", " ")) from problem
    except (ValueError, RecursionError) as problem:
        raise Unreadable(f"not a verdict: {str(problem).splitlines()[0]}") from problem


def check_stated(text: str, scores: Collection[int], most: int) -> None:
    """Raises `Unreadable` where the text names a score, on a scale up to `most`, that was not given.

    UltraFeedback's parser turned ones into tens, which was found by reading: words and number must agree.
    """
    for found in _STATED.findall(text):
        _agree(float(_WORDS.get(found.lower(), 0) or found), scores)
    for number, scale in _FRACTION.findall(text):
        if int(scale) == most:
            _agree(float(number), scores)


def _agree(stated: float, scores: Collection[int]) -> None:
    if stated not in scores:
        given = " and ".join(map(str, sorted(scores)))
        raise Unreadable(f"the words say {stated:g}, the score is {given}")


def _ballot(key: Asked, turn: Turn, read: Callable[[Asked, Turn], Ballot]) -> Ballot:
    """The ballot in a turn, or one that says why there is none."""
    if turn.failure is not None:
        error = f"{turn.failure.kind}: {turn.failure.message}"
    else:
        try:
            return read(key, turn)
        except Unreadable as problem:
            error = str(problem)[:LONGEST_ERROR]
    return Ballot(judge=key.judge, order=key.order, turn=turn.index, error=error)


def once_more(call: Call, line: str | None = None) -> Call:
    """The same wish, with a line that says that the last reply could not be read; `None`: the judges' own."""
    *before, last = call.messages
    text = f"{last.content}\n\n{line or PROMPTS.fill('again')}"
    return call.model_copy(update={"messages": (*before, Message(role=last.role, content=text))})


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys stand once each, in text that can be kept. Raises `ValueError`."""
    found = {_kept(key): _kept(value) for key, value in pairs}
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _kept(value: Any) -> Any:
    """Text as PostgreSQL can hold it: JSON can spell a NUL and half of a surrogate pair."""
    if not isinstance(value, str):
        return value
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
