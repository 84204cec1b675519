"""The journal on a real database: what repeats changes nothing, what is late counts, a budget is a wall."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from aaa.asking import Amount, Attempt, LeaseLost, NoRoom, Wish
from aaa.catalogue import Catalogue
from aaa.errors import ModelError, StoreError
from aaa.gate import RoundStopped
from aaa.store.database import Database
from aaa.store.entries import Begin, Failed, write
from aaa.store.events import read_events
from aaa.store.gates import held_s
from aaa.store.journal import Journal, pause_at_budget
from aaa.store.leases import Claim, claim_sessions
from aaa.store.recovery import bring_home, sweep
from aaa.store.rounds import Round, create_round, get_round, live_scripts, pausing_scripts
from aaa.store.spool import Kept, Spool
from aaa.store.steering import Retune, cancel_round, pause_round, retune_round
from aaa.store.tables import attempts, rounds, seat_usage, sessions, turns
from aaa.types import Call, Message, Reply, Turn

WORST = Amount(usd=0.01, tokens=100)
NOTHING = Amount(usd=0, tokens=0)


class Desk:
    """A round with one claimed session, and its journal."""

    def __init__(self, database: Database, made: Round, claim: Claim, agent: str) -> None:
        self.database, self.made, self.claim, self.agent = database, made, claim, agent
        self.journal = Journal(database)

    def wish(self, index: int = 0, **changes: Any) -> Wish:
        chat = (Message(role="user", content=f"question {index}"),)
        call = Call(seat="student", agent=self.agent, purpose="draft", messages=chat)
        claim = self.claim
        plain: dict[str, Any] = {
            "round": claim.round,
            "session": claim.session,
            "epoch": claim.epoch,
            "index": index,
            "call": call,
            "sampling_seed": 0,
        }
        return Wish(**(plain | changes))

    async def begin(self, wish: Wish, worst: Amount = WORST, within_s: float = 60) -> Attempt:
        begun = await self.journal.begin(wish, worst, within_s)
        assert isinstance(begun, Attempt)
        return begun

    async def money(self) -> tuple[float, float, int, int, int]:
        """(spent USD, reserved USD, spent tokens, reserved tokens, calls); round and seat must agree."""
        row = await get_round(self.database, self.made.id)
        async with self.database.begin() as connection:
            found = await connection.execute(
                select(seat_usage).where(
                    seat_usage.c.round_id == self.made.id, seat_usage.c.seat == "student"
                )
            )
            seat = found.one()
        told = (row.spent_usd, row.reserved_usd, row.spent_tokens, row.reserved_tokens, row.calls)
        assert told == (
            float(seat.spent_usd),
            float(seat.reserved_usd),
            seat.spent_tokens,
            seat.reserved_tokens,
            seat.calls,
        )
        return told


@pytest.fixture
async def desk(database: Database, catalogue: Catalogue) -> Desk:
    return await _desk(database, catalogue)


async def _desk(database: Database, catalogue: Catalogue, **changes: Any) -> Desk:
    scenario, folder = catalogue.scenario("small", changes)
    script, seeds = catalogue.prepare(scenario, folder)
    made = await create_round(database, script, seeds)
    (claim,) = await claim_sessions(database, "runner-0@test", 1)
    return Desk(database, made, claim, script.cast["student"][0].name)


def turn(wish: Wish, text: str = "an answer", cost_usd: float | None = 0.002) -> Turn:
    reply = Reply(text=text, prompt_tokens=30, completion_tokens=12, cost_usd=cost_usd)
    return Turn(index=wish.index, call=wish.call, reply=reply)


async def test_an_intent_reserves_and_an_answer_settles(desk: Desk) -> None:
    wish = desk.wish()
    attempt = await desk.begin(wish)
    assert await desk.money() == (0, 0.01, 0, 100, 1)
    await desk.journal.answer(wish, attempt, turn(wish))
    assert await desk.money() == (0.002, 0, 42, 0, 1)


async def test_an_answer_recorded_twice_counts_once(desk: Desk) -> None:
    """As when the commit went through and nobody heard of it."""
    wish = desk.wish()
    attempt = await desk.begin(wish)
    first = await desk.journal.answer(wish, attempt, turn(wish))
    before = await desk.money()
    assert await desk.journal.answer(wish, attempt, turn(wish)) == first
    assert await desk.money() == before
    assert (await get_round(desk.database, desk.made.id)).turns == 1


async def test_an_intent_recorded_twice_is_one_attempt(desk: Desk) -> None:
    wish = desk.wish()
    intent = Begin(wish, "key", WORST, 60)
    first = await desk.journal.enter(intent)
    assert await desk.journal.enter(intent) == first
    assert await desk.money() == (0, 0.01, 0, 100, 1)


async def told(desk: Desk) -> list[tuple[str, Mapping[str, Any]]]:
    async with desk.database.begin() as connection:
        found = await read_events(connection, desk.made.id, 0)
    return [(event.kind, event.data) for event in found if event.kind.startswith("call.")]


async def test_a_long_wait_is_told_and_costs_nothing(desk: Desk) -> None:
    wish = desk.wish()
    await desk.journal.waits(wish, "rate", 12.3456)
    await desk.journal.waits(desk.wish(1), "full", None)
    await desk.begin(wish)
    (first, data), (_, other), (last, _) = await told(desk)
    assert (first, last) == ("call.waiting", "call.started")
    assert data == {
        "session": wish.session, "index": 0, "seat": "student", "agent": desk.agent,
        "purpose": "draft", "why": "rate", "opens_in_s": 12.346,
    }  # fmt: skip
    assert (other["index"], other["why"], other["opens_in_s"]) == (1, "full", None)
    assert await desk.money() == (0, 0.01, 0, 100, 1)


async def test_no_wait_is_told_that_nothing_would_end(desk: Desk) -> None:
    """A turn that is on record, a claim that is over, a round that has ended."""
    wish = desk.wish()
    await desk.journal.answer(wish, await desk.begin(wish), turn(wish))
    await desk.journal.waits(wish, "rate", 1)
    with pytest.raises(LeaseLost):
        await desk.journal.waits(desk.wish(1, epoch=0), "rate", 1)
    await cancel_round(desk.database, desk.made.id)
    with contextlib.suppress(LeaseLost):
        await desk.journal.waits(desk.wish(2), "rate", 1)
    assert [kind for kind, _ in await told(desk)] == ["call.started"]


async def test_a_failure_recorded_twice_counts_once(desk: Desk) -> None:
    wish = desk.wish()
    attempt = await desk.begin(wish)
    for _ in range(2):
        await desk.journal.fail(wish, attempt, ModelError("server", "500"), 1.0)
    assert await desk.money() == (0, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("kind", "billed"),
    [("timeout", True), ("dropped", True), ("malformed", True)]
    + [(kind, False) for kind in ("unreachable", "server", "rate_limited", "auth")],
)
async def test_what_may_have_been_billed_counts(desk: Desk, kind: Any, billed: bool) -> None:
    wish = desk.wish()
    await desk.journal.fail(wish, await desk.begin(wish), ModelError(kind, ""), None)
    assert await desk.money() == ((0.01, 0, 100, 0, 1) if billed else (0, 0, 0, 0, 1))


async def test_an_answer_without_its_cost_counts_as_the_worst(desk: Desk) -> None:
    wish = desk.wish()
    attempt = await desk.begin(wish)
    told = Turn(index=0, call=wish.call, reply=Reply(text="x"))
    await desk.journal.answer(wish, attempt, told)
    assert await desk.money() == (0.01, 0, 100, 0, 1)


async def lost_to_another(desk: Desk) -> Claim:
    """The lease runs out and another runner takes the session."""
    async with desk.database.begin() as connection:
        await connection.execute(
            update(sessions)
            .where(sessions.c.id == desk.claim.session)
            .values(lease_until=text("now() - interval '1 second'"))
        )
    claims = await claim_sessions(desk.database, "runner-1@test", 1)
    return next(claim for claim in claims if claim.session == desk.claim.session)


async def test_a_lost_owner_begins_nothing_and_its_late_answer_is_the_turn(desk: Desk) -> None:
    wish = desk.wish()
    attempt = await desk.begin(wish)
    new = await lost_to_another(desk)
    with pytest.raises(LeaseLost):
        await desk.journal.begin(desk.wish(1), WORST, 60)
    await desk.journal.answer(wish, attempt, turn(wish))
    found = await desk.journal.begin(desk.wish(epoch=new.epoch), WORST, 60)
    assert isinstance(found, Turn)
    assert found.text == "an answer"
    assert await desk.money() == (0.002, 0, 42, 0, 1)


async def test_an_answer_later_than_another_is_kept_and_priced(desk: Desk) -> None:
    wish = desk.wish()
    old = await desk.begin(wish)
    new = await lost_to_another(desk)
    again = desk.wish(epoch=new.epoch)
    attempt = await desk.begin(again)
    assert await desk.money() == (0.01, 0.01, 100, 100, 2)  # the old one counts as spent
    await desk.journal.answer(again, attempt, turn(again, "the new owner's"))
    recorded = await desk.journal.answer(wish, old, turn(wish, "the old owner's"))
    assert recorded.text == "the new owner's"
    assert await desk.money() == (0.004, 0, 84, 0, 2)
    async with desk.database.begin() as connection:
        found = await connection.execute(
            select(attempts.c.status, attempts.c.reply).order_by(attempts.c.attempt)
        )
        (first, second) = found.all()
    assert first.reply["text"] == "the old owner's"
    assert (first.status, second.status, second.reply) == ("answered", "answered", None)


async def test_what_a_dead_process_left_is_swept(desk: Desk) -> None:
    wish = desk.wish()
    attempt = await desk.begin(wish, within_s=-1)
    await desk.begin(desk.wish(1))
    assert await sweep(desk.database) == 1
    assert await sweep(desk.database) == 0
    assert await desk.money() == (0.01, 0.01, 100, 100, 2)
    await desk.journal.answer(wish, attempt, turn(wish))  # it was not dead after all
    assert await desk.money() == (0.002, 0.01, 42, 100, 2)


async def test_what_was_swept_and_never_asked_costs_nothing(desk: Desk) -> None:
    wish = desk.wish()
    attempt = await desk.begin(wish, within_s=-1)
    await sweep(desk.database)
    for _ in range(2):
        await desk.journal.abandon(wish, attempt, asked=False)
        assert await desk.money() == (0, 0, 0, 0, 1)
    answered = desk.wish(1)
    attempt = await desk.begin(answered)
    await desk.journal.answer(answered, attempt, turn(answered))
    await desk.journal.abandon(answered, attempt, asked=False)
    assert await desk.money() == (0.002, 0, 42, 0, 2)


async def test_a_call_broken_off_counts_as_the_worst(desk: Desk) -> None:
    wish = desk.wish()
    await desk.journal.abandon(wish, await desk.begin(wish), asked=True)
    assert await desk.money() == (0.01, 0, 100, 0, 1)


async def test_a_call_broken_off_before_it_was_made_costs_nothing(desk: Desk) -> None:
    """As of one that waits out a 429 when its round is paused."""
    wish = desk.wish()
    await desk.journal.abandon(wish, await desk.begin(wish), asked=False)
    assert await desk.money() == (0, 0, 0, 0, 1)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"budget_usd": 0.025}, "budget of the round, $0.025 (spent $0, reserved $0.02)"),
        (
            {"budget_tokens": 250},
            "budget of the round, 250 tokens (spent 0 tokens, reserved 200 tokens)",
        ),
        ({"budget_calls": 2}, "budget of the round, 2 calls"),
        ({"seat_budgets": {"student": {"usd": 0.025}}}, "seat 'student', $0.025"),
        ({"seat_budgets": {"student": {"tokens": 250}}}, "seat 'student', 250 tokens"),
        ({"seat_budgets": {"student": {"calls": 2}}}, "seat 'student', 2 calls"),
    ],
)
async def test_no_call_begins_that_could_pass_a_budget(
    database: Database, catalogue: Catalogue, overrides: dict[str, Any], said: str
) -> None:
    desk = await _desk(database, catalogue, **overrides)
    await desk.begin(desk.wish(0))
    await desk.begin(desk.wish(1))
    with pytest.raises(RoundStopped, match="budget_reached"):
        await desk.journal.begin(desk.wish(2), WORST, 60)
    assert (await desk.money())[4] == 2
    await pause_at_budget(database, desk.made.id)
    paused = await get_round(database, desk.made.id)
    assert (paused.status, paused.reason) == ("paused", "budget_reached")
    assert said in paused.message
    assert f"aaa rounds set {desk.made.id} " in paused.message


@pytest.mark.parametrize(
    ("overrides", "later"),
    [
        ({"budget_usd": 0.02}, True),
        ({"budget_usd": 0.019}, True),
        ({"budget_usd": 0.017}, False),  # 0.008 is spent for good
        ({"budget_tokens": 150}, True),
        ({"budget_tokens": 135}, False),
        ({"budget_calls": 2}, False),  # a call that has begun is never given back
        ({"seat_budgets": {"student": {"usd": 0.02}}}, True),
        ({"seat_budgets": {"student": {"usd": 0.017}}}, False),
        ({"seat_budgets": {"student": {"tokens": 135}}, "budget_usd": 0.02}, False),
    ],
)
async def test_a_budget_full_of_what_may_come_back_is_not_reached(
    database: Database, catalogue: Catalogue, overrides: dict[str, Any], later: bool
) -> None:
    """One call is home and cost less than it could, one is in flight; the third would fit without it."""
    desk = await _desk(database, catalogue, **overrides)
    home, away = Amount(usd=0.01, tokens=60), Amount(usd=0.005, tokens=60)
    first = await desk.begin(desk.wish(0), home)
    await desk.journal.answer(desk.wish(0), first, turn(desk.wish(0), cost_usd=0.008))
    second = await desk.begin(desk.wish(1), away)
    with pytest.raises(RoundStopped, match="budget_reached") as stopped:
        await desk.journal.begin(desk.wish(2), WORST, 60)
    assert isinstance(stopped.value, NoRoom) == later
    await desk.journal.abandon(desk.wish(1), second, asked=False)
    if later:
        await desk.begin(desk.wish(2))


async def test_what_a_dead_process_left_of_a_call_is_no_room_for_it(
    database: Database, catalogue: Catalogue
) -> None:
    """It counts as spent when the call begins again: to wait for it would be to wait for oneself."""
    desk = await _desk(database, catalogue, budget_usd=0.019)
    await desk.begin(desk.wish(0))
    with pytest.raises(RoundStopped, match="budget_reached") as stopped:
        await desk.journal.begin(desk.wish(0), WORST, 60)
    assert not isinstance(stopped.value, NoRoom)


async def test_another_seat_has_its_own_budget(database: Database, catalogue: Catalogue) -> None:
    desk = await _desk(database, catalogue, seat_budgets={"judge": {"calls": 0}})
    await desk.begin(desk.wish(0))
    judge = desk.wish(1)
    judge = judge.model_copy(update={"call": judge.call.model_copy(update={"seat": "judge"})})
    with pytest.raises(RoundStopped, match="budget_reached"):
        await desk.journal.begin(judge, WORST, 60)


async def test_budgets_can_be_raised_and_taken_away(desk: Desk) -> None:
    raised = Retune.model_validate(
        {"budget_calls": 7, "seat_budgets": {"judge": {"usd": 0.5, "calls": 3}}}
    )
    row = await retune_round(desk.database, desk.made.id, raised)
    assert row.budget_calls == 7
    assert row.seat_budgets["judge"].model_dump() == {"usd": 0.5, "tokens": None, "calls": 3}
    less = Retune.model_validate({"budget_calls": None, "seat_budgets": {"judge": {"usd": None}}})
    row = await retune_round(desk.database, desk.made.id, less)
    assert row.budget_calls is None
    assert row.seat_budgets["judge"].model_dump() == {"usd": None, "tokens": None, "calls": 3}


async def test_64_callers_never_pass_a_budget(database: Database, catalogue: Catalogue) -> None:
    """Answers, failures and deaths at random; a sampler of its own looks at every commit it can see."""
    cap = {"usd": 0.3, "tokens": 4000, "calls": 60}
    desk = await _desk(
        database,
        catalogue,
        budget_usd=0.35,
        budget_tokens=4500,
        budget_calls=70,
        seat_budgets={"student": cap},
    )
    chance = random.Random(7)

    async def call(index: int) -> None:
        wish, worst = desk.wish(index), Amount(usd=0.01, tokens=chance.randint(50, 150))
        try:
            attempt = await desk.begin(wish, worst, within_s=chance.choice([60, -1]))
        except RoundStopped:
            return
        end = chance.random()
        if end < 0.4:
            await desk.journal.answer(wish, attempt, turn(wish, cost_usd=0.01 * chance.random()))
        elif end < 0.6:
            await desk.journal.fail(wish, attempt, ModelError("server", "500"), 1)

    done = asyncio.Event()
    sampling = asyncio.create_task(_sample(database, done))
    await asyncio.gather(*(call(index) for index in range(64)))
    await asyncio.gather(*(call(100 + index) for index in range(64)))
    await _use_up(desk)
    done.set()
    assert await sampling == []
    spent_usd, reserved_usd, spent, reserved, calls = await desk.money()
    assert 0.3 - spent_usd - reserved_usd < 0.01 or 4000 - spent - reserved < 150 or calls == 60


async def _use_up(desk: Desk) -> None:
    """One by one, to the end."""
    for index in range(1000, 1100):
        try:
            await desk.begin(desk.wish(index), Amount(usd=0.01, tokens=150))
        except RoundStopped:
            return


async def _sample(database: Database, done: asyncio.Event) -> list[str]:
    """Look at every commit that can be seen, and sweep, until done; what was over a cap."""
    over: list[str] = []
    while not done.is_set():
        async with database.begin() as connection:
            of_round = (await connection.execute(select(rounds))).mappings().one()
            of_seats = (await connection.execute(select(seat_usage))).mappings().all()
        over += [told for row in (of_round, *of_seats) for told in _over(row)]
        await sweep(database)
    return over


def _over(row: Mapping[Any, Any]) -> Iterator[str]:
    for name in ("usd", "tokens"):
        most, reserved = row[f"budget_{name}"], row[f"reserved_{name}"]
        total = row[f"spent_{name}"] + reserved
        if most is not None and (total > most or reserved < 0):
            yield f"{name}: {total} of {most}, {reserved} reserved"
    if row["budget_calls"] is not None and row["calls"] > row["budget_calls"]:
        yield f"calls: {row['calls']}"


async def test_dollars_add_up_to_the_last_digit(desk: Desk) -> None:
    """A thousand tenths of a cent by floats would not be a dollar."""
    for index in range(20):
        wish = desk.wish(index)
        await desk.journal.answer(wish, await desk.begin(wish, NOTHING), turn(wish, cost_usd=0.1))
    async with desk.database.begin() as connection:
        assert await connection.scalar(select(rounds.c.spent_usd)) == Decimal(2)


async def test_retry_after_outlives_the_seat_that_heard_it(desk: Desk) -> None:
    journal = Journal(desk.database, seat="seat-x")
    wish = desk.wish()
    error = ModelError("rate_limited", "429", retry_after_s=120)
    await journal.fail(wish, await desk.begin(wish), error, 120)
    assert 100 < await held_s(desk.database, "seat-x") <= 120
    wish = desk.wish(1)
    shorter = ModelError("rate_limited", "429", retry_after_s=1)
    await journal.fail(wish, await desk.begin(wish), shorter, 1)
    assert await held_s(desk.database, "seat-x") > 100
    assert await held_s(desk.database, "another") == 0


@pytest.mark.parametrize("order", [(1, 120, 2), (120, 1), (1, 120)])
async def test_of_two_retry_afters_in_one_commit_the_longer_is_kept(
    desk: Desk, order: tuple[int, ...]
) -> None:
    calls = [desk.wish(index) for index in range(len(order))]
    failed = [
        Failed(wish, await desk.begin(wish), ModelError("rate_limited", "", retry_after_s=s), None)
        for wish, s in zip(calls, order, strict=True)
    ]
    async with desk.database.begin() as connection:
        await write(connection, "seat-x", failed)
    assert 100 < await held_s(desk.database, "seat-x") <= 120


class Away(Database):
    """A database that is away for as long as `gone` says."""

    gone = False

    def begin(self) -> Any:
        if self.gone:
            raise StoreError("the database does not answer: gone")
        return super().begin()


async def test_an_answer_waits_on_disk_while_the_database_is_away(
    desk: Desk, database_url: str, tmp_path: Path
) -> None:
    database = Away(database_url)
    spool = Spool(tmp_path)
    journal = Journal(database, spool)
    wish = desk.wish()
    attempt = await desk.begin(wish)
    database.gone = True
    answering = asyncio.create_task(journal.answer(wish, attempt, turn(wish)))
    await _until(lambda: _true(any(spool.kept())))
    (path,) = spool.folder.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert spool.folder.stat().st_mode & 0o777 == 0o700
    database.gone = False
    assert (await answering).text == "an answer"
    assert list(spool.kept()) == []
    await database.close()


async def test_the_next_process_brings_home_what_a_dead_one_left_on_disk(
    desk: Desk, tmp_path: Path
) -> None:
    database = Away(desk.database.url)
    spool = Spool(tmp_path)
    wish = desk.wish()
    attempt = await desk.begin(wish)
    database.gone = True
    dying = asyncio.create_task(Journal(database, spool).answer(wish, attempt, turn(wish)))
    await _until(lambda: _true(any(spool.kept())))
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    journal = Journal(desk.database, spool)
    assert await bring_home(journal) == 1
    assert await bring_home(journal) == 0
    assert await desk.money() == (0.002, 0, 42, 0, 1)
    async with desk.database.begin() as connection:
        assert await connection.scalar(select(turns.c.text)) == "an answer"
    await database.close()


async def test_an_answer_waits_in_memory_where_the_disk_takes_nothing(
    desk: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = Away(desk.database.url)
    spool = Spool(tmp_path)
    spool.folder.write_text("no folder can be made here")
    wish = desk.wish()
    attempt = await desk.begin(wish)
    database.gone = True
    answering = asyncio.create_task(Journal(database, spool).answer(wish, attempt, turn(wish)))
    await _until(lambda: _true("waits in memory" in caplog.text))
    database.gone = False
    assert (await answering).text == "an answer"
    assert await desk.money() == (0.002, 0, 42, 0, 1)
    await database.close()


async def test_a_server_that_takes_no_writes_is_away_and_is_left(
    desk: Desk, database_url: str
) -> None:
    """As one is that led before a failover, and to which connections still stand."""
    database = Database(database_url, pool=1)
    async with database.begin() as connection:
        await connection.execute(text("SET SESSION default_transaction_read_only = on"))
    wish = desk.wish()
    attempt = await desk.begin(wish)
    journal = Journal(database)
    with pytest.raises(StoreError, match="takes no writes"):
        await journal.write(wish, attempt, turn(wish))
    assert await journal.write(wish, attempt, turn(wish)) == turn(wish)
    await database.close()


async def test_answers_of_another_database_stay(desk: Desk, tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    wish = desk.wish()
    attempt = await desk.begin(wish)
    spool.keep(Kept(wish=wish.model_copy(update={"round": "x"}), attempt=attempt, turn=turn(wish)))
    (spool.folder / "broken.json").write_text("{")
    assert await bring_home(Journal(desk.database, spool)) == 0
    assert len(list(spool.folder.iterdir())) == 2


async def test_an_answer_that_cannot_be_recorded_keeps_no_other_from_the_record(
    desk: Desk, tmp_path: Path
) -> None:
    spool = Spool(tmp_path)
    for index in range(2):
        wish = desk.wish(index)
        bad = Reply(text="x", prompt_tokens=2**40) if index == 0 else Reply(text="y")
        said = Turn(index=index, call=wish.call, reply=bad)
        spool.keep(Kept(wish=wish, attempt=await desk.begin(wish), turn=said))
    assert await bring_home(Journal(desk.database, spool)) == 1
    assert len(list(spool.folder.iterdir())) == 1


async def test_a_paused_round_begins_nothing(desk: Desk) -> None:
    await pause_round(desk.database, desk.made.id)
    with pytest.raises(RoundStopped, match="paused"):
        await desk.journal.begin(desk.wish(), WORST, 60)
    assert (await desk.money())[4] == 0


async def test_a_paused_round_needs_its_seats_until_its_calls_are_home(desk: Desk) -> None:
    wish = desk.wish()
    attempt = await desk.begin(wish)
    assert list(await live_scripts(desk.database)) == [desk.made.id]
    assert not await pausing_scripts(desk.database)
    await pause_round(desk.database, desk.made.id)
    assert not await live_scripts(desk.database)
    assert list(await pausing_scripts(desk.database)) == [desk.made.id]
    await desk.journal.answer(wish, attempt, turn(wish))
    assert not await pausing_scripts(desk.database)


async def test_calls_of_a_dead_process_keep_no_seat_for_ever(desk: Desk) -> None:
    await desk.begin(desk.wish(), within_s=0)
    await pause_round(desk.database, desk.made.id)
    assert await pausing_scripts(desk.database)
    assert await sweep(desk.database) == 1
    assert not await pausing_scripts(desk.database)


async def _true(value: bool) -> bool:
    return value


async def _until(look: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await look():
            await asyncio.sleep(0.02)
