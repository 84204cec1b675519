"""L2: limits are obeyed, and used.

Several models of one stub, each with a limit of its own, asked by more callers than it allows: one whose
card knows the limit, one that has to find it, one counted in tokens, some that ask to come back later, and
one that refuses everybody for a while. Rates are counted from the provider's log, over the second half of
the time.
"""

import asyncio
import itertools
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from aaa.cluster.seat import Seat
from aaa.provider.ledger import Record
from aaa.provider.server import Provider, serve
from aaa.store.database import Database
from tests.chaos.promise import Promise, main, tell
from tests.chaos.rows import connect
from tests.chaos.seats import Classroom, card, classroom, seated
from tests.chaos.stage import opened
from tests.postgres import embedded_server

RPM, TPM, SLOTS, LATENCY_S = 240, 12_000, 4, 1.0
ASKED_S = 3.0
"""Retry-After of the models that ask for it."""
UNDER_WAY_S = 0.5
"""A request that arrives so soon after a refusal had left before the refusal came."""
FAULTS = (
    f"rpm={RPM},model=known",
    f"concurrency={SLOTS},model=found; latency={LATENCY_S * 1000:.0f}ms,model=found",
    f"429=0.05,retry_after={ASKED_S:g}s,model=seconds",
    f"429=0.05,retry_after=date:{ASKED_S:g}s,model=date",
    "429=1,between=0s..{storm}s,retry_after=1s,model=storm",
    "latency=500ms",
)
LIMITS: dict[str, dict[str, Any]] = {
    "known": {"rpm": RPM, "concurrency": 64},
    "found": {"concurrency": 64},
    "tokens": {"tpm": TPM, "concurrency": 64},
    "seconds": {"concurrency": 4},
    "date": {"concurrency": 4},
    "storm": {"concurrency": 4},
}
"""Agent, and model of the stub -> limits on its card."""


class Outcome(NamedTuple):
    """What the provider's log shows."""

    known_used: float
    """Share of the requests a minute that were allowed, where the card says how many."""
    found_used: float
    """Share of the provider's slots that were full, where the card allows many more."""
    tokens_used: float
    """Share of the tokens a minute of the card."""
    refused: float
    """Share of 429s among the requests to the first two."""
    asked: int
    """Refusals with a Retry-After."""
    early: int
    """Requests that came before they were asked to."""
    storm_refused: int
    after_storm_s: float
    """From the end of a time of nothing but 429s to the next answer."""
    failed: int
    """Calls that ended in anything but an answer."""
    wanted: float
    """Share of a limit that is to be used."""
    tolerated: float
    """Share of refusals that is not too much."""

    @property
    def holds(self) -> bool:
        used = (self.known_used, self.found_used, self.tokens_used)
        return (
            all(self.wanted <= share <= 1.03 for share in used)
            and self.refused <= self.tolerated
            and self.asked > 0 < self.storm_refused
            and self.early == self.failed == 0
            and self.after_storm_s <= 3.0
        )


def obey(
    for_s: float = 120.0, callers: int = 32, wanted: float = 0.95, tolerated: float = 0.01
) -> Outcome:
    """Each model is asked by so many `callers` at once, for so long.

    `wanted`: share of a limit that is to be used; a machine that does much else besides reaches less.
    `tolerated`: share of refusals; a short time is all learning.
    """
    with embedded_server() as url:
        return asyncio.run(_obey(url, for_s, callers, wanted, tolerated))


