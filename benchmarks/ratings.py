"""What ratings cost, how often their intervals are right, and that an independent fit agrees.

`python benchmarks/ratings.py` rates 100,000 battles among 50 players with 100 replicates, with and without
style; plays 200 small tournaments with planted strengths; compares with scikit-learn. `--store` also
reads as many verdicts back from an embedded PostgreSQL, with and without their answers.
"""

import argparse
import asyncio
import json
import os
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sqlalchemy import text

sys.path.insert(0, str(Path(__file__).parent.parent))

from aaa import bradley_terry
from aaa.battles import Battle, Ledger
from aaa.board import Method
from aaa.catalogue import open_catalogue
from aaa.ratings import rate
from aaa.settings import Settings
from aaa.store.battles import read_battles
from aaa.store.database import Database
from aaa.store.rounds import create_round
from tests.postgres import embedded_server
from tests.tournaments import tournament


def ledger_of(battles: int, players: int, seeds: int) -> Ledger:
    """Battles between random players on random seeds, a fifth of them ties, by a judge who likes length."""
    chance = np.random.default_rng(0)
    strength = chance.normal(0, 0.6, players)
    a = chance.integers(0, players, battles)
    b = (a + chance.integers(1, players, battles)) % players
    style = chance.uniform(-1, 1, (battles, 4))
    gap = strength[a] - strength[b] + style @ [0.5, 0.05, 0.05, 0.05]
    won = chance.random(battles) < 1 / (1 + np.exp(-gap))
    score = np.where(chance.random(battles) < 0.2, 0.5, won)
    seed = chance.integers(0, seeds, battles)
    columns = (a.tolist(), b.tolist(), score.tolist(), seed.tolist(), style.tolist())
    return Ledger(
        Battle(f"p{i}", f"p{j}", s, f"s{k}", (), tuple(x))
        for i, j, s, k, x in zip(*columns, strict=True)
    )


def speed(ledger: Ledger, replicates: int) -> dict[str, float]:
    """Seconds for a whole board, intervals and matchups included."""
    found = {}
    for style_control in (False, True):
        began = time.perf_counter()
        rate(ledger, Method(replicates=replicates, style_control=style_control))
        name = "with style control, s" if style_control else "without, s"
        found[name] = round(time.perf_counter() - began, 2)
    return found


def agreement(battles: int = 5000, players: int = 20) -> float:
    """The largest difference from scikit-learn's penalised logistic regression, in log-odds."""
    ledger = ledger_of(battles, players, 500)
    a, b, score = (np.array(column) for column in (ledger.a, ledger.b, ledger.score))
    style = np.array(ledger.style).reshape(battles, 4)
    played = bradley_terry.games(players, a, b, score, np.array(ledger.seed), style)
    design = np.zeros((battles, players + 4))
    design[np.arange(battles), a], design[np.arange(battles), b] = 1, -1
    design[:, players:] = style / np.sqrt((style**2).mean(axis=0))
    model = LogisticRegression(C=10, fit_intercept=False, solver="newton-cholesky", tol=1e-12)
    outcome, share = np.repeat([1, 0], battles), np.concatenate([score, 1 - score])
    model.fit(np.vstack([design, design]), outcome, sample_weight=share)
    return float(np.abs(bradley_terry.fit(played, 0.1).x - model.coef_[0]).max())


def coverage(tournaments: int, **shape: Any) -> float:
    """Share of 95 % intervals that hold the planted rating."""
    held = players = 0
    for n in range(tournaments):
        made = tournament(n, **shape)
        for r in rate(made.ledger, Method(replicates=100, anchor_value=0)).ratings:
            planted = made.points[r.player]
            held += (r.low is None or r.low <= planted) and (r.high is None or planted <= r.high)
            players += 1
    return round(held / players, 3)


FILL = """
INSERT INTO turns (session_id, index, seat, agent, purpose, messages, sampling, text, finish_reason,
                   model, latency_s, attempt)
SELECT s.id, n, 'student', (ARRAY['smollm2-135m', 'qwen2.5-coder-0.5b'])[n + 1], 'draft', '{}', '{}',
       repeat('- a **bold** claim\n', 50 + (s.id % 50)::int), 'stop', 'm', 0, 1
FROM sessions s, generate_series(0, 1) n;
INSERT INTO verdicts (session_id, index, after, edge, context, a, b, outcome, winner, judging,
                      related_judges, reason)
SELECT s.id, v, 2, 'peer', '{}', 0, 1, 'win', (ARRAY['a', 'b'])[1 + (s.id + v) % 2], 'logprob', false, ''
FROM sessions s, generate_series(1, :each) v;
ANALYZE
"""


async def reading(url: str, verdicts: int) -> list[dict[str, float]]:
    """Seconds and the most memory held, to read verdicts as battles; answers of about 1.4 KB."""
    database = Database(url)
    try:
        catalogue = open_catalogue(Settings())
        seeds = [{"id": f"s{n}", "prompt": "q"} for n in range(verdicts // 10)]
        scenario, folder = catalogue.scenario("quickstart", {"seeds": {"inline": seeds}})
        script, made = catalogue.prepare(scenario, folder)
        cards = dict.fromkeys(("smollm2-135m", "qwen2.5-coder-0.5b"), script.cards["smollm2-135m"])
        await create_round(database, script.model_copy(update={"cards": cards}), made)
        async with database.begin() as connection:
            for statement in FILL.split(";"):
                each = {"each": 10} if ":each" in statement else {}
                await connection.execute(text(statement), each)
        return [await _read(database, style) for style in (False, True)]
    finally:
        await database.close()


async def _read(database: Database, style: bool) -> dict[str, float]:
    began, busy = time.perf_counter(), time.process_time()
    ledger = await read_battles(database, style=style)
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    tracemalloc.start()
    await read_battles(database, style=style)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {
        "style": style,
        "battles": len(ledger),
        "s": round(seconds, 1),
        "cpu_s": round(busy, 1),
        "peak_mib": round(peak / 2**20, 1),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--battles", type=int, default=100_000)
    parser.add_argument("--players", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("--replicates", type=int, default=100)
    parser.add_argument("--tournaments", type=int, default=200)
    parser.add_argument("--store", action="store_true")
    given = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    figures: dict[str, Any] = {
        "rate": speed(ledger_of(given.battles, given.players, given.seeds), given.replicates),
        "difference from scikit-learn": agreement(),
        "coverage": {
            f"{seeds} seeds, {copies} copies of each battle": coverage(
                given.tournaments, seeds=seeds, copies=copies
            )
            for seeds, copies in ((10, 1), (20, 1), (30, 1), (60, 1), (60, 4), (200, 1))
        },
    }
    if given.store:
        with embedded_server() as url:
            figures["read from the store"] = asyncio.run(reading(url, given.battles))
    print(json.dumps(figures, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
