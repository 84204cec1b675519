"""Plays are generators: composed, batched, rehearsed, all without I/O."""

import pytest

from aaa.errors import PlayError
from aaa.play import CallRefused, Play, ask, ask_all, note, rehearse, together, try_all
from aaa.types import Call, Failure, Reply, Turn, Verdict
from tests.classroom import user


def call(text: str, agent: str = "anna") -> Call:
    return Call(seat="student", agent=agent, purpose="draft", messages=user(text))


def verdict(edge: str) -> Verdict:
    return Verdict(edge=edge, context=user("q"), a=0, b=1, outcome="tie", judging="none")


def echo(asked: Call) -> str:
    return f"re: {asked.messages[-1].content}"


def test_ask_gives_the_turn_its_call_became() -> None:
    def play() -> Play[str]:
        turn = yield from ask(call("one"))
        again = yield from ask(call(turn.text))
        return again.text

    done = rehearse(play(), echo)
    assert done.result == "re: re: one"
    assert [t.index for t in done.recorded.turns] == [0, 1]


def test_ask_all_is_one_batch_in_order() -> None:
    def play() -> Play[list[str]]:
        turns = yield from ask_all(call(str(n)) for n in range(3))
        return [t.text for t in turns]

    done = rehearse(play(), echo)
    assert done.result == ["re: 0", "re: 1", "re: 2"]
    assert done.batches == (3,)


def test_no_calls_are_no_batch() -> None:
    def play() -> Play[int]:
        return len((yield from ask_all(())))

    done = rehearse(play(), echo)
    assert (done.result, done.batches) == (0, ())


def test_together_merges_batches_and_keeps_order() -> None:
    def line(name: str, turns: int) -> Play[str]:
        for step in range(turns):
            yield from ask(call(f"{name}{step}"))
        yield from note(verdict(name))
        return name

    done = rehearse(together([line("a", 1), line("b", 3), line("c", 2)]), echo)
    assert done.result == ("a", "b", "c")
    assert done.batches == (3, 2, 1)
    asked = [t.call.messages[-1].content for t in done.recorded.turns]
    assert asked == ["a0", "b0", "c0", "b1", "c1", "b2"]
    assert [n.edge for n in done.recorded.verdicts] == ["a", "c", "b"]


def test_together_of_nothing_and_of_silent_plays() -> None:
    def silent() -> Play[int]:
        yield from ask_all(())
        return 7

    assert rehearse(together([]), echo).result == ()
    assert rehearse(together([silent(), silent()]), echo).result == (7, 7)


def refused(asked: Call) -> Turn:
    failure = Failure(kind="content_filter", message="no") if "bad" in str(asked) else None
    return Turn(index=0, call=asked, reply=Reply(text=""), failure=failure)


def test_a_refused_call_raises_unless_it_was_tried() -> None:
    with pytest.raises(CallRefused, match="anna"):
        rehearse(ask(call("bad")), refused)

    def play() -> Play[list[bool]]:
        turns = yield from try_all([call("good"), call("bad")])
        return [t.failure is not None for t in turns]

    assert rehearse(play(), refused).result == [False, True]


def test_a_play_without_end_is_stopped() -> None:
    def play() -> Play[None]:
        while True:
            yield from ask(call("more"))

    with pytest.raises(PlayError, match="more than 5 calls"):
        rehearse(play(), echo, most_calls=5)
