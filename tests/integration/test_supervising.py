"""What the supervisor starts and stops on a real database; Ray is a stand-in that starts nothing."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from aaa.asking import Amount, Attempt, Wish
from aaa.catalogue import Catalogue, Script
from aaa.cluster import seat, supervisor
from aaa.cluster.actors import Actors
from aaa.cluster.plan import IDLE_S, seat_name
from aaa.cluster.supervisor import match
from aaa.settings import Settings
from aaa.store.database import Database
from aaa.store.journal import Journal
from aaa.store.leases import claim_sessions
from aaa.store.rounds import Round, create_round
from aaa.store.steering import cancel_round, pause_round
from aaa.types import Call, Message, Reply, Turn


class Handle:
    """An actor by its name; of its methods only that they were called matters."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __getattr__(self, method: str) -> Any:
        return SimpleNamespace(remote=lambda *_: f"{self.name}.{method}")


class Cluster:
    """As much of Ray as `Actors` calls: which named actors live, and whose long call has ended."""

    def __init__(self) -> None:
        self.living: set[str] = set()
        self.ended: dict[str, Exception | None] = {}
        """Call -> what it raised, told once."""
        self.killed: list[str] = []
        self.util = SimpleNamespace(list_named_actors=lambda: sorted(self.living))

    def remote(self, _: type) -> Any:
        return self

    def options(self, name: str, **_: Any) -> Any:
        return SimpleNamespace(remote=lambda *_: self._start(name))

    def _start(self, name: str) -> Handle:
        self.living.add(name)
        return Handle(name)

    def kill(self, actor: Handle, *, no_restart: bool) -> None:
        assert no_restart
        self.living.discard(actor.name)
        self.killed.append(actor.name)

    def get_actor(self, name: str) -> Handle:
        if name not in self.living:
            raise ValueError(name)
        return Handle(name)

    def wait(self, calls: list[str], **_: Any) -> tuple[list[str], list[str]]:
        done = [call for call in calls if call in self.ended]
        return done, [call for call in calls if call not in self.ended]

    def get(self, call: str) -> None:
        error = self.ended.pop(call)
        if error is not None:
            raise error


