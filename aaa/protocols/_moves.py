"""Moves that several protocols make: ask for an answer, have two judged, go on where a provider refuses.

Left out: prompts, which are each protocol's own.
"""

from collections.abc import Iterable

from aaa.judges import compare
from aaa.play import CallRefused, Play, Sent, T, note, try_all
from aaa.types import Call, Cast, Message, Messages, Note, Sampling, Seed, Turn, Value, Verdict


def answer_call(
    agent: str, messages: Messages, tokens: int | None, *, purpose: str, seat: str = "student"
) -> Call:
    """Ask that agent to go on with this chat; `tokens`: longest reply, `None` leaves it to its card."""
    return Call(
        seat=seat,
        agent=agent,
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


def as_message(turn: Turn) -> Message:
    """An answer as a part of the chat; providers refuse empty messages."""
    return Message(role="assistant", content=turn.text if turn.text.strip() else "(no answer)")


class Urge(Value):
    """What an author is told about its own answer."""

    critique: str
    revise: str
    anew: str
    """In place of `revise` where the critique says nothing."""
    answer_tokens: int | None
    critique_tokens: int | None


def self_revision(context: Messages, answer: Turn, urge: Urge) -> Play[Turn]:
    """Whoever gave this answer to `context` criticises it and writes it again, in its own conversation.

    The revision's turn, which may be refused.
    """
    agent = answer.call.agent
    chat = (*context, as_message(answer))
    asked = (*chat, Message(role="user", content=urge.critique))
    (critique,) = yield from try_all(
        [answer_call(agent, asked, urge.critique_tokens, purpose="critique")]
    )
    if says_something(critique):
        chat = (*asked, as_message(critique), Message(role="user", content=urge.revise))
    else:
        chat = (*chat, Message(role="user", content=urge.anew))
    (revised,) = yield from try_all(
        [answer_call(agent, chat, urge.answer_tokens, purpose="revision")]
    )
    return revised


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
