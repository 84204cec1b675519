"""Labels of steps by judges: each says of every step whether it is right, in JSON that is read strictly.

Left out: comparing solutions, which `judges.compare` does.
"""

from collections.abc import Sequence
from typing import Literal

from aaa.judges import eligible, fence, salt_for
from aaa.judges._written import Unreadable, Written, closed, closed_object, parsed
from aaa.play import Play
from aaa.prompts import prompts_beside, shown
from aaa.protocols._strict import hear
from aaa.types import Agent, Call, Cast, JsonShape, Message, Sampling, Seed, Turn

PROMPTS = prompts_beside(__file__)


class Mark(Written):
    """What a judge says of one step."""

    why: str
    label: Literal["right", "wrong"]


class Marks(Written):
    """What it says of all of them; keys as `_key` names them."""

    steps: dict[str, Mark]


def by_judges(
    seed: Seed, cast: Cast, turn: Turn, steps: Sequence[str]
) -> Play[tuple[bool | None, ...]]:
    """For each step what more than half of the readable judges say; `None` where they do not agree."""
    judges = eligible(cast, (turn.call.agent,))
    keys = tuple(_key(number) for number in range(1, len(steps) + 1))

    def read(reply: Turn) -> Marks:
        marks = parsed(reply, Marks, inside="steps")
        if set(marks.steps) != set(keys):
            raise Unreadable(f"not a label for each of {len(keys)} steps")
        return marks

    heard = yield from hear((_labelling(judge, seed, steps) for judge in judges), read)
    said = [one.value.steps for one in heard if one.value is not None]
    return tuple(_majority([marks[key].label == "right" for marks in said]) for key in keys)


def _majority(said: Sequence[bool]) -> bool | None:
    right = sum(said)
    return None if 2 * right == len(said) else 2 * right > len(said)


def _key(number: int) -> str:
    return f"step_{number}"


def _labelling(judge: Agent, seed: Seed, steps: Sequence[str]) -> Call:
    question = shown(seed.prompt)
    mark = fence(salt_for(seed.id, question, *steps, seed.reference or ""))
    numbered = enumerate(steps, 1)
    listed = (PROMPTS.fill("step", fence=mark, number=str(n), text=text) for n, text in numbered)
    known = ""
    if seed.reference is not None:
        known = PROMPTS.fill("known", fence=mark, reference=seed.reference)
    keys = [_key(number) for number in range(1, len(steps) + 1)]
    asked = PROMPTS.fill(
        "label",
        fence=mark,
        question=question,
        known=known,
        steps="\n\n".join(listed),
        keys=", ".join(keys),
    )
    return Call(
        seat="judge",
        agent=judge.name,
        purpose="labels",
        messages=(
            Message(role="system", content=PROMPTS.fill("judge")),
            Message(role="user", content=asked),
        ),
        sampling=Sampling(temperature=0, max_tokens=40 + 60 * len(steps)),
        shape=_shape(keys),
    )


def _shape(keys: Sequence[str]) -> JsonShape:
    label = {"type": "string", "enum": ["right", "wrong"]}
    return closed(
        "labels", {key: closed_object({"why": {"type": "string"}, "label": label}) for key in keys}
    )