class Stage:
    """A supervisor's look at the database, at any time that a test likes."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self.settings, self.database = settings, database
        self.cluster = Cluster()
        self.actors = Actors(self.cluster, settings, database.url)
        self.needed_at: dict[str, float] = {}

    async def seats(self, now: float) -> set[str]:
        """The seats that live after a look."""
        await match(self.settings, self.database, self.actors, self.needed_at, now)
        return {name for name in self.cluster.living if name.startswith("seat-")}


@pytest.fixture
def stage(settings: Settings, database: Database) -> Stage:
    return Stage(settings, database)


@pytest.fixture
async def made(database: Database, catalogue: Catalogue) -> tuple[Round, Script]:
    """A round that waits to be driven."""
    scenario, folder = catalogue.scenario("small", {})
    script, seeds = catalogue.prepare(scenario, folder)
    return await create_round(database, script, seeds), script


async def test_a_paused_round_keeps_its_seats_until_its_calls_are_home(
    stage: Stage, made: tuple[Round, Script]
) -> None:
    database, (its, script) = stage.database, made
    seats = {seat_name(card) for card in script.cards.values()}
    assert await stage.seats(now=0) == seats
    (claim,) = await claim_sessions(database, "runner-0@test", 1)
    chat = (Message(role="user", content="a question that is thought about for long"),)
    call = Call(
        seat="student", agent=script.cast["student"][0].name, purpose="draft", messages=chat
    )
    wish = Wish(
        round=its.id,
        session=claim.session,
        epoch=claim.epoch,
        index=0,
        call=call,
        sampling_seed=0,
    )
    journal = Journal(database)
    attempt = await journal.begin(wish, Amount(usd=0, tokens=0), 3600)
    assert isinstance(attempt, Attempt)
    await pause_round(database, its.id)
    assert await stage.seats(now=2 * IDLE_S) == seats
    assert await stage.seats(now=9 * IDLE_S) == seats
    await journal.answer(wish, attempt, Turn(index=0, call=call, reply=Reply(text="so")))
    assert await stage.seats(now=10 * IDLE_S - 1) == seats
    assert await stage.seats(now=10 * IDLE_S) == set()


async def test_a_seat_that_is_no_more_is_started_again(
    stage: Stage, made: tuple[Round, Script]
) -> None:
    """Killed for good by somebody, say, long after it had opened well."""
    seats = await stage.seats(now=0)
    one = min(seats)
    stage.cluster.living.discard(one)
    assert await stage.seats(now=1) == seats - {one}
    stage.cluster.ended[f"{one}.run"] = RuntimeError("the actor died")
    assert await stage.seats(now=2) == seats


async def test_a_seat_that_ray_restarts_is_still_stopped_when_idle(
    stage: Stage, made: tuple[Round, Script]
) -> None:
    seats = await stage.seats(now=0)
    await cancel_round(stage.database, made[0].id)
    stage.cluster.ended |= {f"{name}.run": RuntimeError("its process died") for name in seats}
    assert await stage.seats(now=1) == seats
    assert await stage.seats(now=IDLE_S) == set()


async def test_who_was_told_to_stop_makes_room_for_another(
    stage: Stage, made: tuple[Round, Script]
) -> None:
    """By a supervisor that was killed before it had ended them: they would begin nothing any more."""
    seats = await stage.seats(now=0)
    one = min(seats)
    stage.cluster.ended[f"{one}.run"] = None
    assert await stage.seats(now=1) == seats
    assert stage.cluster.killed == [one]


async def test_what_an_earlier_supervisor_left_is_stopped_when_nobody_needs_it(
    stage: Stage, made: tuple[Round, Script]
) -> None:
    seats = {seat_name(card) for card in made[1].cards.values()}
    stage.cluster.living |= {"runner-0", "runner-1", "seat-of-before", *seats}
    stage.actors.adopt()
    assert await stage.seats(now=0) == {"seat-of-before", *seats}
    assert stage.cluster.killed == ["runner-1"]
    assert await stage.seats(now=IDLE_S) == seats


async def test_an_error_that_nobody_expects_ends_neither_supervisor_nor_seat(
    stage: Stage, made: tuple[Round, Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    stop = asyncio.Event()

    async def look(*_: object) -> int:
        looks.append("a look")
        if len(looks) % 2:
            raise RuntimeError("what nobody expects")
        stop.set()
        return 0

    async def lead() -> bool:
        return True

    monkeypatch.setattr(supervisor, "match", look)
    monkeypatch.setattr(supervisor, "TICK_S", 0)
    async with asyncio.timeout(20):
        assert await supervisor._loop(stage.settings, stage.database, stage.actors, stop, lead)
    stop.clear()
    monkeypatch.setattr(seat, "set_up_actor", lambda *_: None)
    monkeypatch.setattr(seat, "tell", look)
    monkeypatch.setattr(seat, "TELL_S", 0)
    monkeypatch.setattr(seat, "LOOK_S", 0)
    one = seat.Seat(next(iter(made[1].cards.values())), stage.settings, stage.database.url)
    looking = asyncio.create_task(one._look())
    async with asyncio.timeout(20):
        await stop.wait()
    looking.cancel()
    await one.database.close()


async def test_a_call_whose_model_still_loads_says_so(
    stage: Stage, made: tuple[Round, Script], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seat, "set_up_actor", lambda *_: None)
    monkeypatch.setattr(seat, "LONG_S", 0.01)
    card = next(iter(made[1].cards.values()))
    one = seat.Seat(card, stage.settings, stage.database.url)
    loaded, told = asyncio.Event(), list[str]()

    async def waits(_: Wish, why: str, opens_in_s: float | None) -> None:
        told.append(why)
        loaded.set()

    async def answer(wish: Wish) -> Turn:
        return Turn(index=wish.index, call=wish.call, reply=Reply(text="because"))

    async def load() -> Any:
        await loaded.wait()
        return answer

    monkeypatch.setattr(one.journal, "waits", waits)
    monkeypatch.setattr(one, "_open", load)
    chat = (Message(role="user", content="why?"),)
    call = Call(seat="student", agent=card.name, purpose="draft", messages=chat)
    wish = Wish(round="r", session=1, epoch=1, index=0, call=call, sampling_seed=0)
    async with asyncio.timeout(20):
        for _ in range(2):
            granted = await one.grant(wish)
            assert granted.said is not None
            assert granted.said.reply.text == "because"
    assert told == ["starting"]
    await one.database.close()
