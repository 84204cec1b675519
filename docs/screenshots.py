"""SVG pictures of the dashboard in a real terminal, from a real round against `aaa provider`.

    python docs/screenshots.py [--to docs]

Starts a home, a provider stub and a control plane of its own, plays a round, watches it with `aaa watch`
at 80x24 and 200x60, presses keys as a person would, and writes what the terminal showed:
`watch-*.svg` (the round, a session in it as it goes on), `theatre-*.svg` (a finished session),
`sessions-*.svg` (the list after a search), `help-*.svg` (the keys), `rounds-*.svg` (the list of rounds).
"""

import argparse
import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from rich.console import Console, Group
from rich.terminal_theme import TerminalTheme

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.acceptance.processes import AAA, Home, new_home, provider, serving  # noqa: E402
from tests.acceptance.terminal import Terminal, terminal  # noqa: E402

SIZES = ((80, 24), (200, 60))
FAULTS = "latency=lognormal:500ms:0.5; 429=0.04,retry_after=2s"
AGENTS = {"pupil-1b": "birch", "tutor-70b": "oak", "referee-8b": "elm"}
PRICE = {"input_usd_per_mtok": 2, "output_usd_per_mtok": 8}
THEME = TerminalTheme(
    (24, 26, 31),
    (214, 218, 224),
    [(40, 44, 52), (224, 108, 117), (152, 195, 121), (229, 192, 123),
     (97, 175, 239), (198, 120, 221), (86, 182, 194), (171, 178, 191)],
    [(110, 118, 132), (240, 128, 137), (172, 215, 141), (249, 212, 143),
     (117, 195, 255), (218, 140, 241), (106, 202, 214), (240, 242, 245)],
)  # fmt: skip


@contextmanager
def control_plane() -> Iterator[tuple[Home, str]]:
    """A home with three agents and the scenario `first`, served; the control plane's URL."""
    with new_home() as home, provider(home, FAULTS) as base, serving(home) as url:
        for name, family in AGENTS.items():
            home.card(name, base, family, price=PRICE)
        lines = (ROOT / "scenarios" / "seeds" / "quickstart.jsonl").read_text("utf-8").splitlines()
        seats = dict(zip(("student", "teacher", "judge"), ([name] for name in AGENTS), strict=True))
        home.scenario("first", 40, seats=seats, judging={"play": "pairwise"}, budget_usd=1)
        seeds = [json.loads(line) for line in lines][:40]
        (home.place / "scenarios" / "first.jsonl").write_text("\n".join(map(json.dumps, seeds)))
        yield home, url


def draw(screen: Terminal, name: str, folder: Path) -> None:
    """Write what the terminal shows once a frame is whole."""
    heard = -1
    while heard != len(screen.written):
        heard = len(screen.written)
        screen.read(0.1)
    width, height = screen.screen.columns, screen.screen.lines
    console = Console(
        record=True, width=width, height=height, file=io.StringIO(), force_terminal=True,
        color_system="truecolor", legacy_windows=False, no_color=False,
    )  # fmt: skip
    console.print(Group(*screen.rich()))
    path = folder / f"{name}-{width}x{height}.svg"
    path.write_text(console.export_svg(title="aaa watch", theme=THEME), encoding="utf-8")
    print(path)


def watched(home: Home, url: str, size: tuple[int, int], folder: Path) -> None:
    """One round from its first sessions on, looked at in a terminal of that size."""
    asked = {"scenario": "first", "overrides": {"concurrency": 6}}
    round_id = (
        httpx.post(f"{url}/v1/rounds", json=asked, timeout=30).raise_for_status().json()["id"]
    )
    env = home.env | {"AAA_URL": url}
    with terminal([AAA, "watch", round_id], env, home.place, *size) as screen:
        screen.wait_for(r"\b[89]/\d+ sessions|\b1\d/\d+ sessions", 120)
        draw(screen, "watch", folder)
        screen.press("?")
        screen.wait_for(r"cancel it for good")
        draw(screen, "help", folder)
        screen.press("escape")
        screen.wait_for(r"── seats")
        screen.press("s")
        screen.wait_for(r"AAA  sessions")
        screen.press("/", "outcome:win", "enter")
        screen.wait_for(r"found")
        draw(screen, "sessions", folder)
        screen.press("enter")
        screen.wait_for(r"AAA  theatre .*● completed")
        screen.press(*(["down"] * 36 if size == SIZES[0] else []))
        screen.read(1)
        draw(screen, "theatre", folder)
        screen.press("escape", "escape", "escape")
        screen.wait_for(r"AAA  rounds")
        screen.wait_for(round_id)
        draw(screen, "rounds", folder)
        screen.press("q")
        screen.end()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--to", type=Path, default=Path("docs"), help="folder")
    given = parser.parse_args()
    given.to.mkdir(parents=True, exist_ok=True)
    with control_plane() as (home, url):
        for size in SIZES:
            watched(home, url, size, given.to)
