"""Moves that several protocols make: ask for an answer, have two judged, go on where a provider refuses.

Left out: prompts, which are each protocol's own.
"""

from collections.abc import Iterable

from aaa.judges import compare
from aaa.play import CallRefused, Play, Sent, T, note
from aaa.types import Agent, Call, Cast, Messages, Note, Sampling, Seed, Turn, Verdict


def answer_call(
    agent: Agent, messages: Messages, tokens: int | None, *, seat: str, purpose: str
) -> Call:
    """Ask that agent to go on with this chat; `tokens`: longest reply, `None` leaves it to its card."""
    return Call(
        seat=seat,
        agent=agent.name,
        purpose=purpose,
        messages=messages,
        sampling=Sampling(max_tokens=tokens),
    )


def answered(turns: Iterable[Turn]) -> list[Turn]:
    """Those that the provider did not refuse for good. An empty reply is one: its verdict says so."""
    return [turn for turn in turns if turn.failure is None]


def says_something(turn: Turn) -> bool:
    """Whether there are words to go on with."""
    return turn.failure is None and bool(turn.text.strip())


def judged(
    cast: Cast, seed: Seed, a: Turn, b: Turn, *, edge: str, context: Messages | None = None
) -> Play[Verdict]:
    """Have `a` judged against `b` and put the verdict on the record."""
    verdict = yield from compare(cast, seed, a, b, edge=edge, context=context)
    yield from note(verdict)
    return verdict


def concluded(play: Play[T]) -> Play[T]:
    """The play; raises `CallRefused` where it ended without a note and a call of it was refused.

    So a protocol may go on with those who answered, and a session in which nobody did still fails.
    """
    refused: Turn | None = None
    noted = False
    sent: Sent | None = None
    while True:
        try:
            wish = next(play) if sent is None else play.send(sent)
        except StopIteration as end:
            if refused is not None and not noted:
                raise CallRefused(refused) from None
            result: T = end.value
            return result
        noted = noted or isinstance(wish, Note)
        sent = yield wish
        if isinstance(sent, tuple):
            refused = refused or next((turn for turn in sent if turn.failure), None)
