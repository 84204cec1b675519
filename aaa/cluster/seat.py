"""A seat: the one process that talks to a model, and therefore the one that records what it said."""

import asyncio
import logging
import time

from aaa.asking import Ask, Asker, LeaseLost, Wish
from aaa.cluster.line import Granted, Said, SeatEnd
from aaa.cluster.plan import seat_name
from aaa.collecting import collect_seldom
from aaa.errors import AAAError, ModelError, StoreError
from aaa.gate import LONG_S, Gate, Held, RoundStopped
from aaa.logs import set_up_actor
from aaa.models import open_model, price_of, warm
from aaa.pace import Pace
from aaa.scenario import AgentCard
from aaa.settings import Settings
from aaa.store.database import Database, patiently
from aaa.store.gates import held_s, tell
from aaa.store.journal import Journal
from aaa.store.recovery import bring_home
from aaa.store.spool import Spool
from aaa.store.steering import wanted_of
from aaa.tracing import flush
from aaa.types import Failure

log = logging.getLogger(__name__)

LOOK_S = 0.5
"""How often a seat looks what is wanted of the rounds it serves."""
TELL_S = 5.0
"""A gate whose standing does not change is told about so often."""


class Seat:
    """A Ray actor around one agent card."""

    def __init__(self, card: AgentCard, settings: Settings, database_url: str) -> None:
        set_up_actor(settings, f"seat {card.name}")
        self.card = card
        self.name = seat_name(card)
        self.settings = settings
        self.database = Database(database_url, pool=6)
        self.journal = Journal(self.database, Spool(settings.home), self.name)
        self.gate = Gate(Pace(card.limits))
        self.line = SeatEnd(self.grant)
        self._opening: asyncio.Task[Ask] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._closed = asyncio.Event()

    async def run(self) -> None:
        """Load the model and stay until closed. Raises `SetupError`, `ModelError`."""
        await self._asker()
        await self._closed.wait()

    async def ask(self, caller: str, wishes: bytes, got: int, everything: bool) -> None:
        """As `SeatEnd.ask`: take wishes of a runner, which fetches the answers."""
        self.line.ask(caller, wishes, got, all_of_them=everything)

    async def fetch(self, caller: str, got: int) -> bytes | None:
        """As `SeatEnd.fetch`."""
        return await self.line.fetch(caller, got)

    async def grant(self, wish: Wish) -> Granted:
        """Grant a wish. Never raises what the caller must understand."""
        try:
            ask = await self._asker(wish)
            return Granted(said=Said.of(await ask(wish)))
        except ModelError as error:
            return Granted(failure=Failure(kind=error.kind, message=str(error)))
        except RoundStopped as stopped:
            return Granted(stopped=str(stopped))
        except Held as held:
            return Granted(held=(held.reason, str(held)))
        except LeaseLost:
            return Granted(lost=True)
        except StoreError:
            return Granted(away=True)
        except AAAError as error:  # missing weights, no key: the model cannot be reached from here
            return Granted(held=("not_ready", str(error)))

    async def close(self) -> None:
        """Begin no further call: who waits is sent away, what is in flight comes home."""
        self.gate.close("stopping")
        self._closed.set()
        await flush()

    async def _asker(self, wish: Wish | None = None) -> Ask:
        """It, once the model is loaded; a wish that waits long for that is told of."""
        if self._opening is None or (self._opening.done() and self._opening.exception()):
            self._opening = asyncio.create_task(self._open())
        if wish is not None and not self._opening.done():
            opened, _ = await asyncio.wait({self._opening}, timeout=LONG_S)
            if not opened:
                await self.journal.waits(wish, "starting", None)
        return await asyncio.shield(self._opening)

    async def _open(self) -> Ask:
        """First what an earlier process left: answers on disk, and how long the provider asked to wait."""
        model = open_model(self.card, self.settings)
        await warm(self.card)
        collect_seldom()
        await patiently(lambda: bring_home(self.journal), for_s=20)
        held = await patiently(lambda: held_s(self.database, self.name), for_s=20)
        self.gate.pace.hold_until = time.monotonic() + held
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        return Asker(self.card, model, self.journal, price_of(self.card), self.gate)

    async def _look(self) -> None:
        """Obey what is wanted of the rounds served here, and tell how the gate stands."""
        told: object = None
        told_at = -TELL_S
        while True:
            try:
                for round_id, wanted in (await wanted_of(self.database, self.gate.rounds)).items():
                    if wanted.status != "running":
                        self.gate.stop(round_id, wanted.status, halt=wanted.halt)
                now = time.monotonic()
                standing = self.gate.standing()
                if standing[:4] != told or now - told_at >= TELL_S:
                    await tell(self.database, self.name, self.card.name, standing)
                    told, told_at = standing[:4], now
            except StoreError:
                log.warning("seat %s: the database is away", self.name)
            except Exception:
                log.exception("seat %s: a look failed", self.name)
            await asyncio.sleep(LOOK_S)
