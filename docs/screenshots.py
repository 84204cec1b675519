"""SVG pictures of the dashboard from a real round, for the README.

    AAA_URL=http://127.0.0.1:8400 python docs/screenshots.py [ROUND] [--at 0.6] [--to docs]

Reads the round's events and the transcript of the session on stage over the API, and writes
`watch-80x24.svg` and `watch-200x60.svg` as the screens looked at that share of the round.
"""

import argparse
import asyncio
from contextlib import aclosing
from pathlib import Path

from aaa.client import Client, connect
from aaa.commands.watch import newest
from aaa.dashboard.known import State
from aaa.dashboard.render import render_svg
from aaa.dashboard.state import opening, reduce, told
from aaa.settings import read_settings

SIZES = ((80, 24), (200, 60))


async def known_at(client: Client, round_id: str, share: float) -> State:
    """What a watcher knew after `share` of the round's events so far."""
    round = await client.round(round_id)
    upto = max(1, round["last_event"] * share)
    state = opening({**round, "last_event": 0})
    async with aclosing(client.events(round_id)) as events:
        async for event in events:
            state = reduce(state, event)
            if event.id >= upto:
                break
    return await _with_words(client, state)


async def _with_words(client: Client, state: State) -> State:
    """With whole texts on stage, but nothing that was said later."""
    if state.stage is None:
        return state
    session = await client.session(state.stage.session)
    spoken = {speech.index for speech in state.stage.speeches}
    ruled = {ruling.index for ruling in state.stage.rulings}
    so_far = {
        **session,
        "turns": [turn for turn in session["turns"] if turn["index"] in spoken],
        "verdicts": [verdict for verdict in session["verdicts"] if verdict["index"] in ruled],
    }
    return told(state, so_far)


async def known(round_id: str | None, share: float) -> State:
    """The state of that round (`None`: the newest) at the control plane of `AAA_URL`."""
    async with connect(read_settings()) as client:
        return await known_at(client, round_id or await newest(client), share)


def draw(state: State, folder: Path) -> None:
    """Write a picture of each size."""
    folder.mkdir(parents=True, exist_ok=True)
    for width, height in SIZES:
        path = folder / f"watch-{width}x{height}.svg"
        path.write_text(render_svg(state, width, height), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("round_id", metavar="ROUND", nargs="?", help="default: the newest")
    parser.add_argument("--at", type=float, default=0.6, help="share of the round's events")
    parser.add_argument("--to", type=Path, default=Path("docs"), help="folder")
    given = parser.parse_args()
    draw(asyncio.run(known(given.round_id, given.at)), given.to)
