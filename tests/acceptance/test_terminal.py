"""The dashboard as a person has it: keys in, screens out, at both sizes, over real rounds."""

import base64
import contextlib
import json
import re
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import httpx
import httpx_sse
import pytest

from tests.acceptance.processes import AAA, Home, new_home, provider, serving, started, until
from tests.acceptance.terminal import Terminal, terminal
from tests.helpers.hostile import BIDI

SIZES = [(80, 24), (200, 60)]
MONEY = {
    (80, 24): r"\$0\.\d{4} \+ \$0\.\d{4} ~\$0\.\d{4} of \$3\.00",
    (200, 60): r"\$0\.\d{4} \+ \$0\.\d{4} reserved, about \$0\.\d{4} in all, of \$3\.00",
}
"""What is spent, reserved and projected, by size of the screen."""
ATTACK = "\x1b]52;c;aGFja2Vk\x07\x1b[2J\x9b31m\u202egnp.exe \u2066\U000e0041 天空 नमस्ते 🚀"
"""A prompt that would write the clipboard, clear the screen, colour and reorder it; and three scripts."""
PRICE = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}


class Stage:
    """A control plane, a provider and a finished round."""

    def __init__(self, home: Home, url: str, stub: str) -> None:
        self.home, self.url, self.stub = home, url, stub
        self.api = httpx.Client(base_url=url, timeout=60)
        self.done = ""

    def faults(self, line: str) -> None:
        httpx.post(f"{self.stub}/_faults", content=line).raise_for_status()

    def start(self, name: str, faults: str = "", **overrides: Any) -> str:
        self.faults(faults)
        asked = {"scenario": name, "overrides": overrides}
        response = self.api.post("/v1/rounds", json=asked)
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    def status(self, round_id: str, wanted: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found: dict[str, Any] = self.api.get(f"/v1/rounds/{round_id}").json()
            return found if found["status"] == wanted else None

        found: dict[str, Any] = until(look, wanted)
        return found

    def watching(
        self, *arguments: str, size: tuple[int, int] = (80, 24), url: str | None = None, **env: str
    ) -> AbstractContextManager[Terminal]:
        all_env = self.home.env | {"AAA_URL": url or self.url} | env
        return terminal([AAA, "watch", *arguments], all_env, self.home.place, *size)


@contextmanager
def staged() -> Iterator[Stage]:
    with new_home() as home, provider(home) as base, serving(home) as url:
        for name, family in (("pupil", "birch"), ("tutor", "oak"), ("referee", "elm")):
            home.card(name, base, family, price=PRICE)
        home.card("odd", base, "birch")
        home.card("slow", base, "birch", limits={"rpm": 2})
        seeds = [
            {"id": f"q{n}", "prompt": f"What is {n}?", "tags": [f"t{n % 2}"]} for n in range(5)
        ]
        seeds.append({"id": "hostile\x1b[31m", "prompt": ATTACK, "tags": ["bad"]})
        judging = {"play": "pairwise"}
        home.scenario("small", 6, judging=judging, budget_usd=3)
        lines = "\n".join(map(json.dumps, seeds))
        (home.place / "scenarios" / "small.jsonl").write_text(lines)
        for name in ("odd", "slow"):
            seats = {"student": [name], "teacher": ["tutor"], "judge": ["referee"]}
            home.scenario(name, 4, seats=seats, judging=judging, concurrency=4)
        home.scenario("large", 60, judging=judging, budget_usd=3, concurrency=4)
        home.scenario(
            "battles",
            60,
            protocol={"id": "arena", "options": {"mode": "target"}},
            seats={"student": ["pupil"], "opponent": ["tutor"], "judge": ["referee"]},
            judging=judging,
            budget_usd=3,
            concurrency=2,
        )
        stage = Stage(home, url, base.removesuffix("/v1"))
        stage.done = stage.start("small")
        stage.status(stage.done, "completed")
        yield stage
        stage.api.close()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with staged() as stage:
        yield stage


def leave(screen: Terminal) -> int:
    screen.press("q")
    code = screen.end()
    assert screen.written.rfind(b"\x1b[?1049l") > screen.written.rfind(b"\x1b[?1049h")
    assert screen.written.rfind(b"\x1b[?25h") > screen.written.rfind(b"\x1b[?25l")
    return code


def at_both_sizes(screen: Terminal, *facts: str) -> None:
    """Each fact stands on the screen, drawn anew at each size, the larger one last."""
    now = screen.screen.columns, screen.screen.lines
    for size in (
        (*SIZES[1:], *SIZES) if now == SIZES[0] else SIZES
    ):  # at the same size nothing is drawn anew
        screen.screen.reset()
        screen.resize(*size)
        for fact in facts:
            screen.wait_for(fact)


@pytest.mark.parametrize("size", SIZES)
def test_a_round_is_watched_from_its_first_calls_to_its_end(
    stage: Stage, size: tuple[int, int]
) -> None:
    round_id = stage.start("small", "latency=fixed:800ms", concurrency=1)
    with stage.watching(round_id, size=size) as screen:
        screen.wait_for(r"● running")
        screen.wait_for(r"[1-9]\d*/6 sessions")
        for fact in (r"calls/s", r"of \$3\.00", r"student pupil", r"judge   referee",
                     r"── theatre q\d", r"── under way", r"verdict: ",
                     r"about 0:\d\d left", MONEY[size]):  # fmt: skip
            screen.wait_for(fact)
        screen.wait_for(r"● completed")
        screen.wait_for(r"6/6 sessions")
        assert max(map(len, screen.text.split("\n"))) < size[0]
        assert leave(screen) == 0
        assert re.search(r"● completed", screen.text)  # the last picture stays in the shell


def test_a_session_is_watched_in_full_while_it_runs(stage: Stage) -> None:
    round_id = stage.start("small", "latency=fixed:8s", concurrency=1)
    with stage.watching(round_id) as screen:
        screen.wait_for(r"── theatre q0")
        screen.press("t")
        at_both_sizes(
            screen, r"theatre q0 .*● running +\d turns",
            r" waits: (student|teacher|judge) \w+ (pupil|tutor|referee).* 0:0\d",
            r"(student|teacher|judge) \w+ +\S (pupil|tutor|referee) (×2 )?0:0\d",
        )  # fmt: skip
        stage.faults("latency=fixed:200ms")
        screen.wait_for(r"● completed +5 turns")
        for size in reversed(SIZES):
            screen.resize(*size)
            screen.read_some(1.0)  # the end is where it is at the new size
            screen.press("end")
            for fact in (r"verdict: ", r"referee · \w+ first: prefers", r"session +completed"):
                screen.wait_for(fact)
        leave(screen)


def test_a_session_that_waits_for_a_limit_says_so(stage: Stage) -> None:
    round_id = stage.start("slow")
    with stage.watching(round_id) as screen:
        screen.wait_for(r"● running")
        at_both_sizes(
            screen, r"q000\d .* student \w+ · rate limit (0|1):\d\d slow +0:\d\d",
            r"student +slow .* rate (0|1):\d\d",
        )  # fmt: skip
        screen.press("t")
        at_both_sizes(screen, r" waits: student \w+ · rate limit (0|1):\d\d slow +0:\d\d")
        leave(screen)
    told = {"why": "rate", "seat": "student", "agent": "slow"}
    with stage.api.stream("GET", f"/v1/rounds/{round_id}/events") as events:
        kind = ""
        for line in events.iter_lines():
            kind = line.removeprefix("event: ") if line.startswith("event: ") else kind
            if kind == "call.waiting" and line.startswith("data: "):
                data = json.loads(line.removeprefix("data: "))
                assert told.items() <= data.items()
                break
    stage.api.post(f"/v1/rounds/{round_id}/cancel").raise_for_status()


def test_what_holds_a_model_up_is_told(stage: Stage) -> None:
    """A provider that is dead, then one that asks for a pause."""
    dead = stage.start("odd", "500=1,model=odd")
    with stage.watching(dead) as screen:
        at_both_sizes(
            screen, r"student +odd .* down", r" odd is down +\S.* no call begins",
            r"student draft · model down (0:\d\d )?odd",
        )  # fmt: skip
        screen.wait_for(r" server ×\d+ +student odd")  # at the larger of the two there is room
        leave(screen)
    stage.api.post(f"/v1/rounds/{dead}/cancel").raise_for_status()
    held = stage.start("odd", "429=1,retry_after=14s,model=odd")
    with stage.watching(held) as screen:
        at_both_sizes(
            screen, r"student draft (↻ 0:\d\d rate limited|· held off 0:\d\d) odd",
            r"student +odd .* (holds|retry) 0:\d\d", r" rate limited ×\d +student odd",
        )  # fmt: skip
        leave(screen)
    stage.api.post(f"/v1/rounds/{held}/cancel").raise_for_status()


@pytest.mark.parametrize("size", SIZES)
def test_finished_sessions_are_found_and_stepped_through(
    stage: Stage, size: tuple[int, int]
) -> None:
    with stage.watching(stage.done, size=size) as screen:
        screen.wait_for(r"● completed")
        screen.press("s")
        screen.wait_for(r"AAA  sessions .* 6")
        screen.press("/", "tag:t1 outcome:draw", "enter")
        screen.wait_for(r"outcome:draw is none; there are win, tie, flip")
        # Textual 8.2 loses keys that are read together with a backspace
        for left in ("dra", "dr", "d", ""):
            screen.press("\x7f")
            screen.wait_for(rf" tag:t1 outcome:{left} *\n")
        screen.press("win", "enter")
        found = int(screen.wait_for(r"(\d) found")[1])
        rows = stage.api.get(f"/v1/rounds/{stage.done}/sessions?tag=t1&outcome=win").json()["items"]
        assert found == len(rows) > 0
        screen.press("enter")
        screen.wait_for(r"theatre q\d .*● completed")
        screen.press("end")
        screen.wait_for(r"referee · draft first: prefers (draft|revision)")
        screen.wait_for(r"referee · revision first: prefers (draft|revision)")
        pair = screen.wait_for(r"pair (p[0-9a-f]+)")[1]
        screen.press("e")
        screen.wait_for(f"copied: aaa explain {pair}")
        copied = base64.b64encode(f"aaa explain {pair}".encode())
        assert b"\x1b]52;c;" + copied in screen.written
        screen.press("left")
        screen.wait_for(r"turn 4/5")
        screen.press("left", "left", "left")
        screen.wait_for(r"turn 1/5")
        screen.wait_until(lambda text: "revision" not in text, "a screen without the revision")
        screen.press("f")
        screen.wait_for(r"5 turns")
        screen.press("[")
        screen.wait_for(r"that was the first one")
        screen.press("escape", "escape")
        screen.wait_for(r"── seats")
        assert leave(screen) == 0


@pytest.mark.parametrize("size", SIZES)
def test_a_revision_shows_what_came_and_what_went_and_its_critique(
    stage: Stage, size: tuple[int, int]
) -> None:
    """The critique stands beside it, where there is room; else before it."""
    with stage.watching(stage.done, size=size) as screen:
        screen.wait_for(r"● completed")
        screen.press("t")
        if size == (200, 60):
            screen.wait_for(r"student revision .*│ teacher critique tutor")
        else:
            screen.wait_for(r"AAA  theatre .* 5 turns")
            screen.press("left", "left", "left")
            screen.wait_for(r"turn 2/5[\s\S]*teacher critique [^│]*\n +tutor [^│]*$")
            screen.press("right")
            screen.wait_for(r"turn 3/5")
        screen.press("d")
        screen.read(1.0)
        struck = [
            char.strikethrough for row in screen.screen.buffer.values() for char in row.values()
        ]
        assert not any(struck)
        screen.press("d")
        screen.read(1.0)
        cells = [char for row in screen.screen.buffer.values() for char in row.values()]
        assert any(char.strikethrough for char in cells)
        assert any(char.underscore and char.bold for char in cells)


def test_keys_steer_the_round(stage: Stage) -> None:
    round_id = stage.start("large", "latency=fixed:500ms")
    api, path = stage.api, f"/v1/rounds/{round_id}"
    with stage.watching(round_id) as screen:
        screen.wait_for(r"● running")
        screen.press("p")
        screen.wait_for(r"● paused")
        assert api.get(path).json()["reason"] == "asked"
        screen.press("b")
        at_both_sizes(screen, r"Budget in dollars", r"Enter takes it, Escape leaves it")
        screen.press("x", "enter")
        screen.wait_for(r"'x' is no number of dollars")
        screen.press("\x7f")
        screen.read(1.0)  # Textual 8.2 loses keys that are read together with a backspace
        screen.press("30", "enter")
        screen.wait_for(r"of \$30\.00")
        assert api.get(path).json()["budget_usd"] == 30
        screen.press("n")
        at_both_sizes(screen, r"Sessions at once")
        screen.press("2", "enter")
        screen.wait_for(r"plays 2 sessions at once")
        assert api.get(path).json()["concurrency"] == 2
        screen.press("r")
        screen.wait_for(r"● running")
        screen.press("c")
        at_both_sizes(screen, r"Cancel round .* for good", r"y yes   n no")
        screen.press("n")
        screen.wait_until(lambda text: "for good" not in text, "a screen without the question")
        assert api.get(path).json()["status"] == "running"
        screen.press("c")
        screen.wait_for(r"Cancel round .* for good")
        screen.press("y")
        screen.wait_for(r"● cancelled")
        screen.press("p")
        screen.wait_for(r"is cancelled")  # the API's own words of why not
        assert leave(screen) == 1


@pytest.mark.parametrize("size", SIZES)
def test_help_palette_and_the_list_of_rounds(stage: Stage, size: tuple[int, int]) -> None:
    with stage.watching(size=size) as screen:
        screen.wait_for(r"── seats")
        screen.press("?")
        screen.wait_for(r"cancel it for good")
        screen.press("escape")
        screen.wait_for(r"── seats")
        screen.press("ctrl+p")
        screen.wait_for(r"Search")
        screen.press("search, step through")
        screen.wait_for(r"all sessions: search, step through\s+key s\s+▁")  # the only one left
        screen.press("enter")
        screen.wait_for(r"AAA  sessions")
        screen.press("escape")
        screen.wait_for(r"── seats")
        screen.press("escape")
        screen.wait_for(r"AAA  rounds")
        screen.wait_for(rf"{stage.done} +completed +6/6")
        screen.press("down", "up", "enter")
        screen.wait_for(r"── seats")
        leave(screen)


def test_what_models_and_seeds_hold_touches_no_terminal(stage: Stage) -> None:
    with stage.watching(stage.done, size=(200, 60)) as screen:
        screen.wait_for(r"● completed")
        screen.press("s")
        screen.wait_for(r"AAA  sessions .* 6")
        screen.press("/", "tag:bad", "enter")
        screen.wait_for(r"1 found")
        screen.wait_for(r"hostile␛\[31m")
        screen.press("enter")
        screen.wait_for(r"␛]52;c;aGFja2Vk␇␛\[2J")
        screen.wait_for(r"天空")
        leave(screen)
    shown = screen.written.decode()
    assert "]52;c;aGFja2Vk\x07" not in shown
    assert "\x1b[2J\x9b" not in shown
    assert not {ord(char) for char in shown} & (BIDI | {*range(0x80, 0xA0)} | {0xE0041})


@pytest.mark.parametrize("size", SIZES)
def test_without_colour_nothing_is_coloured(stage: Stage, size: tuple[int, int]) -> None:
    with stage.watching(stage.done, size=size, NO_COLOR="1") as screen:
        screen.wait_for(r"● completed")
        screen.press("t")
        screen.wait_for(r"● completed +5 turns")
        screen.press("?")
        screen.wait_for(r"one turn back")
        screen.press("escape")
        screen.wait_until(lambda text: "one turn back" not in text, "a screen without help")
        screen.press("escape", "s")
        screen.wait_for(r"AAA  sessions .* 6")
        screen.press("escape")
        screen.wait_for(r"── seats")
        screen.press("escape")
        screen.wait_for(rf"AAA  rounds[\s\S]*{stage.done} +completed +6/6")
        leave(screen)
    codes = {code for found in re.findall(rb"\x1b\[([0-9;]*)m", screen.written)
             for code in found.split(b";")}  # fmt: skip
    assert not codes & {*(b"%d" % n for n in (*range(30, 39), *range(40, 49), *range(90, 108)))}


def test_a_restarted_server_is_found_again_and_that_is_said(stage: Stage) -> None:
    """A second control plane of the same rounds goes away in mid-round and comes back."""
    command = [AAA, "serve", "--no-supervisor", "--port"]
    with started([*command, "0"], stage.home) as first:
        url = first.wait_for(r"http://127\.0\.0\.1:(\d+)")
        round_id = stage.start("small", "latency=fixed:2s", concurrency=2)
        with stage.watching(round_id, url=url[0]) as screen:
            screen.wait_for(r"● running")
            screen.wait_for(r"event [1-9]")
            first.stop(signal.SIGKILL)
            at_both_sizes(screen, r"⚠ connection lost, again in 0:\d\d: nobody answers")
            with started([*command, url[1]], stage.home) as second:
                second.wait_for(r"listens on")
                at_both_sizes(
                    screen, r"⚠ connected again; goes on after event \d+, nothing is missing"
                )
                screen.wait_for(r"● completed")
                done = stage.status(round_id, "completed")
                screen.wait_for(rf"event {done['last_event']}, the last")
                kinds = r"(\d+) (win|tie|flip|error|abstain)"
                screen.wait_until(
                    lambda text: (
                        {k: int(n) for n, k in re.findall(kinds, text)} == done["verdicts"]
                    ),
                    f"verdicts {done['verdicts']}",
                )
                leave(screen)


def test_a_stock_client_of_event_streams_misses_nothing_through_two_restarts(stage: Stage) -> None:
    """`httpx-sse` as its readme has it: connect again with the last id; the server is killed twice."""
    command = [AAA, "serve", "--no-supervisor", "--port"]
    round_id = stage.start("small", "latency=fixed:400ms", concurrency=1)
    heard: list[tuple[int, str]] = []
    port = "0"
    for lives_for in (20, 40, 10_000):
        with started([*command, port], stage.home) as server:
            port = server.wait_for(r"http://127\.0\.0\.1:(\d+)")[1]
            last = {"Last-Event-ID": str(heard[-1][0])} if heard else {}
            path = f"http://127.0.0.1:{port}/v1/rounds/{round_id}/events"
            with (
                httpx.Client(timeout=60) as client,
                httpx_sse.connect_sse(client, "GET", path, headers=last) as source,
                contextlib.suppress(httpx.TransportError),
            ):
                for event in source.iter_sse():
                    heard.append((int(event.id), event.event))
                    if len(heard) == lives_for:
                        server.stop(signal.SIGKILL)
    assert heard[-1][1] == "round.completed"
    assert [number for number, _ in heard] == list(range(1, len(heard) + 1))
    done = stage.status(round_id, "completed")
    assert done["last_event"] == len(heard)


def test_a_finished_round_is_played_again(stage: Stage) -> None:
    lasted = stage.start("small", "latency=fixed:400ms", concurrency=1)
    stage.status(lasted, "completed")
    with stage.watching("--replay", lasted, "--speed", "0.1x") as screen:
        screen.wait_for(r"replay at 0\.1x")
        screen.wait_for(r"── theatre q0")
        screen.press("space")
        at_both_sizes(screen, r"replay at 0\.1x, halted", r"● running", r"0/6 sessions")
        screen.press("t")  # what comes later is not told yet
        at_both_sizes(screen, r"theatre q0 .*● running +[01] turns", r"prompt +What is 0\?")
        assert "verdict" not in screen.text
        screen.press("escape")
        screen.wait_for(r"── seats")
        screen.press("space", "+", "+")
        screen.wait_for(r"replay at 0\.4x")
        screen.press(*"++++++")
        screen.wait_for(r"● completed")
        assert leave(screen) == 0


def test_ratings_tick_while_models_battle(stage: Stage) -> None:
    round_id = stage.start("battles", "latency=fixed:500ms")
    board = r"── ratings ─[\s\S]*\n *(?:pupil|tutor) +(\d+)[\s\S]*\n *(?:pupil|tutor) +\d+"
    with stage.watching(round_id) as screen:
        screen.wait_for(r" ratings  (pupil|tutor) \d+ \(\S+ to \S+\)  (pupil|tutor) \d+ \(")
        screen.resize(200, 60)
        first = screen.wait_for(board)[1]
        screen.wait_for(r"● running")
        screen.wait_for(board.replace(r"(\d+)", rf"(?!{first}\b)\d+"))
        leave(screen)
    stage.api.post(f"/v1/rounds/{round_id}/cancel").raise_for_status()


def test_a_resized_window_is_drawn_anew(stage: Stage) -> None:
    with stage.watching(stage.done) as screen:
        screen.wait_for(r"● completed")
        screen.wait_until(lambda text: "── verdicts" not in text, "a screen without verdicts")
        screen.resize(200, 60)
        screen.wait_for(r"── verdicts")
        leave(screen)


def test_aaa_run_has_the_same_screen_and_ctrl_c_stops_it_safely(stage: Stage) -> None:
    stage.faults("latency=fixed:2s")
    with new_home() as home:
        for name in ("agents", "scenarios"):
            for path in (stage.home.place / name).iterdir():
                (home.place / name / path.name).write_bytes(path.read_bytes())
        with terminal([AAA, "run", "small"], home.env, home.place) as screen:
            screen.wait_for(r"● running", 120)
            at_both_sizes(screen, r"● running", r"student pupil", r"── theatre", r"── under way")
            screen.press("?")
            at_both_sizes(screen, r"cancel it for good")
            screen.resize(80, 24)
            screen.press("escape", "ctrl+c")
            screen.wait_for(
                r"Stopped. Nothing recorded is lost; go on with:\s+\S*aaa run small --resume (\S+)"
            )
            assert screen.end(60) == 4
            round_id = re.findall(r"--resume (\S+)", screen.text)[-1]
        stage.faults("")
        with terminal([AAA, "run", "small", "--resume", round_id], home.env, home.place) as screen:
            screen.wait_for(r"6 of 6 sessions completed", 120)
            assert screen.end(60) == 0


def test_no_terminal_no_dashboard(stage: Stage) -> None:
    env: Any = {"AAA_URL": stage.url}
    lines = stage.home.aaa("watch", stage.done, **env).splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d round created small 6 sessions .*", lines[0])
    assert re.fullmatch(r"\d\d:\d\d:\d\d round completed .*", lines[-1])
    told = [
        json.loads(line)
        for line in stage.home.aaa("watch", stage.done, "--json", **env).splitlines()
    ]
    assert [row["id"] for row in told] == list(range(1, len(told) + 1))
    assert "\x1b" not in "".join(lines)
    wrong = stage.home.run("watch", "--replay", stage.done, "--speed", "fast", **env)
    assert wrong.returncode == 2
    assert "looks like 20x" in wrong.stderr
