"""Seats in this process: the real asking, gate and journal before a provider, without Ray."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from aaa.asking import Wish
from aaa.catalogue import Catalogue, Script
from aaa.cluster.seat import Seat
from aaa.settings import Settings
from aaa.store.database import Database
from aaa.store.leases import Claim, claim_sessions
from aaa.store.rounds import create_round
from aaa.types import Call, Message

KEY = "AAA_CHAOS_KEY"
os.environ.setdefault(KEY, "none-needed")


class Classroom(NamedTuple):
    """A round whose sessions are all claimed by this test."""

    round: str
    script: Script
    claims: Sequence[Claim]

    def wish(self, agent: str, session: int, index: int) -> Wish:
        """What that agent is asked there: the same each time, another at each place."""
        claim = self.claims[session]
        seat = next(s for s, names in self.script.scenario.seats.items() if agent in names)
        call = Call(
            seat=seat,
            agent=agent,
            purpose="draft",
            messages=(Message(role="user", content=f"{agent}: question {session}, {index}?"),),
        )
        return Wish(
            round=self.round,
            session=claim.session,
            epoch=claim.epoch,
            index=index,
            call=call,
            sampling_seed=index,
        )


def card(name: str, model: str, base_url: str, **more: Any) -> dict[str, Any]:
    """An agent of a family of its own."""
    return {
        "name": name,
        "model": model,
        "api_base": base_url,
        "api_key_env": KEY,
        "family": name,
        "sampling": {"max_tokens": 64},
        **more,
    }


async def classroom(
    database: Database,
    cards: Sequence[Mapping[str, Any]],
    sessions: int,
    **scenario: Any,
) -> Classroom:
    """A round with `sessions` sessions: the first card teaches, the second judges, the others learn."""
    names = [str(one["name"]) for one in cards]
    with tempfile.TemporaryDirectory() as place:
        agents, scenarios = Path(place, "agents"), Path(place, "scenarios")
        agents.mkdir()
        scenarios.mkdir()
        for one in cards:
            (agents / f"{one['name']}.yaml").write_text(yaml.safe_dump(dict(one)))
        seeds = [{"id": f"s{n}", "prompt": f"Question {n}?"} for n in range(sessions)]
        whole = {
            "name": "chaos",
            "seats": {"student": names[2:], "teacher": names[:1], "judge": names[1:2]},
            "seeds": {"inline": seeds},
            "concurrency": sessions,
            **scenario,
        }
        (scenarios / "chaos.yaml").write_text(yaml.safe_dump(whole))
        catalogue = Catalogue((agents,), (scenarios,))
        script, found = catalogue.prepare(*catalogue.scenario("chaos"))
    made = await create_round(database, script, found)
    claims = await claim_sessions(database, "chaos", sessions)
    assert len(claims) == sessions
    return Classroom(made.id, script, claims)


@asynccontextmanager
async def seated(room: Classroom, database: Database) -> AsyncIterator[dict[str, Seat]]:
    """A seat for each agent of the round, as a seat's process opens it, but on one pool of connections."""
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home))
        seats = {n: Seat(one, settings, database.url) for n, one in room.script.cards.items()}
        for seat in seats.values():
            seat.database = seat.journal.database = database
        try:
            yield seats
        finally:
            for seat in seats.values():
                await seat.close()
            while database.engine.pool.checkedout():  # type: ignore[attr-defined]
                await asyncio.sleep(0.01)
            looking = [seat._looking for seat in seats.values() if seat._looking is not None]
            for task in looking:
                task.cancel()
            await asyncio.gather(*looking, return_exceptions=True)
            for seat in seats.values():
                if (
                    seat._opening is not None
                ):  # its process would end, and take its connections along
                    await getattr(seat._opening.result(), "model").close()  # noqa: B009
