"""S4: whatever models say, only our own control sequences reach a terminal: all views, both sizes, lines.

A provider of ours answers and fails in generated hostile text; a person looks at all of it, also where such
a text is why a round pauses or fails, and where a control plane refuses in such words.
"""

import json
import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from tests.acceptance.processes import AAA, Home, new_home, provider, serving, until
from tests.acceptance.terminal import terminal
from tests.helpers.hostile import forbidden

SIZES = [(80, 24), (200, 60)]
ESCAPES = (
    "\x1b]52;c;SEFDSw==HACK\x07", "\x1b]0;HACK\x1b\\", "\x1b]8;;http://HACK\x07", "\x1bPHACK\x1b\\",
    "\x1b_HACK\x1b\\", "\x1b^HACK\x1b\\", "\x1bXHACK\x1b\\", "\x1bc", "\x1b#8", "\x1b[7;31;45m", "\x1b[777h",
    "\x1b[66;66H", "\x1b[?9001h", "\x9b7;31;45m", "\x9d0;HACK\x9c", "\x90HACK\x9c", "\x85", "\x07\x07",
    "\x08\x08\x08", "\r", "\x0e", "\x0b", "\x0c", "\x7f", "\x00", "\x1b", "\x1b[", "\x1b]",
)  # fmt: skip
TRICKS = (
    "\u202e", "\u2066", "\u2069", "\u200f", "\u061c", "\u200b", "\ufeff", "\u2028", "\u2029", "\U000e0041",
    "e" + "\u0301" * 40, "\u0e01\u0e33\u0e48", "🏳️\u200d🌈", "👩\u200d👩\u200d👧", "漢字仮名", "नमस्ते", "مرحبا",
    "\ufdfd", "\u3164", "[bold red]HACK[/]", "[link=http://HACK]", "\t\t", "HACK", "a", " ", "\n",
)  # fmt: skip
OURS_NEVER = re.compile(
    r"\x1b\[(?:7;31;45m|777h|66;66H|\?9001h)|\x1b[\]_^Xc#]|\x1bP[^\x1b]*HACK|[\x07\x08\x0e\x0b\x0c\x7f]"
)


def hostile(chance: random.Random) -> str:
    """A text of some thirty fragments that would each do something to some terminal."""
    kinds = (ESCAPES, TRICKS)
    return "".join(chance.choice(kinds[chance.random() < 0.5]) for _ in range(30)) + " HACK"


@contextmanager
def attacker(always: int | None = None) -> Iterator[str]:
    """An OpenAI-compatible server that answers so, and refuses so the first time; its base URL.

    `always`: the status with which it refuses every time. What it is asked by GET it refuses with 404.
    """
    chance, refused, lock = random.Random(4), set[bytes](), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                text, first = hostile(chance), always is not None or asked not in refused
                refused.add(asked)
            message = {"role": "assistant", "content": text}
            body = json.dumps(
                {"error": {"message": text}}
                if first
                else {"model": text, "id": text, "choices": [{"message": message}]}
            )
            self.answer((always or 500) if first else 200, body)

        def do_GET(self) -> None:
            with lock:
                self.answer(404, json.dumps({"detail": hostile(chance)}))

        def answer(self, status: int, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture(scope="module")
def attacked() -> Iterator[tuple[Home, str, str]]:
    """A home, its control plane, and a round that hostile models played."""
    with new_home() as home, attacker() as evil, provider(home) as base, serving(home) as url:
        home.cards(evil)
        home.card("referee", base, "elm")
        home.scenario("small", 4, judging={"play": "pairwise"}, concurrency=1)
        with httpx.Client(base_url=url, timeout=60) as api:
            made = api.post("/v1/rounds", json={"scenario": "small"}).json()["id"]
            yield home, url, made


def clean_of(written: bytes) -> str:
    """What was written, as text; only our own sequences are in it."""
    shown = written.decode().replace(
        "\x1b]22;default\x07", ""
    )  # Textual's: the shape of the pointer
    assert [found[0] for found in OURS_NEVER.finditer(shown)] == []
    rest = re.sub(
        r"\x1b\[[0-9;:?<>=$]*[ -/]*[A-Za-z]|\x1bP[^\x1b]*\x1b\\|\x1b[=>78(][B0]?", "", shown
    )
    assert forbidden(rest, allowed="\n\r\t") == []
    return shown


@pytest.mark.parametrize("size", SIZES)
def test_every_view_shows_it_and_none_obeys(
    attacked: tuple[Home, str, str], size: tuple[int, int]
) -> None:
    home, url, made = attacked
    env = home.env | {"AAA_URL": url}
    with terminal([AAA, "watch", made], env, home.place, *size) as screen:
        screen.wait_for(r"── seats")  # live the first time, with failures and retries
        screen.wait_for(r"● completed", 120)
        screen.press("t")
        screen.read_some(1.5)
        for _ in range(6):
            screen.press("left")
            screen.read_some(0.3)
        screen.press("escape", "s")
        screen.wait_for(r"sessions")
        screen.press("/", "HACK", "enter")
        screen.wait_for(r"4 found")
        screen.press("enter")
        screen.wait_for(r"HACK")
        screen.press("q")
        screen.end()
    assert "␛" in clean_of(screen.written)


def test_what_is_printed_shows_it_and_obeys_nothing(attacked: tuple[Home, str, str]) -> None:
    home, url, made = attacked
    env = home.env | {"AAA_URL": url}

    def over() -> bool:
        found = httpx.get(f"{url}/v1/rounds/{made}", timeout=60).json()
        return bool(found["status"] == "completed")

    until(over, "the round's end")
    rows = home.aaa("export", made, "--format", "canonical", "-o", "-", AAA_URL=url).split("\n")
    pair = json.loads(rows[0])["id"]
    for command in (
        ("watch", made, "--no-tui"), ("watch", made, "--json"), ("explain", pair), ("rounds", "show", made),
        ("rounds", "ls"), ("explain", pair, "--json"),
    ):  # fmt: skip
        with terminal([AAA, *command], env, home.place, 200, 60) as screen:
            screen.end(60)
        clean_of(screen.written)
        if command[0] == "explain" or "--no-tui" in command:
            assert b"HACK" in screen.written


def test_why_a_round_ended_shows_it_and_obeys_nothing() -> None:
    """The provider's words are the reason of a pause, of failed sessions, and of an error."""
    with new_home() as home, attacker(always=401) as no_key, attacker(always=400) as never:
        for name, base in (("paused", no_key), ("failed", never)):
            home.cards(base)
            home.scenario(name, 2, concurrency=1)
            assert b"HACK" in looked_at(home, "run", name, "--no-tui")
        listed = json.loads(home.aaa("rounds", "ls", "--json"))["items"]
        found = {one["scenario"]: one for one in listed}
        assert "\x1b" in found["paused"]["message"]  # in JSON it is what it was
        assert [found[name]["status"] for name in ("paused", "failed")] == ["paused", "failed"]
        for one in found.values():
            assert b"HACK" in looked_at(home, "rounds", "show", one["id"])
        assert b"HACK" in looked_at(home, "agents", "check", "pupil")
        assert b"HACK" in looked_at(home, "rounds", "show", "r-1", AAA_URL=never)


def looked_at(home: Home, *command: str, **env: str) -> bytes:
    """What the command wrote to a terminal; only our own sequences are in it."""
    with terminal([AAA, *command], home.env | env, home.place, 200, 60) as screen:
        screen.end(120)
    clean_of(screen.written)
    return screen.written
