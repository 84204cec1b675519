"""`aaa rounds rejudge`: a round's recorded answers judged again, and how many pairs change."""

from functools import partial
from typing import Any, NamedTuple

from aaa.client import Client
from aaa.commands.opening import (
    arguments,
    check_resumed,
    command_name,
    open_client,
    say,
    show,
    tell,
)
from aaa.commands.playing import play
from aaa.commands.run import tell_estimate
from aaa.estimate import Estimate
from aaa.rejudging import Changes, rejudged
from aaa.settings import Settings

WORDS = {
    "kept": "the same answer won again",
    "reversed": "the other answer won",
    "lost": "a pair then, none now",
    "won": "none then, a pair now",
    "none": "no pair then or now",
    "unjudged": "not judged again",
}


class Wanted(NamedTuple):
    """The arguments of `aaa rounds rejudge`."""

    round: str
    judges: tuple[str, ...]
    overrides: dict[str, Any]
    budget_usd: float | None = None
    resume: str | None = None
    tui: bool = True
    as_json: bool = False


async def rejudge(settings: Settings, wanted: Wanted, *, dry_run: bool) -> int:
    """Start a round of the recorded answers, follow it, say what changed."""
    asked = {
        "judges": list(wanted.judges),
        "overrides": wanted.overrides,
        "budget_usd": wanted.budget_usd,
    }
    if dry_run:
        async with open_client(settings) as client:
            found = await client.rejudge_estimate(wanted.round, asked)
        show(found) if wanted.as_json else tell_estimate(Estimate.model_validate(found))
        return 0

    async def start(client: Client) -> str:
        if wanted.resume is not None:
            resumed, old = [await client.round(id) for id in (wanted.resume, wanted.round)]
            check_resumed(resumed, rejudged(old["scenario"]))
            return resumed["id"]
        return (await client.rejudge(wanted.round, asked))["id"]

    async def finish(client: Client, round_id: str) -> None:
        found = await client.changes(round_id)
        if wanted.as_json:
            show({"round": round_id, "of": wanted.round, **found})
        else:
            _tell(Changes.model_validate(found), round_id, wanted.round)

    tui = wanted.tui and not wanted.as_json
    return await play(settings, start, finish, again=partial(_again, wanted), tui=tui)


def _tell(found: Changes, round_id: str, of: str) -> None:
    changed = found.reversed + found.lost + found.won
    tell(f"{found.verdicts} verdicts of round {of} judged again: {changed} pairs change.")
    for name, words in WORDS.items():
        tell(f"  {name:9} {getattr(found, name):6}  {words}")
    say(f"The new verdicts are round {round_id}; it exports as any other.")


def _again(wanted: Wanted, round_id: str) -> str:
    return (
        f"{command_name()} rounds rejudge {wanted.round} --judges {','.join(wanted.judges)}"
        f"{arguments(wanted.overrides, resume=round_id)}"
    )
