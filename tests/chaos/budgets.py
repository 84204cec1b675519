"""L4: a budget is a wall.

Callers in several processes ask as fast as they can under caps in dollars, tokens and calls, of the round
and of each seat. The caps are raised bit by bit, so that each of them binds in its turn, and processes are
killed with their calls in flight. A connection of its own looks all the time whether any cap is passed, in
any commit; at the end the books must add up to the attempts on record.
"""

import asyncio
import itertools
import random
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg

from aaa.provider.server import serve
from aaa.store.leases import Claim
from aaa.store.rounds import get_script
from aaa.types import Seed
from tests.chaos.promise import Promise, main, tell
from tests.chaos.rows import connect
from tests.chaos.seats import Classroom, card, classroom, seated
from tests.chaos.stage import opened
from tests.classroom import user
from tests.postgres import embedded_server

AGENTS = ("tutor", "referee", "pupil")
PRICE = {"input_usd_per_mtok": 10, "output_usd_per_mtok": 30}

PASSED = """
SELECT count(*) AS looks, coalesce(sum((
    spent_usd + reserved_usd > budget_usd OR spent_tokens + reserved_tokens > budget_tokens
    OR calls > budget_calls)::int), 0) AS passed
FROM (
    SELECT budget_usd, spent_usd, reserved_usd, budget_tokens, spent_tokens, reserved_tokens,
        budget_calls, calls FROM rounds
    UNION ALL
    SELECT budget_usd, spent_usd, reserved_usd, budget_tokens, spent_tokens, reserved_tokens,
        budget_calls, calls FROM seat_usage
) AS books
"""
RAISE = """
UPDATE {table} SET
    budget_usd = spent_usd + reserved_usd + %(usd)s,
    budget_tokens = spent_tokens + reserved_tokens + %(tokens)s,
    budget_calls = calls + %(calls)s
"""
TIGHT = """
SELECT count(*) AS tight FROM (
    SELECT budget_usd - spent_usd - reserved_usd AS usd,
        budget_tokens - spent_tokens - reserved_tokens AS tokens, budget_calls - calls AS calls
    FROM rounds UNION ALL
    SELECT budget_usd - spent_usd - reserved_usd,
        budget_tokens - spent_tokens - reserved_tokens, budget_calls - calls
    FROM seat_usage
) AS room WHERE usd < 0.003 OR tokens < 150 OR calls = 0
"""
BOOKS = """
SELECT count(*) AS wrong FROM (
    SELECT 'round' AS of, spent_usd, reserved_usd, spent_tokens, reserved_tokens, calls FROM rounds
    UNION ALL
    SELECT seat, spent_usd, reserved_usd, spent_tokens, reserved_tokens, calls FROM seat_usage
) AS books LEFT JOIN (
    SELECT coalesce(seat, 'round') AS of,
        sum(cost_usd) FILTER (WHERE status <> 'asking') AS usd,
        sum(reserved_usd) FILTER (WHERE status = 'asking') AS open_usd,
        sum(tokens) FILTER (WHERE status <> 'asking') AS tokens,
        sum(reserved_tokens) FILTER (WHERE status = 'asking') AS open_tokens,
        count(*) AS attempts
    FROM attempts GROUP BY ROLLUP (seat)
) AS added USING (of)
WHERE (spent_usd, reserved_usd, spent_tokens, reserved_tokens, calls) IS DISTINCT FROM (
    coalesce(usd, 0), coalesce(open_usd, 0), coalesce(tokens, 0), coalesce(open_tokens, 0),
    coalesce(attempts, 0))
"""


class Outcome(NamedTuple):
    """What it came to."""

    kills: int
    calls: int
    """Attempts on record."""
    requests: int
    """At the provider; a killed process may leave an attempt that never became one."""
    abandoned: int
    """Attempts whose process died: their worst cost counts as spent."""
    looks: int
    """Budgets that were looked at, each in one commit: of the round, or of a seat."""
    passed: int
    """Of these, budgets that were passed."""
    bound: int
    """How often everybody stood still because some cap had no room for one more call."""
    wrong_books: int
    """Rows whose sums are not those of the attempts on record."""

    @property
    def holds(self) -> bool:
        return (
            self.passed == self.wrong_books == 0
            and min(self.kills, self.looks, self.bound) > 0
            and self.requests <= self.calls
        )


def spend(callers: int = 64, kills: int = 50, processes: int = 4, seed: int = 0) -> Outcome:
    """So many callers in so many processes; one of these is killed, so many times."""
    with embedded_server() as url:
        return asyncio.run(_spend(url, callers, kills, processes, random.Random(seed)))


async def _spend(
    url: str, callers: int, kills: int, processes: int, chance: random.Random
) -> Outcome:
    async with opened(url) as database, serve(faults="latency=uniform:20ms..80ms") as provider:
        cards = [
            card(
                name,
                f"openai/{name}",
                provider.base_url,
                price=PRICE,
                limits={"concurrency": callers, "timeout_s": 10},
            )
            for name in AGENTS
        ]
        room = await classroom(database, cards, callers, budget_usd=0)
        with connect(url) as connection:
            with _looking(url) as seen:
                shares = [
                    [n for n in range(callers) if n % processes == number]
                    for number in range(processes)
                ]
                bound = await _rise_and_kill(url, room, connection, shares, kills, chance)
            await _quiet(connection)
            attempts = connection.execute(
                "SELECT count(*) AS n, count(*) FILTER (WHERE status = 'abandoned') AS left "
                "FROM attempts"
            ).fetchone()
            books = connection.execute(BOOKS).fetchone()
        assert attempts is not None
        assert books is not None
        return Outcome(
            kills=kills,
            calls=attempts["n"],
            requests=provider.stats()["requests"],
            abandoned=attempts["left"],
            looks=seen["looks"],
            passed=seen["passed"],
            bound=bound,
            wrong_books=books["wrong"],
        )


