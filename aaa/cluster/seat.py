"""A seat: the one process that talks to a model, and therefore the one that records what it said."""

import os
import socket
from typing import Any

from aaa.asking import Ask, LeaseLost, RoundStopped, Wish, asker
from aaa.errors import AAAError, ModelError, StoreError
from aaa.models import Model, open_model, price_of
from aaa.scenario import AgentCard
from aaa.settings import Settings
from aaa.store.database import Database
from aaa.store.journal import Journal
from aaa.types import Failure, Turn, Value


class Granted(Value):
    """What became of a wish; exactly one is set. Values cross processes, exceptions do not."""

    turn: Turn | None = None
    failure: Failure | None = None
    """The model brought no answer in all its attempts; the session ends with this."""
    stopped: str | None = None
    """The round does not run: why."""
    lost: bool = False
    """The session has another owner now."""


class Seat:
    """A Ray actor around one agent card."""

    def __init__(self, card: AgentCard, settings: Settings, database_url: str) -> None:
        self.card = card
        self.settings = settings
        self.database = Database(database_url, pool=6)
        self._model: Model | None = None
        self._ask: Ask | None = None

    async def open(self) -> dict[str, Any]:
        """Load the model; what and where this seat is. Raises `SetupError`, `ModelError`."""
        if self._model is None:
            self._model = open_model(self.card, self.settings)
            self._ask = asker(self.card, self._model, Journal(self.database), price_of(self.card))
        return {"agent": self.card.name, "host": socket.gethostname(), "pid": os.getpid()}

    async def ask(self, wish: Wish) -> Granted:
        """Grant a wish. Never raises what the caller must understand."""
        try:
            await self.open()
            assert self._ask is not None
            return Granted(turn=await self._ask(wish))
        except ModelError as error:
            return Granted(failure=Failure(kind=error.kind, message=str(error)))
        except RoundStopped as stopped:
            return Granted(stopped=str(stopped))
        except LeaseLost:
            return Granted(lost=True)
        except StoreError:  # nothing was asked that is not on record: give the session back
            return Granted(stopped="database_away")
        except AAAError as error:  # missing weights, no key: the model cannot be reached from here
            return Granted(failure=Failure(kind="unreachable", message=str(error)))
