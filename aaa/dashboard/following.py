"""A round's events from its first one, for whoever shows them; where to stop when it stands still."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from aaa.client import Client, Event, OnBack, OnDrop, Round, unheard


async def follow(
    client: Client,
    round: Round,
    *,
    on_drop: OnDrop = unheard,
    on_back: OnBack = unheard,
    stop_at_pause: bool = False,
) -> AsyncGenerator[Event, None]:
    """All events of a round until a terminal one.

    With `stop_at_pause` it also ends where the round stands still now: pauses that lie before the
    newest event at the time of asking are history. Raises what `Client.events` raises.
    """
    async with aclosing(client.events(round["id"], on_drop=on_drop, on_back=on_back)) as events:
        paused = False
        async for event in events:
            yield event
            if event.kind.startswith("round.") and event.kind != "round.retuned":
                paused = event.kind == "round.paused"
            if stop_at_pause and paused and event.id >= round["last_event"]:
                return
