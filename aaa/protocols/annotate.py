"""Models say of each seed what it is about and how hard it is, so that a set can be analysed and weighed.

WizardLM-2 begins with such an analysis (topic, skill, difficulty …); Arena Learning's judge marks difficulty
from 0 to 10; InsTag (2308.07074) tags freely, which gave 6,600 tags. Here the values are given: a weight can
only be set on what is named beforehand. Several annotators vote. Left out: what needs no model, such as
language and length (`curriculum/analysis.py`), and what only answers show (`--round` there).
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, field_validator

from aaa.judges import fence, salt_for
from aaa.judges._written import Unreadable, Written, closed, parsed
from aaa.play import Play, note
from aaa.prompts import prompts_beside, shown
from aaa.protocols._strict import hear
from aaa.types import Agent, Call, Cast, JsonShape, Labels, Message, Sampling, Seed, Turn, Value

PROMPTS = prompts_beside(__file__)
SEATS = {"annotator": "says of each prompt what it is about and how hard it is; several vote"}
CONTESTANTS: tuple[str, ...] = ()

TOPICS = (
    "mathematics", "science", "technology", "programming", "medicine", "law", "business", "history",
    "society", "language", "literature", "arts", "sports", "travel", "food", "everyday_life", "other",
)  # fmt: skip
SKILLS = (
    "recall", "explaining", "reasoning", "calculation", "writing", "rewriting", "summarising",
    "translation", "extraction", "classification", "coding", "planning", "brainstorming", "role_play",
    "advice", "tool_use", "other",
)  # fmt: skip
NAMED = r"^[a-z][a-z0-9_-]{0,39}$"
"""A value must be a tag's: lower case, no spaces."""


class Options(Value):
    values: dict[str, tuple[str, ...]] = Field(
        {"topic": TOPICS, "skill": SKILLS}, min_length=1, max_length=8
    )
    """Attribute -> the values it may have; one of them is said for each prompt."""
    annotation_tokens: int = Field(200, ge=40, le=4096)
    """Longest reply."""

    @field_validator("values")
    @classmethod
    def _are_tags(cls, values: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, known in values.items():
            for word in (name, *known):
                if not re.match(NAMED, word):
                    raise ValueError(
                        f"{word!r} is no name of a tag: lower case letters, digits, - and _, at most 40"
                    )
            if not 2 <= len(set(known)) == len(known) <= 100:
                raise ValueError(f"attribute {name!r} needs 2 to 100 different values")
        if "why" in values or "difficulty" in values:
            raise ValueError("`why` and `difficulty` are asked for in any case")
        return values


class Said(Written):
    """What one annotator says."""

    why: str
    difficulty: Literal[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    values: dict[str, str]


def play(seed: Seed, cast: Cast, options: Options) -> Play[None]:
    """All annotators at once; one note. A seed that nobody can be read on has a note that says so."""
    keys = options.values

    def read(turn: Turn) -> Said:
        return _said(turn, keys)

    heard = yield from hear((_call(one, seed, options) for one in cast["annotator"]), read)
    said = [one.value for one in heard if one.value is not None]
    marks = [one.difficulty for one in said]
    yield from note(
        Labels(
            tags=tuple(
                f"{name}:{value}"
                for name in keys
                if (value := _agreed([one.values[name] for one in said])) is not None
            ),
            difficulty=sum(marks) / len(marks) if marks else None,
            spread=max(marks) - min(marks) if len(marks) > 1 else None,
            read=len(said),
            why=said[0].why if said else heard[0].why,
        )
    )


def _agreed(said: Sequence[str]) -> str | None:
    """What more than half say."""
    value, count = Counter(said).most_common(1)[0] if said else ("", 0)
    return value if 2 * count > len(said) else None


def _call(annotator: Agent, seed: Seed, options: Options) -> Call:
    question = shown(seed.prompt)
    listed = "\n".join(f"{name}: {', '.join(known)}" for name, known in options.values.items())
    asked = PROMPTS.fill(
        "annotate",
        fence=fence(salt_for(seed.id, question)),
        question=question,
        values=listed,
        keys=", ".join(("why", *options.values, "difficulty")),
    )
    return Call(
        seat="annotator",
        agent=annotator.name,
        purpose="annotation",
        messages=(
            Message(role="system", content=PROMPTS.fill("annotator")),
            Message(role="user", content=asked),
        ),
        sampling=Sampling(temperature=0, max_tokens=options.annotation_tokens),
        shape=_shape(options.values),
    )


def _shape(values: Mapping[str, Sequence[str]]) -> JsonShape:
    known: dict[str, Any] = {
        name: {"type": "string", "enum": list(of)} for name, of in values.items()
    }
    difficulty = {"type": "integer", "minimum": 1, "maximum": 10}
    return closed("annotation", {"why": {"type": "string"}, **known, "difficulty": difficulty})


def _said(turn: Turn, values: Mapping[str, Sequence[str]]) -> Said:
    """The annotation in a reply. Raises `Unreadable`."""
    found = parsed(turn, Flat, inside="found").found
    if set(found) != {"why", "difficulty", *values}:
        raise Unreadable("not the keys that were asked for")
    own = {name: found[name] for name in values}
    for name, value in own.items():
        if value not in values[name]:
            raise Unreadable(f"{name} is {value!r:.60}, which is none of the values given")
    try:
        return Said(why=found["why"], difficulty=found["difficulty"], values=own)
    except ValueError as problem:
        raise Unreadable(
            "`why` must be text, `difficulty` a whole number from 1 to 10"
        ) from problem


class Flat(Written):
    """The object as it was written; its keys depend on the options."""

    found: dict[str, Any]
