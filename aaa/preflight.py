"""What can be known to fail before a round starts: missing keys, missing weights, unknown prices."""

import os
from collections.abc import Iterable, Mapping

from aaa.catalogue import Script
from aaa.errors import AAAError, InputError, SetupError
from aaa.models import price_of
from aaa.models.weights import locate
from aaa.scenario import AgentCard
from aaa.settings import Settings


def check_prices(script: Script) -> None:
    """Refuse a budget in dollars over models of unknown price. Raises `InputError` naming them."""
    scenario = script.scenario
    capped = {name for seat in scenario.capped_in_usd for name in scenario.seats[seat]}
    check_priced(scenario.name, [card for name, card in script.cards.items() if name in capped])


def check_priced(scenario: str, cards: Iterable[AgentCard]) -> None:
    """The same for those that a scenario's budget in dollars is over."""
    unpriced = [card.name for card in cards if price_of(card) is None]
    if unpriced:
        raise InputError(
            f"scenario {scenario!r} has a budget in dollars, but the price of "
            f"{', '.join(map(repr, unpriced))} is unknown: set `price:` in the card, or no budget "
            "(budget_usd: null, no `usd` in seat_budgets)"
        )


def check_cluster(settings: Settings) -> None:
    """Refuse a cluster beyond this machine over the embedded database. Raises `SetupError`."""
    if settings.ray_address is None or settings.database_url is not None:
        return
    host = settings.ray_address.removeprefix("ray://").rsplit(":", 1)[0]
    if host not in ("127.0.0.1", "localhost", "auto", "[::1]"):
        raise SetupError(
            f"RAY_ADDRESS {settings.ray_address!r} is another machine, which cannot reach the embedded "
            "database of this one: set DATABASE_URL to a PostgreSQL server that all nodes reach"
        )


def check_reach(
    script: Script, settings: Settings, environ: Mapping[str, str] | None = None
) -> None:
    """Refuse agents whose key or weights are not on this machine. Raises `SetupError` for all of them."""
    env = os.environ if environ is None else environ
    problems = []
    for name, card in script.cards.items():
        if (variable := card.missing_key(env)) is not None:
            problems.append(f"agent {name!r} needs a key: set {variable}, or seat another agent")
        if card.is_local:
            try:
                locate(card.model, settings.models)
            except AAAError as error:
                problems.append(f"agent {name!r}: {error}")
    if problems:
        raise SetupError("\n".join(problems))
