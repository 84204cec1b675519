"""What an export costs: rows a second and resident memory, from a database that holds a million pairs.

`python benchmarks/export.py --pairs 1000000` fills a throw-away PostgreSQL by SQL (sessions of four pairs,
each with its critique and the two ballots of a judge), then exports it, each time in a process of its own:
over the command, over REST. Memory is the process's that exports, with all its libraries; PostgreSQL's is
beside it. Last, how soon the control plane answers those who watch, from a database of that size.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import psutil
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).parent.parent))

from aaa.catalogue import Catalogue
from aaa.store.database import Database
from aaa.store.rounds import create_round
from aaa.store.whence import places_of
from tests.catalogues import small_catalogue
from tests.postgres import embedded_server

EACH = 4
"""Pairs of a session."""
WORDS = (
    "the sky is blue since air scatters short waves more than long ones and **light** is a wave "
)

FILL = (
    """
    INSERT INTO messages SELECT sha256(convert_to('q' || n, 'UTF8')), 'user',
        'Question ' || n || ': why is the sky blue at noon and red at dusk? '
    FROM generate_series(1, :sessions) n
    """,
    """
    INSERT INTO sessions (round_id, position, seed_id, seed, status, started_at, finished_at)
    SELECT :round, n, 'seed-' || lpad(n::text, 8, '0'),
        jsonb_build_object('id', 'seed-' || lpad(n::text, 8, '0'),
            'tags', jsonb_build_array('topic:' || n % 7), 'reference', null, 'parent', null,
            'prompt', jsonb_build_array(jsonb_build_object('role', 'user',
            'content', 'Question ' || n || ': why is the sky blue at noon and red at dusk? '))),
        'completed', now(), now()
    FROM generate_series(1, :sessions) n
    """,
    """
    INSERT INTO turns (session_id, index, seat, agent, purpose, messages, sampling, text,
        finish_reason, model, prompt_tokens, completion_tokens, cost_usd, latency_s, attempt)
    SELECT s.id, i, CASE WHEN i % 4 = 0 THEN 'student' WHEN i % 4 = 1 THEN 'teacher' ELSE 'judge' END,
        CASE WHEN i % 4 = 0 THEN 'pupil' WHEN i % 4 = 1 THEN 'teacher' ELSE 'judge' END,
        CASE WHEN i = 0 THEN 'draft' WHEN i % 4 = 0 THEN 'revision'
            WHEN i % 4 = 1 THEN 'critique' ELSE 'ballot' END,
        ARRAY[sha256(convert_to('q' || s.position, 'UTF8'))], '{}',
        CASE WHEN i % 4 IN (0, 1)
            THEN s.position || ' ' || i || ' ' || repeat(:words, 3 + (s.position * 7 + i) % 5)
            ELSE '{"explanation": "the one names the cause", "better": "K"}' END,
        'stop', 'stub-1', 100, 80, 0.0001, 0.5, 1
    FROM sessions s, generate_series(0, 4 * :each) i WHERE s.round_id = :round
    """,
    """
    INSERT INTO verdicts (session_id, index, after, edge, context, a, b, outcome, winner, margin, judging,
        related_judges, reason, pair_id)
    SELECT s.id, k, 4 * k + 5, 'revision', ARRAY[sha256(convert_to('q' || s.position, 'UTF8'))],
        4 * k, 4 * k + 4, 'win', CASE WHEN (s.position + k) % 3 = 0 THEN 'a' ELSE 'b' END,
        1 + (s.position + k) % 4, 'pairwise',
        false, '', 'p' || substr(encode(sha256(convert_to(s.position || ':' || k, 'UTF8')), 'hex'), 1, 23)
    FROM sessions s, generate_series(0, :each - 1) k WHERE s.round_id = :round
    """,
    """
    INSERT INTO ballots (session_id, verdict, number, judge, "order", turn, prefers, scores, explanation)
    SELECT v.session_id, v.index, n, 'judge', CASE WHEN n = 0 THEN 'ab' ELSE 'ba' END, 4 * v.index + 2 + n,
        v.winner, NULL, 'the one names the cause'
    FROM verdicts v, generate_series(0, 1) n
    """,
    "UPDATE rounds SET status = 'completed', pairs = :pairs, verdicts_win = :pairs",
)


async def fill(url: str, catalogue: Catalogue, pairs: int) -> str:
    """A round of that many pairs; its id."""
    database = Database(url)
    scenario, folder = catalogue.scenario("small", {"seeds.limit": 1})
    made = await create_round(database, *catalogue.prepare(scenario, folder))
    given = {
        "round": made.id,
        "pairs": pairs,
        "sessions": pairs // EACH,
        "each": EACH,
        "words": WORDS,
    }
    async with database.begin() as connection:
        await connection.execute(text("DELETE FROM sessions"))
        for statement in FILL:
            known = {k: v for k, v in given.items() if f":{k}" in statement}
            await connection.execute(text(statement), known)
    async with database.engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(
            text("ANALYZE")
        )
    await database.close()
    return made.id


async def looked(url: str) -> dict[str, Any]:
    """How long it takes to find that no session gave a row: every seed id is looked at."""
    database = Database(url)
    began = time.perf_counter()
    places = await places_of(database, "0" * 8, "none")
    elapsed_s = time.perf_counter() - began
    await database.close()
    return {"places": len(places), "elapsed_s": round(elapsed_s, 2)}


def measured(home: Path, url: str, command: list[str], pairs: int) -> dict[str, Any]:
    """Run it; what it took, and what it held at most."""
    code = (
        "import resource, sys, time; from aaa.cli import main\n"
        "try: main()\n"
        "finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, "
        "time.process_time(), file=sys.stderr)"
    )
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        env=os.environ | {"AAA_HOME": str(home), "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    elapsed_s = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(done.stderr)
    peak, cpu_s = done.stderr.split()[-2:]
    return {
        "rows_per_s": round(pairs / elapsed_s),
        "elapsed_s": round(elapsed_s, 1),
        "cpu_s": round(float(cpu_s), 1),
        "peak_mib": round(int(peak) / 1024, 1),
    }


@contextmanager
def control_plane(home: Path, url: str) -> Iterator[tuple[httpx.Client, psutil.Process]]:
    """A server of its own over that database, as it answers: (client, its process)."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "from aaa.cli import main; main()"
    server = subprocess.Popen(
        [sys.executable, "-c", code, "serve", "--no-supervisor", "--port", str(port)],
        env=os.environ | {"AAA_HOME": str(home), "DATABASE_URL": url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        base = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=base, timeout=60, trust_env=False) as client:
            for _ in range(300):
                try:
                    client.get("/livez")
                    break
                except httpx.TransportError:
                    time.sleep(0.1)
            yield client, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait()


def streamed(
    client: httpx.Client, server: psutil.Process, round_id: str, pairs: int
) -> dict[str, Any]:
    """The same pairs as a stream: how fast, and what the server held before, after a tenth, and at most."""

    def held() -> float:
        return round(server.memory_info().rss / 2**20, 1)

    before, tenth, peak, rows, began = held(), 0.0, 0.0, 0, time.perf_counter()
    with client.stream("GET", f"/v1/rounds/{round_id}/pairs") as response:
        for number, part in enumerate(response.iter_raw(1 << 20)):
            rows += part.count(b"\n")
            if number % 8 == 0:
                peak = max(peak, held())
                tenth = peak if rows < pairs / 10 else tenth
    assert rows == pairs, (rows, pairs)
    return {
        "rows_per_s": round(rows / (time.perf_counter() - began)),
        "before_mib": before,
        "after_a_tenth_mib": tenth,
        "peak_mib": peak,
    }


def answered(client: httpx.Client, round_id: str, times: int = 200) -> dict[str, Any]:
    """Path -> median and 95th percentile of the milliseconds until it was answered, one at a time."""
    sessions = client.get(f"/v1/rounds/{round_id}/sessions?limit=100").json()
    last = sessions["items"][-1]["id"]
    found = {}
    for path in (
        "/v1/rounds",
        f"/v1/rounds/{round_id}",
        f"/v1/rounds/{round_id}/sessions?limit=100",
        f"/v1/rounds/{round_id}/sessions?limit=100&cursor={sessions['next']}",
        f"/v1/sessions/{last}",
        "/metrics",
    ):
        took = []
        for _ in range(times):
            began = time.perf_counter()
            client.get(path).raise_for_status()
            took.append(1000 * (time.perf_counter() - began))
        found[path] = [round(n, 1) for n in (median(took), quantiles(took, n=20)[-1])]
    return found


def main() -> None:
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--pairs", type=int, default=1_000_000)
    reader.add_argument("--formats", nargs="+", default=["trl-dpo", "canonical"])
    reader.add_argument("--kinds", nargs="+", choices=["jsonl", "parquet"], default=["jsonl"])
    reader.add_argument("--no-rest", action="store_true")
    asked = reader.parse_args()
    with tempfile.TemporaryDirectory() as folder, embedded_server() as url:
        home = Path(folder)
        began = time.perf_counter()
        round_id = asyncio.run(fill(url, small_catalogue(home / "catalogue"), asked.pairs))
        found: dict[str, Any] = {"pairs": asked.pairs, "fill_s": round(time.perf_counter() - began)}
        for format, kind in product(asked.formats, asked.kinds):
            out = home / f"{format}.{kind}"
            command = ["export", round_id, "--format", format, "-o", str(out)]
            told = found[out.name] = measured(home / "home", url, command, asked.pairs)
            told["mib"] = round(out.stat().st_size / 2**20)
            out.unlink()
        found["explain of no row"] = asyncio.run(looked(url))
        if not asked.no_rest:
            with control_plane(home / "home", url) as (client, server):
                found["rest, trl-dpo"] = streamed(client, server, round_id, asked.pairs)
                found["answered in ms (median, 95 %)"] = answered(client, round_id)
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
