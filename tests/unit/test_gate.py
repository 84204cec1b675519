"""The gate: who goes first, who is sent away, and that every ticket comes back."""

import asyncio

import pytest

from aaa.errors import ModelError
from aaa.gate import Gate, Held, RoundStopped
from aaa.pace import OPEN_AFTER, Pace, Wait
from aaa.scenario import Limits


def gate(**limits: float) -> Gate:
    return Gate(Pace(Limits.model_validate({"concurrency": 1} | limits)))


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_rounds_take_turns_however_many_wait() -> None:
    g, order = gate(), []

    async def one(round_id: str) -> None:
        ticket = await g.enter(round_id, 1)
        order.append(round_id)
        await settled()
        g.leave(ticket, object(), None, None)

    large = [asyncio.create_task(one("large")) for _ in range(6)]
    await settled()
    small = [asyncio.create_task(one("small")) for _ in range(2)]
    await asyncio.gather(*large, *small)
    assert order.index("small") <= 3
    assert [i for i, name in enumerate(order) if name == "small"][-1] <= 6
    assert g.standing().in_flight == g.standing().waiting == 0


async def test_who_waits_is_sent_away_when_its_round_stops() -> None:
    g = gate()
    held = await g.enter("a", 1)
    waiting = asyncio.create_task(g.enter("a", 1))
    other = asyncio.create_task(g.enter("b", 1))
    await settled()
    assert g.standing().waiting == 2
    g.stop("a", "paused", halt=False)
    with pytest.raises(RoundStopped, match="paused"):
        await waiting
    g.unused(held)
    assert await other
    assert g.rounds == set()


async def test_a_wait_is_told_once_and_only_where_it_is_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aaa.gate.LONG_S", 0.02)
    g, told, heard = gate(), list[Wait](), asyncio.Event()

    async def tell(wait: Wait) -> None:
        told.append(wait)
        heard.set()

    held = await g.enter("a", 1, tell)
    soon = asyncio.create_task(g.enter("a", 1, tell))
    await settled()
    g.unused(held)
    held = await soon
    assert told == []
    waiting = asyncio.create_task(g.enter("a", 1, tell))
    await asyncio.wait_for(heard.wait(), 5)
    assert [wait.state for wait in told] == ["full"]
    g.unused(held)
    g.unused(await waiting)
    assert len(told) == 1


@pytest.mark.parametrize("let_in", [True, False])
async def test_a_wait_that_could_not_be_told_keeps_no_slot(
    monkeypatch: pytest.MonkeyPatch, let_in: bool
) -> None:
    monkeypatch.setattr("aaa.gate.LONG_S", 0.02)
    g = gate()
    held = await g.enter("a", 1)

    async def tell(_: Wait) -> None:
        if let_in:
            g.unused(held)  # its turn comes while it is told
        raise Held("lost", "another owner")

    with pytest.raises(Held):
        await g.enter("a", 1, tell)
    if not let_in:
        g.unused(held)
    assert (g.standing().in_flight, g.standing().waiting) == (0, 0)
    assert await asyncio.wait_for(g.enter("a", 1), 5)


async def test_time_waited_is_summed() -> None:
    now = 100.0
    g = Gate(Pace(Limits.model_validate({"concurrency": 1})), clock=lambda: now)
    held = await g.enter("a", 1)
    assert g.standing().waited_s == 0
    waiting = []
    for _ in range(2):
        waiting.append(asyncio.create_task(g.enter("a", 1)))
        await settled()
        now += 2
    assert g.standing().waited_s == 0  # nobody of them was let in
    g.leave(held, object(), None, None)
    second = await waiting[0]
    assert g.standing().waited_s == 4
    now += 1
    g.unused(second)
    await waiting[1]
    assert g.standing().waited_s == 7


async def test_who_sleeps_between_attempts_is_woken_when_its_round_stops() -> None:
    g = gate()
    sleeping = asyncio.create_task(g.sleep("a", 3600))
    await settled()
    assert g.rounds == {"a"}
    g.stop("a", "cancelled", halt=False)
    with pytest.raises(RoundStopped, match="cancelled"):
        await sleeping
    await g.sleep("a", 0.001)


async def test_halting_breaks_off_what_is_in_flight_of_that_round_alone() -> None:
    g = gate(concurrency=2)
    broken = asyncio.create_task(g.carry("a", asyncio.sleep(3600)))
    kept = asyncio.create_task(g.carry("b", asyncio.sleep(0.01, "home")))
    await settled()
    g.stop("a", "paused", halt=True)
    with pytest.raises(RoundStopped):
        await broken
    assert await kept == "home"


async def test_a_caller_that_is_cancelled_cancels_its_request() -> None:
    g = gate()
    begun = asyncio.Event()

    async def request() -> None:
        begun.set()
        await asyncio.sleep(3600)

    carrying = asyncio.create_task(g.carry("a", request()))
    await begun.wait()
    carrying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await carrying
    assert g.rounds == set()


async def test_a_caller_that_goes_away_while_it_waits_leaves_no_hole() -> None:
    g = gate()
    held = await g.enter("a", 1)
    gone = asyncio.create_task(g.enter("a", 1))
    stays = asyncio.create_task(g.enter("a", 1))
    await settled()
    gone.cancel()
    await settled()
    g.unused(held)
    assert await stays
    assert g.standing().in_flight == 1


async def test_a_closed_gate_lets_nobody_in() -> None:
    g = gate()
    await g.enter("a", 1)
    waiting = asyncio.create_task(g.enter("a", 1))
    await settled()
    g.close("stopping")
    for asking in (waiting, g.enter("b", 1)):
        with pytest.raises(RoundStopped, match="stopping"):
            await asking
    with pytest.raises(RoundStopped):
        await g.sleep("b", 1)


async def test_the_next_is_let_in_when_its_time_comes() -> None:
    g = gate(concurrency=8, rpm=600)
    tickets = [await asyncio.wait_for(g.enter("a", 1), 5) for _ in range(8)]
    assert tickets[-1].at > tickets[0].at


async def test_a_provider_dead_for_too_long_holds_everyone() -> None:
    g = gate(concurrency=8)
    now = g.clock() - 3600
    for call in range(OPEN_AFTER):
        error = ModelError("unreachable", "connection refused")
        g.pace.ended(now, g.pace.began(now, 1), call, error, None)
    assert g.standing().why == ""  # a probe is due: the next call may try
    with pytest.raises(Held, match="connection refused") as held:
        await g.enter("a", 1)
    assert held.value.reason == "provider_down"
    assert await g.enter("a", 1)  # a person looked, and tries again
