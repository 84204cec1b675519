"""No query of a running round reads a whole table: looked at in the plans for a million turns."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import LargeBinary, event, select, text

from aaa.asking import Amount, Wish
from aaa.catalogue import Catalogue
from aaa.errors import ModelError
from aaa.store.database import Database
from aaa.store.events import read_events
from aaa.store.journal import Journal
from aaa.store.leases import End, claim_sessions, end_sessions, renew, settle_empty
from aaa.store.notes import Place
from aaa.store.reading import Wanted, find_pair, get_session, list_sessions, recorded
from aaa.store.recovery import sweep
from aaa.store.rounds import create_round, get_round, list_rounds, live_scripts, pausing_scripts
from aaa.store.rows import array_of
from aaa.store.steering import wanted_of
from aaa.store.tables import messages
from aaa.types import Call, Message, Reply, Seed, Turn, Verdict

SESSIONS = 200_000
ROUNDS = 20_000
LARGE = (
    "rounds",
    "sessions",
    "turns",
    "messages",
    "attempts",
    "events",
    "verdicts",
    "ballots",
    "notes",
)
FILL = (
    """INSERT INTO sessions (round_id, position, seed_id, seed, status, epoch, finished_at)
    SELECT :round, n, 's' || n, jsonb_build_object('id', 's' || n, 'prompt', '[]'::jsonb),
        CASE WHEN n % 50 = 0 THEN 'queued' ELSE 'completed' END, 1, now()
    FROM generate_series(10, :sessions) n""",
    """INSERT INTO messages SELECT sha256(convert_to(n::text, 'UTF8')), 'user', 'question ' || n
    FROM generate_series(1, :sessions) n""",
    """INSERT INTO turns (session_id, index, seat, agent, purpose, messages, sampling, text,
        finish_reason, model, latency_s, attempt)
    SELECT s.id, i, 'student', 'pupil', 'draft', ARRAY[sha256(convert_to(s.position::text, 'UTF8'))], '{}',
        'an answer', 'stop', 'stub', 0.5, 1
    FROM sessions s, generate_series(0, 4) i WHERE s.round_id = :round AND s.position >= 10""",
    """INSERT INTO attempts (session_id, index, attempt, epoch, seat, agent, key, status, expires_at)
    SELECT session_id, index, 1, 1, seat, agent, 'k', 'answered', now() FROM turns""",
    """INSERT INTO events (round_id, id, kind, data)
    SELECT :round, n, 'turn', '{}' FROM generate_series(1000, 1000 + 2 * :sessions) n""",
    """INSERT INTO verdicts (session_id, index, after, edge, context, a, b, outcome, winner, judging,
        related_judges, reason, pair_id)
    SELECT id, 0, 5, 'revision', '{}', 0, 2, 'win', 'b', 'pairwise', false, '', 'p' || id
    FROM sessions WHERE round_id = :round AND position >= 10""",
    """INSERT INTO ballots (session_id, verdict, number, judge, "order", turn, explanation)
    SELECT session_id, 0, n, 'judge', 'ab', 3, '' FROM verdicts, generate_series(0, 1) n""",
    """INSERT INTO notes (session_id, index, after, kind, data)
    SELECT session_id, 1, 5, 'consensus', '{}' FROM verdicts""",
    """INSERT INTO rounds (id, scenario, script, status, concurrency, created_at, finished_at)
    SELECT 'old-' || n, scenario, script, 'completed', 8, now() - n * interval '1 minute', now()
    FROM rounds, generate_series(1, :rounds) n WHERE id = :round""",
    "UPDATE rounds SET last_event = 1000 + 2 * :sessions, sessions_total = :sessions WHERE id = :round",
)


MOST_PARAMETERS = 65_535


async def test_any_number_of_values_is_looked_for(database: Database) -> None:
    """PostgreSQL takes so many parameters and no more."""
    hashes = [n.to_bytes(32, "big") for n in range(MOST_PARAMETERS + 1)]
    async with database.begin() as connection:
        found = select(messages.c.hash).where(messages.c.hash.in_(array_of(hashes, LargeBinary)))
        assert (await connection.execute(found)).all() == []


class Plans:
    """What a database is asked, and how it would find it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.asked: dict[str, Any] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        engine = self.database.engine.sync_engine

        def hear(*what: Any) -> None:
            self.asked.setdefault(what[2], what[3])

        event.listen(engine, "before_cursor_execute", hear)
        try:
            yield
        finally:
            event.remove(engine, "before_cursor_execute", hear)

    async def whole_tables(self) -> list[str]:
        """Statements that would read all of a large table, with the table."""
        found = []
        for statement, parameters in self.asked.items():
            if not re.match(r"\s*(SELECT|UPDATE|INSERT|WITH|DELETE)", statement):
                continue
            async with self.database.engine.connect() as connection:
                plan = await connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
                lines = "\n".join(row[0] for row in plan)
            tables = re.findall(r"Seq Scan on (\w+)", lines)
            found += [f"{table}: {statement}\n{lines}" for table in tables if table in LARGE]
        return found


