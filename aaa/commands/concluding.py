"""How `aaa run` ends: the pairs are exported, and plain words say what happened and what can be done next."""

import json
import shlex
from pathlib import Path
from typing import Any

from aaa.catalogue import Script
from aaa.client import Client
from aaa.commands.opening import arguments, command_name, say
from aaa.commands.run import Wanted, progress
from aaa.commands.run_files import OF_PAIRS, Left, leave
from aaa.commands.worth import worth
from aaa.settings import Settings


async def conclude(
    settings: Settings,
    client: Client,
    script: Script,
    round_id: str,
    wanted: Wanted,
    elapsed_s: float,
) -> Left:
    """Export the pairs and say in plain words what happened."""
    found = dict(await client.round(round_id))
    left = await leave(client, round_id, settings.home / "exports" / round_id)
    files = left.files
    if wanted.as_json:
        return left
    for line in (*_story(found, elapsed_s), *await worth(client, script), *_files(left)):
        say(line)
    pair = await _first_pair(files[OF_PAIRS[0]]) if OF_PAIRS[0] in files else None
    if wanted.next_steps or files:
        say("Next:")
        aaa = command_name()
        say(f"  {aaa} explain {pair}" if pair else f"  {aaa} rounds show {round_id}")
        if files:
            format = next(iter(files))
            name = "pairs" if format == OF_PAIRS[0] else format
            say(f"  {aaa} export {round_id} --format {format} -o {name}.jsonl")
        for more in _more(script, wanted):
            say(f"  {more}")
    return left


def _files(left: Left) -> list[str]:
    """What was written, and which pairs were not."""
    lines = []
    if left.dropped:
        dropped = ", ".join(f"{pairs} {name}" for name, pairs in left.dropped.items())
        lines.append(f"  pairs that are in no file, by the gate that dropped them: {dropped}")
    if not left.files:
        return [*lines, "Files: none, since nothing came out that could be learnt from"]
    paths = (*left.files.values(), *left.papers)
    return [*lines, "Files:", *(f"  {_short(path)}" for path in paths)]


def _more(script: Script, wanted: Wanted) -> list[str]:
    """The command for twice as many seeds as were taken, the rest as it was, where a limit was set."""
    limit = script.scenario.seeds.limit
    if limit is None:
        return []
    same = {key: value for key, value in wanted.overrides.items() if key != "seeds.limit"}
    repeated = arguments(same, budget_usd=wanted.budget_usd, limit=2 * limit)
    return [f"{command_name()} run {shlex.quote(wanted.scenario)}{repeated}"]


def _story(found: dict[str, Any], elapsed_s: float) -> list[str]:
    sessions, verdicts = found["sessions"], found["verdicts"]
    outcomes = ", ".join(f"{n} {name}" for name, n in verdicts.items() if n) or "none"
    tokens = found["completion_tokens"]
    lines = [
        f"Round {found['id']}: {found['status']}"
        + (f" ({found['message']})" if found["message"] else ""),
        f"  {progress(found)}; {found['turns']} turns in {elapsed_s:.0f} s; {tokens} tokens "
        f"written ({tokens / max(elapsed_s, 0.1):.1f} a second)",
        (
            f"  verdicts: {outcomes}; preference pairs: {found['pairs']}; "
            if any(verdicts.values())
            else "  "
        )
        + f"spent ${found['spent_usd']:.4f}",
    ]
    if sessions["failed"]:
        lines.append(f"  {sessions['failed']} sessions failed; aaa rounds show {found['id']}")
    return lines


def _short(path: Path) -> str:
    """The path from here where it lies below, else whole."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


async def _first_pair(path: Path) -> str | None:
    with path.open(encoding="utf-8") as lines:
        row = lines.readline()
    return str(json.loads(row)["id"]) if row else None
