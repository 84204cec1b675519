"""Starting AAA as a user does: the console script, in a folder of its own, with real signals."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

AAA = str(Path(sys.executable).parent / "aaa")
PATIENCE_S = 180


class Home:
    """A user's folder: data in `home`, cards in `agents`, scenarios in `scenarios`."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.home = place / "home"
        self.patience_s = PATIENCE_S
        for name in ("agents", "scenarios"):
            (place / name).mkdir()
        self.env: dict[str, str] = {
            **{k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "RAY_ADDRESS")},
            "AAA_HOME": str(self.home),
            "AAA_AGENTS": str(place / "agents"),
            "AAA_SCENARIOS": str(place / "scenarios"),
            "PYTHONUNBUFFERED": "1",
        }

    def card(self, name: str, base_url: str, family: str, **more: object) -> None:
        """A card that points at a server of this machine."""
        card = {"name": name, "model": f"openai/{name}", "api_base": base_url, "family": family}
        limits = {"concurrency": 32, "timeout_s": 20}
        path = self.place / "agents" / f"{name}.yaml"
        path.write_text(json.dumps(card | {"limits": limits} | more))

    def cards(self, base_url: str) -> None:
        """A student, a teacher and a judge of three families."""
        for name, family in (("pupil", "birch"), ("tutor", "oak"), ("referee", "elm")):
            self.card(name, base_url, family)

    def scenario(self, name: str, seeds: int, **more: object) -> Path:
        """A scenario over the cards above with numbered questions."""
        lines = [{"id": f"q{n:04d}", "prompt": f"What is {n} plus {n}?"} for n in range(seeds)]
        place = self.place / "scenarios"
        (place / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
        scenario = {
            "name": name,
            "seats": {"student": ["pupil"], "teacher": ["tutor"], "judge": ["referee"]},
            "seeds": {"file": f"{name}.jsonl"},
        }
        path = place / f"{name}.yaml"
        path.write_text(json.dumps(scenario | more))
        return path

    def aaa(self, *arguments: str, expect: int = 0, **env: str) -> str:
        """Run a command to its end; its stdout."""
        done = self.run(*arguments, **env)
        assert done.returncode == expect, f"{arguments}: {done.returncode}\n{done.stderr[-3000:]}"
        return done.stdout

    def run(self, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [AAA, *arguments],
            env=self.env | env,
            cwd=self.place,
            capture_output=True,
            text=True,
            timeout=self.patience_s,
            check=False,
        )

    def export(self, round_id: str, format: str = "trl-dpo") -> bytes:
        return self.aaa("export", round_id, "--format", format, "-o", "-").encode()


class Process:
    """A command that runs until it is stopped; what it says on stderr is kept as it comes."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: Path) -> None:
        self.process = subprocess.Popen(
            command, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.said: list[str] = []
        self.printed: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=(stream, lines), daemon=True)
            for stream, lines in (
                (self.process.stderr, self.said),
                (self.process.stdout, self.printed),
            )
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: Any, lines: list[str]) -> None:
        with stream:
            lines.extend(stream)  # appends line by line, as they come

    def wait_for(self, pattern: str) -> "re.Match[str]":
        """The first match of `pattern` in what it said or printed."""

        def look() -> "re.Match[str] | None":
            found = re.search(pattern, "".join(self.said)) or re.search(
                pattern, "".join(self.printed)
            )
            if found is None and self.process.poll() is not None:
                raise AssertionError(f"it ended without saying {pattern!r}:\n{''.join(self.said)}")
            return found

        found: re.Match[str] = until(look, pattern)
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal to this process alone; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(timeout=60)
        for reader in self._readers:
            reader.join(timeout=10)
        return code


def until(look: Callable[[], Any], what: str, within_s: float = PATIENCE_S) -> Any:
    """The first true value of `look`."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"waited {within_s:.0f} s in vain for {what}")


@contextmanager
def started(command: Sequence[str], home: Home, **env: str) -> Iterator[Process]:
    """A running command; killed at the end if it still runs."""
    process = Process(command, home.env | env, home.place)
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.stop(signal.SIGTERM)


@contextmanager
def serving(home: Home, **env: str) -> Iterator[str]:
    """`aaa serve` on a free port; its URL."""
    with started([AAA, "serve", "--port", "0"], home, **env) as process:
        yield process.wait_for(r"http://127\.0\.0\.1:\d+").group(0)


@contextmanager
def provider(home: Home, faults: str = "", **options: str) -> Iterator[str]:
    """The provider stub in a process of its own; its base URL. It logs to `home.place/provider.jsonl`."""
    command = [AAA, "provider", "--port", "0", "--faults", faults]
    command += ["--log", str(home.place / "provider.jsonl")]
    for name, value in options.items():
        command += [f"--{name}", value]
    with started(command, home) as process:
        yield process.wait_for(r"http://127\.0\.0\.1:\d+/v1").group(0)


def requests(home: Home) -> list[dict[str, Any]]:
    """Every request that the provider took so far."""
    path = home.place / "provider.jsonl"
    if not path.exists():
        return []
    lines = path.read_text().splitlines()
    return [json.loads(line) for line in lines if line.endswith("}")]


@contextmanager
def new_home() -> Iterator[Home]:
    """A folder that every user may enter, since the embedded server may run as another one."""
    with tempfile.TemporaryDirectory(prefix="aaa-home-", ignore_cleanup_errors=True) as place:
        Path(place).chmod(0o755)
        home = Home(Path(place))
        try:
            yield home
        finally:
            _end_database(home)


def _end_database(home: Home) -> None:
    """A killed process leaves the embedded server running, as it should; the test's end stops it."""
    with contextlib.suppress(OSError, ValueError, ProcessLookupError):
        pid = int((home.home / "postgres" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGINT)
        until(
            lambda: not (home.home / "postgres" / "postmaster.pid").exists(),
            "the database's end",
            20,
        )
