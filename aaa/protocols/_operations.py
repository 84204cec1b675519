"""How a prompt is evolved: the operations of Evol-Instruct as calls to an evolver.

In depth one thing is made harder and 10 to 20 words may be added (WizardLM, 2304.12244; `complicate_input`
is in the paper and not in its released code); in breadth a rarer prompt of the same domain is made;
`simplify` goes down, for students who are too weak (WizardMath's downward evolution, 2308.09583). The words
are ours.
"""

import re
from typing import Literal, get_args

from aaa.judges import fence, salt_for
from aaa.prompts import prompts_beside
from aaa.protocols._evolving import asked_before, asked_last, words
from aaa.types import Call, Message, Messages, Sampling

PROMPTS = prompts_beside(__file__)

Depth = Literal["add_constraints", "deepen", "concretize", "add_reasoning", "complicate_input"]
Operation = Literal[
    "add_constraints",
    "deepen",
    "concretize",
    "add_reasoning",
    "complicate_input",
    "breadth",
    "simplify",
]
DEPTH: tuple[Operation, ...] = get_args(Depth)
USUAL: tuple[Operation, ...] = (*DEPTH, "breadth")
_MATERIAL = re.compile(r"^A task:\n<(\S+)>\n(.*?)\n</\1>", re.MULTILINE | re.DOTALL)


def evolution_call(
    agent: str,
    chat: Messages,
    operation: Operation,
    added: tuple[int, int],
    *,
    seat: str = "evolver",
    tokens: int | None = None,
) -> Call:
    """Ask for the chat's last message, evolved."""
    blanks = {"how": PROMPTS.fill(operation), "least": str(added[0]), "most": str(added[1])}
    task = PROMPTS.fill("depth", **blanks) if operation in DEPTH else PROMPTS.fill(operation)
    return rewriting(seat, agent, "evolution", chat, task, tokens)


def rewriting(
    seat: str, agent: str, purpose: str, chat: Messages, task: str, tokens: int | None = None
) -> Call:
    """Ask for the chat's last message, rewritten as `task` says."""
    text, before = asked_last(chat), asked_before(chat)
    mark = fence(salt_for("evolving", text, before))
    said = PROMPTS.fill("before", fence=mark, before=before) + "\n\n" if before else ""
    asked = PROMPTS.fill("material", fence=mark, prompt=text, task=task, before=said)
    return Call(
        seat=seat,
        agent=agent,
        purpose=purpose,
        messages=(
            Message(role="system", content=PROMPTS.fill("system")),
            Message(role="user", content=asked),
        ),
        sampling=Sampling(max_tokens=tokens),
    )


def made_up(call: Call, number: int) -> str | None:
    """For a dry run: a new prompt that no rule drops, a word longer than what it is made from."""
    if call.purpose != "evolution":
        return None
    found = _MATERIAL.search(call.messages[-1].content)
    count = len(words(found[2])) if found else 0
    return " ".join(f"made{number}up{n}" for n in range(count + 1))