async def _rise_and_kill(
    url: str,
    room: Classroom,
    connection: "psycopg.Connection[dict[str, Any]]",
    shares: Sequence[Sequence[int]],
    kills: int,
    chance: random.Random,
) -> int:
    """Raise the caps, kill a process while it uses them, start it again; how often caps bound."""
    processes = await asyncio.gather(*(_start(url, room, share) for share in shares))
    bound = 0
    try:
        for number in range(kills):
            before = _calls(connection)
            _rise(connection, number, chance)
            await _in_flight(connection, before)
            await asyncio.sleep(chance.uniform(0, 0.1))
            victim = chance.randrange(len(shares))
            processes[victim].kill()
            await processes[victim].wait()
            processes[victim] = await _start(url, room, shares[victim])
            bound += await _stuck(connection)
            tell(f"L4: {_calls(connection)} calls, bound {bound}")
    finally:
        for process in processes:
            process.kill()
            await process.wait()
    return bound


def _rise(
    connection: "psycopg.Connection[dict[str, Any]]", number: int, chance: random.Random
) -> None:
    """Raise every cap, one of them by little, each in its turn: that one binds while calls are in flight."""
    tight_table, tight = list(itertools.product(("rounds", "seat_usage"), LITTLE))[number % 6]
    for table in ("rounds", "seat_usage"):
        more: dict[str, float] = dict(MUCH)
        if table == tight_table:
            share = 1 if table == "rounds" else len(AGENTS)
            more[tight] = type(LITTLE[tight])(LITTLE[tight] * chance.uniform(1, 3) / share)
        connection.execute(RAISE.format(table=table), more)


LITTLE: Mapping[str, float] = {"usd": 0.05, "tokens": 2_500, "calls": 20}
"""Cap -> room for about twenty calls."""
MUCH: Mapping[str, float] = {"usd": 5.0, "tokens": 250_000, "calls": 2_000}


async def _in_flight(connection: "psycopg.Connection[dict[str, Any]]", before: int) -> None:
    """Wait until some more calls have begun; not for ever, as there may be no room for so many."""
    for _ in range(100):
        if _calls(connection) >= before + 4:
            return
        await asyncio.sleep(0.05)


async def _stuck(connection: "psycopg.Connection[dict[str, Any]]") -> int:
    """Wait until no call begins any more: 1 where a cap is why."""
    before = -1
    while (now := _calls(connection)) != before:
        before = now
        await asyncio.sleep(1)
    row = connection.execute(TIGHT).fetchone()
    return int((row or {})["tight"] > 0)


async def _quiet(connection: "psycopg.Connection[dict[str, Any]]") -> None:
    """Until the server processes of the killed have ended their transactions."""
    busy = "SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() "
    busy += "AND state <> 'idle' AND pid <> pg_backend_pid()"
    while connection.execute(busy).fetchone() != {"n": 0}:
        await asyncio.sleep(0.05)


def _calls(connection: "psycopg.Connection[dict[str, Any]]") -> int:
    row = connection.execute("SELECT sum(calls) AS n FROM rounds").fetchone()
    return int((row or {})["n"])


@contextmanager
def _looking(url: str) -> Iterator[dict[str, int]]:
    """Look at every budget, as often as it goes, on a connection of its own; what was seen."""
    seen = {"looks": 0, "passed": 0}
    over = threading.Event()

    def look() -> None:
        with connect(url) as connection:
            while not over.wait(0.002):
                row = connection.execute(PASSED).fetchone()
                assert row is not None
                seen["looks"] += row["looks"]
                seen["passed"] += row["passed"]

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


async def _start(url: str, room: Classroom, share: Sequence[int]) -> asyncio.subprocess.Process:
    """A process with its share of the callers, each by its session, once it asks."""
    whose = ",".join(map(str, share))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.chaos.budgets", "--ask", url, room.round, whose),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"asking\n"
    return process


async def _ask(url: str, round_id: str, sessions: Sequence[int]) -> None:
    """One process: a caller for each of these sessions, until it is killed."""
    async with opened(url) as database:
        script = await get_script(database, round_id)
        with connect(url) as connection:
            rows = connection.execute("SELECT id, epoch FROM sessions ORDER BY id").fetchall()
        seed = Seed(id="s", prompt=user("?"))
        claims = [
            Claim(round=round_id, session=row["id"], epoch=row["epoch"], seed=seed) for row in rows
        ]
        room = Classroom(round_id, script, claims)
        async with seated(room, database) as seats:
            print("asking", flush=True)

            async def call(session: int) -> None:
                for index in itertools.count():
                    agent = AGENTS[(session + index) % len(AGENTS)]
                    granted = await seats[agent].grant(room.wish(agent, session, index))
                    if granted.said is None:
                        await asyncio.sleep(random.uniform(0.2, 0.6))  # until somebody raises it

            await asyncio.gather(*map(call, sessions))


PROMISE = Promise(
    "L4",
    "a budget is a wall: spent and reserved together never pass a cap",
    spend,
    {"callers": 16, "kills": 6, "processes": 2},
)

if __name__ == "__main__":
    if sys.argv[1:2] == ["--ask"]:
        _, _, where, whose, which = sys.argv
        asyncio.run(_ask(where, whose, [int(n) for n in which.split(",")]))
    sys.exit(main(PROMISE))
