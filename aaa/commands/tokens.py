"""`aaa tokens …`: who may come in, and as what."""

from typing import Any

from aaa.commands.opening import open_client, say, show, tell
from aaa.commands.table import print_rows
from aaa.settings import Settings

DAY_S = 86_400


async def create(settings: Settings, name: str, role: str, days: float | None) -> int:
    """Print a new token alone on stdout, this once; its id on stderr."""
    async with open_client(settings) as client:
        made = await client.create_token(name, role, None if days is None else days * DAY_S)
    tell(made["token"])
    until = "until it is revoked" if made["expires_at"] is None else f"until {made['expires_at']}"
    say(f"{made['id']}: {role}, good {until}. It is shown this once; only its hash is kept.")
    return 0


async def ls(settings: Settings, as_json: bool) -> int:
    """List tokens, newest first, without themselves."""
    async with open_client(settings) as client:
        items = await client.tokens()
    if as_json:
        show({"items": items})
        return 0
    columns = ("id", "name", "role", "created_at", "expires_at", "revoked_at")
    print_rows(columns, [_row(item) for item in items])
    return 0


def _row(item: dict[str, Any]) -> dict[str, Any]:
    times = {k: str(v or "")[:19].replace("T", " ") for k, v in item.items() if k.endswith("_at")}
    return item | times


async def revoke(settings: Settings, token_id: str) -> int:
    """Have a token let nobody in any more."""
    async with open_client(settings) as client:
        found = await client.revoke_token(token_id)
    say(f"{found['id']} ({found['name']}) lets nobody in any more.")
    return 0
