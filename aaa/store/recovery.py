"""Recovery of what dead processes left: attempts that nobody waits for, answers that lie on disk.

The supervisor does both again and again while it leads, so recovery needs no restart; a seat brings home what
lies on its machine before it asks anything.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select, update

from aaa.asking import Amount, Wish
from aaa.errors import StoreError
from aaa.failpoints import hit
from aaa.store.budget import Tab, settle
from aaa.store.database import Database
from aaa.store.journal import Journal
from aaa.store.tables import attempts, sessions

log = logging.getLogger(__name__)

ABANDONED: Mapping[Any, Any] = {
    "status": "abandoned",
    "finished_at": func.now(),
    "cost_usd": attempts.c.reserved_usd,
    "tokens": attempts.c.reserved_tokens,
}
"""An attempt of which nobody will hear: what it reserved counts as spent."""


async def sweep(database: Database, most: int = 500) -> int:
    """Close attempts that nobody waits for any more, so that what they reserved is not reserved for ever.

    How many there were. Their process is dead, or frozen; should an answer come after all, it counts then.
    """
    expired = (
        select(attempts.c.session_id, attempts.c.index, attempts.c.attempt)
        .where(attempts.c.status == "asking", attempts.c.expires_at < func.now())
        .limit(most)
        .with_for_update(skip_locked=True)
        .subquery()
    )
    async with database.begin() as connection:
        found = await connection.execute(
            update(attempts)
            .where(
                attempts.c.session_id == expired.c.session_id,
                attempts.c.index == expired.c.index,
                attempts.c.attempt == expired.c.attempt,
                sessions.c.id == attempts.c.session_id,
            )
            .values(ABANDONED)
            .returning(
                sessions.c.round_id,
                attempts.c.seat,
                attempts.c.reserved_usd,
                attempts.c.reserved_tokens,
            )
        )
        tabs: dict[str, Tab] = defaultdict(Tab)
        rows = found.all()
        for row in rows:
            amount = Amount(usd=float(row.reserved_usd), tokens=row.reserved_tokens)
            tabs[row.round_id].spend(row.seat, amount, freed=amount)
        hit("sweep.inside")
        for round_id in sorted(tabs):
            await settle(connection, round_id, tabs[round_id])
        return len(rows)


async def bring_home(journal: Journal) -> int:
    """Record the answers that the spool holds; how many. What belongs to another database stays.

    Raises `StoreError` while the database is away.
    """
    if journal.spool is None:
        return 0
    count = 0
    for name, kept in await asyncio.to_thread(lambda s: list(s.kept()), journal.spool):
        if not await _is_ours(journal.database, kept.wish):
            log.error("spool: %s is of a round that this database does not know; it stays", name)
            continue
        try:
            await journal.write(kept.wish, kept.attempt, kept.turn)
        except StoreError:
            raise
        except Exception:  # else one keeps all others, and the seat, from the record
            log.exception("spool: %s cannot be recorded; it stays", name)
            continue
        hit("spool.replayed")
        await asyncio.to_thread(journal.spool.drop, name)
        count += 1
    return count


async def _is_ours(database: Database, wish: Wish) -> bool:
    async with database.begin() as connection:
        found = await connection.scalar(
            select(sessions.c.round_id).where(sessions.c.id == wish.session)
        )
    return bool(found == wish.round)
