"""A small cast and made-up answers, for tests that play plays."""

from aaa.types import Agent, Call, Cast, ChoiceShape, Judging, Message, Reply, Seed, Turn

ANNA = Agent(name="anna", family="birch", lineage=("sapling",), model="local/anna")
BEN = Agent(name="ben", family="cedar")
TEACHER = Agent(name="tutor", family="oak")
JUDGE = Agent(name="judge", family="elm")


def user(text: str) -> tuple[Message, ...]:
    return (Message(role="user", content=text),)


SEED = Seed(id="s1", prompt=user("Why is the sky blue?"))


def cast(
    *students: Agent, judging: Judging | None = None, judges: tuple[Agent, ...] = (JUDGE,)
) -> Cast:
    return Cast(
        seats={"student": students or (ANNA,), "teacher": (TEACHER,), "judge": judges},
        judging=judging or Judging(),
    )


def turn(index: int, text: str, agent: str = "anna") -> Turn:
    call = Call(seat="student", agent=agent, purpose="draft", messages=user("q"))
    return Turn(index=index, call=call, reply=Reply(text=text))


def shown_first(call: Call, *texts: str) -> str:
    """Which of the texts stands first in what a judge was shown."""
    prompt = call.messages[-1].content
    return min((t for t in texts if t in prompt), key=prompt.index)


def prefers(call: Call, wanted: str, other: str) -> Reply:
    """A log-probability judge that finds `wanted` better wherever it stands."""
    assert isinstance(call.shape, ChoiceShape)
    first = shown_first(call, wanted, other) == wanted
    return Reply(
        text="A" if first else "B",
        choice_logprobs={"A": -0.1 if first else -3.0, "B": -3.0 if first else -0.1},
    )
