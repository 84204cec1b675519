"""`aaa rounds …`: start, list, show and steer rounds, over the API."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from aaa.client import Client, Round
from aaa.commands.opening import open_client, say, show
from aaa.commands.table import print_rows
from aaa.errors import InputError
from aaa.scenario import Scenario, with_lines
from aaa.seeds import load_seeds
from aaa.settings import Settings
from aaa.states import GOING, LIVE
from aaa.yaml_files import override, parse, parse_setting, read_yaml

CHANGEABLE = {
    "concurrency": "concurrency",
    "budget_usd": "budget_usd",
    "budget_tokens": "budget_tokens",
    "budget_calls": "budget_calls",
    "seat_budgets": "seat_budgets.SEAT.usd (or .tokens, .calls)",
}
"""What of a live round can be changed, and how it is written."""

NOBODY = (
    "Nobody drives the rounds that go on: no runner was heard of for 15 s. "
    "`aaa serve` plays them, or `aaa run SCENARIO --resume ROUND`."
)


async def start(
    settings: Settings, scenario: str, overrides: dict[str, Any], budget_usd: float | None
) -> int:
    """Start a round and print it. A YAML file travels whole, its seeds with it."""
    async with open_client(settings) as client:
        body = inline(Path(scenario), overrides) if is_file(scenario) else scenario
        made = await client.start_round(
            body, overrides={} if is_file(scenario) else overrides, budget_usd=budget_usd
        )
        show(made)
        if settings.url is None:
            say("The round is stored. `aaa serve` or `aaa run … --resume` plays it.")
    return 0


def is_file(scenario: str) -> bool:
    """Whether a SCENARIO argument is a path rather than a name."""
    return scenario.endswith((".yaml", ".yml")) or "/" in scenario


def inline(path: Path, overrides: dict[str, Any]) -> dict[str, Any]:
    """A scenario file as an object that needs no file: its seeds and lines inside it. Raises `InputError`."""
    scenario = parse(Scenario, override(read_yaml(path), overrides), str(path))
    scenario = with_lines(scenario, path.parent)
    seeds = load_seeds(scenario.seeds, path.parent)
    plain = scenario.model_dump(mode="json")
    plain["seeds"] = {"inline": [seed.model_dump(mode="json") for seed in seeds]}
    return plain


async def ls(settings: Settings, as_json: bool, limit: int) -> int:
    """List rounds, newest first."""
    async with open_client(settings) as client:
        items = await client.rounds(limit)
        idle = any(one["status"] in GOING for one in items) and not await client.ready()
    if as_json:
        show({"items": items})
        return 0
    rows = [_row(dict(item)) for item in items]
    print_rows(
        (
            "id",
            "scenario",
            "status",
            "sessions",
            "turns",
            "pairs",
            "spent",
            "created",
        ),
        rows,
    )
    if not rows:
        say("No rounds yet; `aaa run quickstart` starts one.")
    if idle:
        say(NOBODY)
    return 0


def _row(item: dict[str, Any]) -> dict[str, Any]:
    sessions = item["sessions"]
    return item | {
        "sessions": f"{sessions['completed']}/{sessions['total']}",
        "spent": f"${item['spent_usd']:.4f}",
        "created": str(item["created_at"])[:19].replace("T", " "),
    }


async def show_round(settings: Settings, round_id: str, as_json: bool) -> int:
    """One round with its sessions."""
    async with open_client(settings) as client:
        item = dict(await client.round(round_id))
        sessions = await client.sessions(round_id, limit=None if as_json else 40)
        gates = await client.gates(round_id)
    if as_json:
        show(item | {"session_list": sessions, "gates": gates})
        return 0
    for key, value in item.items():
        say(f"{key:18} {value}") if value not in (None, "") else None
    print_rows(
        (
            "id",
            "seed",
            "status",
            "turns",
            "verdicts",
            "message",
        ),
        [dict(s) for s in sessions],
    )
    if gates:
        say()
        columns = ("agent", "state", "in_flight", "concurrency", "waiting", "opens_at", "why")
        print_rows(columns, gates)
    return 0


async def move(
    settings: Settings, round_id: str, verb: Literal["pause", "pause now", "resume", "cancel"]
) -> int:
    """Pause, resume or cancel; prints the round."""
    async with open_client(settings) as client:
        moves: dict[str, Callable[[str], Awaitable[Round]]] = {
            "pause": client.pause,
            "pause now": partial(client.pause, now=True),
            "resume": client.resume,
            "cancel": client.cancel,
        }
        show(await moves[verb](round_id))
    if verb == "resume" and settings.url is None:
        say(
            f"It is marked to go on. `aaa run SCENARIO --resume {round_id}` or `aaa serve` plays it."
        )
    return 0


async def retune(settings: Settings, round_id: str, assignments: Sequence[str]) -> int:
    """`key=value …`: change a live round's limits. Raises `InputError` naming what can be changed."""
    changes = changes_of(assignments, CHANGEABLE)
    async with open_client(settings) as client:
        show(await client.retune(round_id, changes))
    return 0


def changes_of(assignments: Sequence[str], changeable: Mapping[str, str]) -> dict[str, Any]:
    """`key=value …` as what to change; `changeable`: key -> how it is written. Raises `InputError`."""
    changes = override({}, dict(parse_setting(text) for text in assignments))
    for key in changes:
        if key not in changeable:
            known = ", ".join(changeable.values())
            raise InputError(f"{key!r} cannot be changed; what can: {known}")
    return changes


async def tell_going(client: Client, own: str) -> None:
    """Name the rounds and courses beside `own` that run: a command's own supervisor plays them, too."""
    courses = [one for one in await client.courses(50) if one["status"] == "running"]
    theirs = {row["round"] for one in courses for row in one["steps"]}
    rounds = [one for one in await client.rounds(50) if one["status"] in GOING]
    alone = [dict(one) for one in rounds if one["id"] not in theirs]
    for kind, every in (("courses", courses), ("rounds", alone)):
        for one in every:
            if one["id"] != own:
                say(
                    f"({one['id']} of {one['scenario']} runs beside it, and costs what it costs; "
                    f"`aaa {kind} pause {one['id']}` holds it.)"
                )


async def unfinished(client: Client, scenario: str) -> list[str]:
    """Ids of rounds of that scenario that stopped before their end, newest first."""
    items = await client.rounds(50)
    return [item["id"] for item in items if item["scenario"] == scenario and item["status"] in LIVE]
