"""L1: no hidden request. Whatever the provider does, it is asked exactly as often as attempts are on record.

Every fault of the stub, to the first attempts of each call, and a mixture of them at random, for each way
that a model is reached: our own adapter, and LiteLLM through its own HTTP client and through OpenAI's.
Counted at the provider and in the table, agent by agent.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from aaa.models.once import load
from aaa.provider.faults import FAULT_NAMES
from aaa.provider.server import serve
from aaa.store.database import Database
from tests.chaos.promise import Promise, main
from tests.chaos.rows import connect
from tests.chaos.seats import card, classroom, seated
from tests.chaos.stage import opened
from tests.postgres import embedded_server

ADAPTERS: Mapping[str, str] = {
    "direct": "openai",
    "litellm-http": "hosted_vllm",
    "litellm-openai": "litellm_proxy",
}
"""Way to reach a model -> provider's part of a model id that takes it, where the card has an `api_base`."""

FAULTS: Mapping[str, str] = {
    **{name: f"{name}=first:{{n}}" for name in FAULT_NAMES},
    "429-seconds": "429=first:{n},retry_after=1s",
    "429-date": "429=first:{n},retry_after=date:1s",
    "drip": "drip=first:{n},over=9s",
    "drip-in-time": "drip=first:{n},over=500ms",
}
"""Case -> its rule, where `{n}` is how many attempts of a call it strikes."""

IMPATIENT = {"hang": 3, "drip": 3}
"""Case -> seconds after which an attempt is given up; the drip takes longer."""
MIXED = (
    "500=0.08; 503=0.04,retry_after=1s; 429=0.08; drop=0.05; cut=0.05; truncated=0.05; empty=0.05; "
    "error_200=0.05; html=0.03; drip=0.02,over=500ms"
)


MADE = """
SELECT agent, count(*) AS n FROM attempts WHERE status <> 'abandoned' OR tokens > 0 GROUP BY agent
"""
"""One that was abandoned at no cost was not made: a 429 came while its intent was written."""


class Outcome(NamedTuple):
    """What both sides counted."""

    cases: int
    """Faults times adapters, the mixtures included."""
    calls: int
    requests: int
    """At the provider."""
    attempts: int
    """On record as made."""
    unequal: int
    """Agents of which the two are not the same number."""
    unmet: int
    """Cases that never met their fault: they prove nothing."""

    @property
    def holds(self) -> bool:
        return self.requests == self.attempts > 0 == self.unequal == self.unmet


def misbehave(calls: int = 4, strikes: int = 2, mixed: int = 200) -> Outcome:
    """`calls` of each case, the first `strikes` attempts of each struck; and `mixed` calls at random."""
    with embedded_server() as url:
        return asyncio.run(_misbehave(url, calls, strikes, mixed))


async def _misbehave(url: str, calls: int, strikes: int, mixed: int) -> Outcome:
    rules = [f"{rule.format(n=strikes)},model={case}-by-*" for case, rule in FAULTS.items()]
    rules += [f"{rule},model=mixed-by-*" for rule in MIXED.split("; ")]
    async with opened(url, pool=24) as database, serve(faults=";".join(rules)) as provider:
        counts = {**dict.fromkeys(FAULTS, calls), "mixed": mixed}
        asked = {
            f"{case}-by-{adapter}": count for case, count in counts.items() for adapter in ADAPTERS
        }
        await _ask_all(database, asked, provider.base_url)
        log = provider.log()
    with connect(url) as connection:
        found = connection.execute(MADE)
        attempts = {row["agent"]: row["n"] for row in found}
    requests = Counter(record.model for record in log)
    met = {record.model for record in log if record.fault is not None}
    return Outcome(
        cases=len(asked),
        calls=sum(asked.values()),
        requests=len(log),
        attempts=sum(attempts.values()),
        unequal=sum(requests[name] != attempts.get(name) for name in asked),
        unmet=len(asked.keys() - met),
    )


async def _ask_all(database: Database, asked: Mapping[str, int], base_url: str) -> None:
    """Ask every agent so many questions, all at once; what becomes of them is not looked at."""
    load()  # takes seconds, in which no clock should run out
    cards = [_card(name, base_url) for name in asked]
    room = await classroom(database, cards, 1)
    async with seated(room, database) as seats:
        await asyncio.gather(
            *(
                seats[name].grant(room.wish(name, 0, index))
                for place, (name, count) in enumerate(asked.items())
                for index in range(place * 10_000, place * 10_000 + count)
            )
        )


def _card(name: str, base_url: str) -> dict[str, Any]:
    """Patient, so that no attempt ends before its request has left; but not where nothing comes."""
    case, _, adapter = name.partition("-by-")
    limits = {"concurrency": 16, "timeout_s": IMPATIENT.get(case, 30), "attempts": 4}
    return card(name, f"{ADAPTERS[adapter]}/{name}", base_url, limits=limits)


PROMISE = Promise(
    "L1",
    "no hidden request: the provider is asked as often as attempts are on record",
    misbehave,
    {"calls": 1, "strikes": 1, "mixed": 20},
)

if __name__ == "__main__":
    sys.exit(main(PROMISE))
