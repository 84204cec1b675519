"""The line between a runner and a seat: many at a time, nothing lost, nothing granted twice."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from aaa.asking import Wish
from aaa.cluster import line
from aaa.cluster.line import Granted, RunnerEnd, Said, SeatEnd, SeatGone
from aaa.types import Call, Message, Reply


def wish(session: int, index: int = 0, epoch: int = 1) -> Wish:
    chat = (Message(role="user", content=f"question {session}"),)
    call = Call(seat="student", agent="pupil", purpose="draft", messages=chat)
    return Wish(round="r", session=session, epoch=epoch, index=index, call=call, sampling_seed=0)


class Wire:
    """Both ends in one process, with a seat that can go away, and counts of what crossed."""

    def __init__(self) -> None:
        self.granted: Counter[int] = Counter()
        self.crossed: Counter[str] = Counter()
        self.gone = False
        self.deaf = 0
        """So many requests that do not get through."""
        self.lossy = 0
        """So many answers that get lost on their way."""
        self.cancels = True
        """Whether a request for answers ends in the seat when the line breaks."""
        self.stopping = False
        self.go = asyncio.Event()
        self.seat = SeatEnd(self.grant)
        self.runner = RunnerEnd(self.ask, self.fetch, lambda: self.stopping)

    async def grant(self, wish: Wish) -> Granted:
        self.granted[wish.session] += 1
        await self.go.wait()
        if wish.session < 0:
            raise ZeroDivisionError
        return Granted(said=Said(reply=Reply(text=f"answer {wish.session}")))

    async def ask(self, wishes: bytes, got: int, everything: bool) -> None:
        self.crossed["ask"] += 1
        if self.gone or self.deaf:
            self.deaf = max(0, self.deaf - 1)
            raise SeatGone
        self.seat.ask("runner", wishes, got, all_of_them=everything)

    async def fetch(self, got: int) -> bytes | None:
        self.crossed["fetch"] += 1
        if self.gone:
            raise SeatGone
        seat = self.seat
        fetching = asyncio.ensure_future(seat.fetch("runner", got))
        while not fetching.done():
            await asyncio.wait({fetching}, timeout=0.01)
            if self.gone or self.seat is not seat:
                if self.cancels:
                    fetching.cancel()
                raise SeatGone
        answers = fetching.result()
        if self.lossy and answers is not None and b"answer" in answers:
            self.lossy -= 1
            raise SeatGone
        return answers

    def restart(self) -> None:
        self.seat = SeatEnd(self.grant)


@pytest.fixture
async def wire() -> Wire:
    return Wire()


async def texts(granted: Sequence[Granted]) -> list[str]:
    return [one.said.reply.text for one in granted if one.said is not None]


async def test_each_wish_gets_its_own_answer_and_many_travel_together(wire: Wire) -> None:
    wire.go.set()
    granted = await asyncio.gather(*(wire.runner(wish(n)) for n in range(50)))
    assert await texts(granted) == [f"answer {n}" for n in range(50)]
    assert wire.crossed["ask"] == 1
    assert wire.crossed["fetch"] < 5


async def test_a_second_wish_after_a_silence_is_heard(wire: Wire) -> None:
    wire.go.set()
    for n in range(3):
        assert await texts([await wire.runner(wish(n))]) == [f"answer {n}"]


async def test_a_seat_that_starts_again_is_told_again(wire: Wire) -> None:
    asking = [asyncio.create_task(wire.runner(wish(n))) for n in range(5)]
    await asyncio.sleep(0.05)
    wire.gone = True
    await asyncio.sleep(0.05)
    wire.restart()
    wire.gone = False
    wire.go.set()
    assert await texts(await asyncio.gather(*asking)) == [f"answer {n}" for n in range(5)]
    assert set(wire.granted.values()) == {2}  # once by each seat; the journal knows the first


async def test_a_line_that_breaks_while_the_seat_lives_grants_nothing_twice(wire: Wire) -> None:
    asking = [asyncio.create_task(wire.runner(wish(n))) for n in range(5)]
    await asyncio.sleep(0.05)
    wire.gone = True
    await asyncio.sleep(0.05)
    wire.gone = False
    late = asyncio.create_task(wire.runner(wish(9)))
    await asyncio.sleep(0.05)
    wire.go.set()
    assert len(await texts(await asyncio.gather(late, *asking))) == 6
    assert set(wire.granted.values()) == {1}


async def test_a_wish_that_did_not_get_through_is_said_again_to_a_seat_that_knows_the_runner(
    wire: Wire,
) -> None:
    """As when a seat comes up between two wishes: the second is heard, the first was not."""
    wire.go.set()
    wire.deaf = 1
    first = asyncio.create_task(wire.runner(wish(1)))
    while wire.deaf:
        await asyncio.sleep(0.001)
    wire.seat.ask("runner", b"[]", 0, all_of_them=True)
    assert await texts([await asyncio.wait_for(first, 30)]) == ["answer 1"]
    assert wire.granted[1] == 1


async def test_an_answer_that_is_lost_on_its_way_is_asked_for_again(wire: Wire) -> None:
    wire.go.set()
    wire.lossy = 1
    answered = await asyncio.wait_for(asyncio.gather(*(wire.runner(wish(n)) for n in range(3))), 30)
    assert await texts(answered) == ["answer 0", "answer 1", "answer 2"]


async def test_an_answer_that_an_older_request_took_away_is_handed_over_again(wire: Wire) -> None:
    """The line breaks, the seat does not notice, and answers to the request from before go nowhere."""
    wire.cancels = False
    asking = [asyncio.create_task(wire.runner(wish(n))) for n in range(3)]
    await asyncio.sleep(0.05)
    wire.gone = True
    await asyncio.sleep(0.05)
    wire.gone = False
    await asyncio.sleep(line.GONE_S + 0.1)
    wire.go.set()
    answered = await asyncio.wait_for(asyncio.gather(*asking), 30)
    assert await texts(answered) == ["answer 0", "answer 1", "answer 2"]
    assert set(wire.granted.values()) == {1}


async def test_a_runner_that_was_away_for_long_and_has_a_new_wish_loses_no_answer(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was frozen: what came home meanwhile waits for it, or it is asked to say all again."""
    first = asyncio.create_task(wire.runner(wish(1)))
    await asyncio.sleep(0.05)
    wire.lossy = 1
    wire.go.set()
    await asyncio.sleep(0.1)  # the answer was handed over, and lost
    monkeypatch.setattr(line, "FORGET_S", 0.0)
    second = asyncio.create_task(wire.runner(wish(2)))
    await asyncio.sleep(0.05)
    monkeypatch.setattr(line, "FORGET_S", 60.0)
    answered = await asyncio.wait_for(asyncio.gather(first, second), 30)
    assert await texts(answered) == ["answer 1", "answer 2"]