async def _obey(url: str, for_s: float, callers: int, wanted: float, tolerated: float) -> Outcome:
    storm_s = round(for_s / 3)
    faults = "; ".join(FAULTS).format(storm=storm_s)
    async with opened(url, pool=48) as database, serve(faults=faults) as provider:
        born = time.monotonic()
        rooms = [await _room(database, name, provider) for name in LIMITS]
        began = time.monotonic()
        scenes = [
            _scene(database, name, room, for_s, callers)
            for name, room in zip(LIMITS, rooms, strict=True)
        ]
        failed = sum(await asyncio.gather(*scenes))
        log = provider.log()
    half = began + for_s / 2
    late = [r for r in log if half <= r.t < began + for_s]
    of = _by_model(late)
    every = _by_model(log)
    refused = [r for r in (*of("known"), *of("found")) if r.status == 429]
    return Outcome(
        known_used=_share(len(_answered(of("known"))), RPM * for_s / 120),
        found_used=_share(len(_answered(of("found"))), SLOTS / LATENCY_S * for_s / 2),
        tokens_used=_share(_tokens(url, for_s / 2), TPM * for_s / 120),
        refused=_share(len(refused), len(of("known")) + len(of("found"))),
        asked=sum(r.status == 429 for r in (*every("seconds"), *every("date"))),
        early=_early(every("seconds")) + _early(every("date")),
        storm_refused=sum(r.status == 429 for r in every("storm")),
        after_storm_s=round(
            min((r.t for r in _answered(every("storm"))), default=1e9) - born - storm_s, 2
        ),
        failed=failed,
        wanted=wanted,
        tolerated=tolerated,
    )


async def _room(database: Database, name: str, provider: Provider) -> Classroom:
    """A round of its own for each model: its rows are as busy as this model alone makes them."""
    cards = [
        card(who, f"openai/{who}", provider.base_url, limits=LIMITS.get(who, {}))
        for who in ("tutor", "referee", name)
    ]
    return await classroom(database, cards, 1)


async def _scene(database: Database, name: str, room: Classroom, for_s: float, callers: int) -> int:
    """Ask one model for so long, as fast as it lets us; calls that did not end with an answer."""
    async with seated(room, database) as seats:
        numbers = itertools.count()
        asking = [
            asyncio.create_task(_ask(seats[name], room, name, numbers)) for _ in range(callers)
        ]
        await asyncio.sleep(for_s)
        await seats[name].close()
        return sum(await asyncio.gather(*asking))


async def _ask(seat: Seat, room: Classroom, name: str, numbers: Iterable[int]) -> int:
    """One caller, until the seat is closed; calls that did not end with an answer."""
    failed = 0
    for number in numbers:
        granted = await seat.grant(room.wish(name, 0, number))
        if granted.stopped == "stopping":
            break
        if granted.said is None:
            tell(f"L2: {name}: {granted}")
            failed += 1
    return failed


def _by_model(log: Sequence[Record]) -> Callable[[str], list[Record]]:
    return lambda model: [record for record in log if record.model == model]


def _answered(log: Sequence[Record]) -> list[Record]:
    return [record for record in log if record.status == 200]


def _early(log: Sequence[Record]) -> int:
    """Requests of one model that came while a refusal asked to wait."""
    asked = [r.t for r in log if r.status == 429]
    return sum(any(t + UNDER_WAY_S < r.t < t + ASKED_S for t in asked) for r in log)


def _tokens(url: str, for_s: float) -> int:
    """Tokens of the answers that came in the last so many seconds."""
    with connect(url) as connection:
        row = connection.execute(
            "SELECT sum(prompt_tokens + completion_tokens) AS n FROM turns WHERE agent = 'tokens' "
            "AND at > (SELECT max(at) FROM turns) - make_interval(secs => %s)",
            (for_s,),
        ).fetchone()
    return int((row or {}).get("n") or 0)


def _share(part: float, whole: float) -> float:
    return round(part / whole, 4) if whole else 0.0


PROMISE = Promise(
    "L2",
    "limits are obeyed and used: nothing before Retry-After, 95 % of what is allowed, no stall",
    obey,
    {"for_s": 18.0, "callers": 16, "wanted": 0.25, "tolerated": 0.2},
)

if __name__ == "__main__":
    sys.exit(main(PROMISE))