@pytest.fixture
async def large(database: Database, catalogue: Catalogue) -> tuple[Database, str]:
    scenario, folder = catalogue.scenario("small", {"budget_usd": 5})
    script, seeds = catalogue.prepare(scenario, folder)
    made = await create_round(database, script, seeds)
    values = {"round": made.id, "rounds": ROUNDS, "sessions": SESSIONS}
    async with database.begin() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in FILL:
            names = re.findall(r":(rounds?|sessions)\b", statement)
            await connection.execute(text(statement), {name: values[name] for name in names})
    async with database.begin() as connection:
        await connection.execute(text("ANALYZE"))
    return database, made.id


async def _play(database: Database, round_id: str) -> None:
    """Every step of a session, of the ones who look after it, and of those who watch."""
    claims = await claim_sessions(database, "runner-0@here:1", 3)
    journal = Journal(database, seat="seat-1")
    claim = claims[0]
    chat = (Message(role="user", content="why?"),)
    call = Call(seat="student", agent="pupil", purpose="draft", messages=chat)
    wishes = [
        Wish(
            round=round_id,
            session=claim.session,
            epoch=claim.epoch,
            index=index,
            call=call,
            sampling_seed=0,
        )
        for index in range(3)
    ]
    worst = Amount(usd=0.01, tokens=100)
    turns = {}
    for wish in wishes:
        attempt = await journal.begin(wish, worst, 60)
        assert not isinstance(attempt, Turn)
        turn = Turn(index=wish.index, call=call, reply=Reply(text="so"))
        turns[wish.index] = await journal.answer(wish, attempt, turn)
        await journal.begin(wish, worst, 60)
    given = wishes[0].model_copy(
        update={"index": 9, "call": call.model_copy(update={"given": Reply(text="said")})}
    )
    await journal.given(given)
    failing = wishes[0].model_copy(update={"index": 10})
    attempt = await journal.begin(failing, worst, 60)
    assert not isinstance(attempt, Turn)
    await journal.fail(failing, attempt, ModelError("rate_limited", "later", retry_after_s=1), 1)
    verdict = Verdict(edge="revision", context=chat, a=0, b=2, outcome="tie", judging="pairwise")
    place = Place(round_id, claim.session, claim.epoch, 0, 3)
    await journal.note(place, verdict, Seed(id="x", prompt=chat), turns)
    await recorded(database, claim.session)
    await renew(database, claims)
    await sweep(database)
    await settle_empty(database)
    await live_scripts(database)
    await pausing_scripts(database)
    await wanted_of(database, [round_id])
    await end_sessions(database, [End(claim, "completed"), End(claims[1], "queued")])
    await get_round(database, round_id)
    await list_rounds(database)
    await list_rounds(database, status="running")
    await list_rounds(database, before="old-1000", status="failed")
    await list_sessions(database, round_id, limit=50, after=1000)
    await list_sessions(database, round_id, limit=50, wanted=Wanted(status="failed"))
    await get_session(database, claim.session)
    await find_pair(database, f"p{claims[2].session + 100}")
    async with database.begin() as connection:
        await read_events(connection, round_id, 1500)


async def test_no_query_of_a_round_reads_a_whole_table(large: tuple[Database, str]) -> None:
    database, round_id = large
    one_that_does, plans = Plans(database), Plans(database)
    with one_that_does.listening():
        async with database.begin() as connection:
            await connection.execute(text("SELECT count(*) FROM turns WHERE purpose = 'draft'"))
    assert len(await one_that_does.whole_tables()) == 1
    with plans.listening():
        await _play(database, round_id)
    assert len(plans.asked) > 40
    assert not (found := await plans.whole_tables()), "\n\n".join(found)