async def test_a_wish_that_was_answered_and_comes_again_is_granted_again(wire: Wire) -> None:
    """As after an outage: the session is played again from its journal, under the same claim."""
    wire.go.set()
    for _ in range(3):
        assert await texts([await asyncio.wait_for(wire.runner(wish(1)), 30)]) == ["answer 1"]
    assert wire.granted[1] == 3


async def test_a_stopping_runner_says_nothing_again_to_a_seat_that_is_gone(wire: Wire) -> None:
    """It is told in the middle of saying all again to a seat that was back for a moment."""
    asking = asyncio.create_task(wire.runner(wish(1)))
    await asyncio.sleep(0.05)
    wire.deaf = 1_000_000
    wire.restart()
    await asyncio.sleep(0.7)
    wire.stopping = True
    assert (await asyncio.wait_for(asking, 30)).stopped == "stopping"


async def test_a_line_that_cannot_be_read_fails_its_wishes(wire: Wire) -> None:
    async def broken(_: int) -> bytes | None:
        raise ZeroDivisionError

    runner = RunnerEnd(wire.ask, broken, lambda: False)
    assert (await runner(wish(1))).broken == "ZeroDivisionError()"


async def test_a_runner_that_was_forgotten_says_again_what_it_waits_for(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = asyncio.create_task(wire.runner(wish(1)))
    await asyncio.sleep(0.05)
    monkeypatch.setattr(line, "FORGET_S", 0.0)
    monkeypatch.setattr(line, "PATIENCE_S", 0.01)
    wire.seat.ask("another", b"[]", 0, all_of_them=True)
    wire.go.set()
    assert await texts([await asking]) == ["answer 1"]
    assert wire.granted[1] == 1 or wire.granted[1] == 2  # asked again only if it was home before


async def test_what_breaks_in_the_seat_is_told(wire: Wire) -> None:
    wire.go.set()
    assert (await wire.runner(wish(-1))).broken == "ZeroDivisionError()"


async def test_a_stopping_runner_does_not_wait_for_a_seat_that_is_gone(wire: Wire) -> None:
    wire.gone = wire.stopping = True
    assert (await wire.runner(wish(1))).stopped == "stopping"


async def test_a_wish_that_is_given_up_is_forgotten(wire: Wire) -> None:
    asking = asyncio.create_task(wire.runner(wish(1)))
    await asyncio.sleep(0.05)
    asking.cancel()
    wire.go.set()
    assert await texts([await wire.runner(wish(2))]) == ["answer 2"]


async def test_two_claims_of_one_call_are_two_wishes(wire: Wire) -> None:
    wire.go.set()
    both = await asyncio.gather(wire.runner(wish(1)), wire.runner(wish(1, epoch=2)))
    assert await texts(both) == ["answer 1", "answer 1"]
    assert wire.granted[1] == 2
