"""Plays: protocols and judges written as plain generators.

A play yields a batch of calls and is sent the turns they became, in the same order; or it yields
a wish to have answers checked by a program and is sent what was found; or it yields a note for the
record and is sent nothing. It does no I/O, reads no clock and draws no chance outside
its seed, so the same turns always lead to the same next wish. That is what makes it resumable
(`drive.py` replays recorded turns into it), testable with `next` and `send`, and free to rehearse.

`yield from` is how plays are composed: `turn = yield from ask(call)` runs the little play `ask`
inside yours and gives you what it returns. A judge is a play that returns a `Verdict`.

The idea is httpx's auth flow: a generator of requests that is sent responses.
"""

from collections.abc import Callable, Generator, Iterable
from typing import Any, NamedTuple, TypeAlias, TypeVar

from aaa.errors import PlayError
from aaa.types import Call, Check, Checks, CheckWish, Note, Recorded, Reply, Turn

T = TypeVar("T")

Batch = tuple[Call, ...]
Wish: TypeAlias = Batch | CheckWish | Note
Sent: TypeAlias = tuple[Turn, ...] | Checks
Play: TypeAlias = Generator[Wish, Sent, T]
"""Yields wishes, is sent turns or checks (an empty tuple after a note), returns `T`."""


class CallRefused(PlayError):
    """The provider refused a call for good, and the play that asked did not expect that."""

    def __init__(self, turn: Turn) -> None:
        failure = turn.failure
        assert failure is not None
        super().__init__(f"{turn.call.agent!r} ({turn.call.purpose}): {failure.message}")
        self.turn = turn
        self.kind = failure.kind


def ask(call: Call) -> Play[Turn]:
    """One call, one turn. Raises `CallRefused` where the provider refuses it for good."""
    (turn,) = yield from ask_all((call,))
    return turn


def ask_all(calls: Iterable[Call]) -> Play[tuple[Turn, ...]]:
    """All calls at once, their turns in the same order; no calls, no turns.

    Raises `CallRefused` for the first that the provider refused for good.
    """
    turns = yield from try_all(calls)
    for turn in turns:
        if turn.failure is not None:
            raise CallRefused(turn)
    return turns


def try_all(calls: Iterable[Call]) -> Play[tuple[Turn, ...]]:
    """Like `ask_all`, but refused calls come back as turns whose `failure` is set."""
    batch = tuple(calls)
    if not batch:
        return ()
    turns = yield batch
    assert isinstance(turns, tuple)
    return turns


def check_all(
    checker: dict[str, Any], turns: Iterable[Turn], recorded_as: str | None = None
) -> Play[Checks]:
    """Have a program check these turns' texts, by a checker as seeds hold it. Turn index -> finding."""
    answers = {turn.index: turn.text for turn in turns}
    checks = yield CheckWish(checker=checker, answers=answers, recorded_as=recorded_as)
    assert isinstance(checks, dict)
    return checks


def note(value: Note) -> Play[None]:
    """Put a value on the record, at this point of the session."""
    yield value


def together(plays: Iterable[Play[T]]) -> Play[tuple[T, ...]]:
    """Play several plays side by side: their next batches are asked as one. Results in their order.

    A note of one is put on the record as soon as that play reaches it, and its checks are made then, in
    the plays' order, so the order of turns and notes depends on nothing but the plays.
    """
    running = list(plays)
    wishes: dict[int, Batch] = {}
    results: dict[int, T] = {}
    replies: dict[int, Sent | None] = dict.fromkeys(range(len(running)))
    while len(results) < len(running):
        for i, sent in replies.items():
            try:
                wish = next(running[i]) if sent is None else running[i].send(sent)
                while not isinstance(wish, tuple):
                    wish = running[i].send((yield wish))
                wishes[i] = wish
            except StopIteration as end:
                results[i] = end.value
        if not wishes:
            break
        turns = yield from try_all(call for batch in wishes.values() for call in batch)
        replies = {}
        for i, batch in wishes.items():
            replies[i], turns = turns[: len(batch)], turns[len(batch) :]
        wishes = {}
    return tuple(results[i] for i in range(len(running)))


class Rehearsal(NamedTuple):
    """What a play did when it was played with made-up answers."""

    recorded: Recorded
    result: object
    batches: tuple[int, ...]
    """Size of each batch, in order."""


def newest_passes(wish: CheckWish) -> Checks:
    """Checks made up for a rehearsal, so that it goes on the longest: of several answers the last passes.

    One alone does not: where it did, there would be nothing to improve.
    """
    passing = max(wish.answers) if len(wish.answers) > 1 else None
    return {index: Check(score=float(index == passing)) for index in wish.answers}


def rehearse(
    play: Play[object],
    answer: Callable[[Call], str | Reply | Turn],
    *,
    check: Callable[[CheckWish], Checks] = newest_passes,
    most_calls: int = 10_000,
) -> Rehearsal:
    """Play to the end against `answer` and `check`, without any I/O.

    `answer` gives the text, the reply or the whole turn for a call (a turn's index is set here); it
    is not asked for words that are given.
    Raises `PlayError` when the play makes more than `most_calls` calls.
    """
    turns: list[Turn] = []
    notes: list[Note] = []
    batches: list[int] = []
    sent: Sent | None = None
    while True:
        try:
            wish = next(play) if sent is None else play.send(sent)
        except StopIteration as end:
            return Rehearsal(
                Recorded(turns=tuple(turns), notes=tuple(notes)), end.value, tuple(batches)
            )
        if isinstance(wish, Note):
            notes.append(wish)
            sent = ()
            continue
        if isinstance(wish, CheckWish):
            sent = check(wish)
            continue
        batches.append(len(wish))
        made = tuple(_made_up(len(turns) + i, call, answer) for i, call in enumerate(wish))
        turns.extend(made)
        sent = made
        if len(turns) > most_calls:
            raise PlayError(f"the play made more than {most_calls} calls and was stopped")


def _made_up(index: int, call: Call, answer: Callable[[Call], str | Reply | Turn]) -> Turn:
    said = answer(call) if call.given is None else call.given
    if isinstance(said, Turn):
        return said.model_copy(update={"index": index})
    reply = said if isinstance(said, Reply) else Reply(text=said, model="rehearsal")
    return Turn(index=index, call=call, reply=reply)
