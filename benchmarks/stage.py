"""What the benchmarks share: a stub provider in a process of its own, homes, and meters of process trees."""

import json
import platform
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.acceptance.processes import AAA, Home, new_home, started

__all__ = ["AAA", "Home", "Meter", "machine", "new_home", "stub", "table", "tell", "three_cards"]

CALLS = 5
"""Model calls of one session: draft, critique, revision, and a judge's ballots on each."""
T = TypeVar("T")


def tell(text: str) -> None:
    """Progress, on stderr."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


@contextmanager
def stub(home: Home, latency_ms: float) -> Iterator[str]:
    """A provider without a log file; its base URL."""
    command = [AAA, "provider", "--port", "0", "--faults", f"latency=fixed:{latency_ms:g}ms"]
    with started(command, home) as process:
        yield process.wait_for(r"http://127\.0\.0\.1:\d+/v1").group(0)


def three_cards(home: Home, base_url: str, slots: int, through: str = "openai") -> None:
    """A student, a teacher and a judge of three families. `through`: `openai` is our own adapter."""
    limits = {"concurrency": slots, "timeout_s": 60}
    for name, family in (("pupil", "birch"), ("tutor", "oak"), ("referee", "elm")):
        home.card(name, base_url, family, model=f"{through}/{name}", limits=limits)


class Seen(NamedTuple):
    """A kind of process at a moment."""

    cpu_s: float
    mib: float


class Meter:
    """CPU seconds and resident memory by kind of process, of all that belong to a home.

    Kinds: `command`, `supervisor`, `runner`, `seat`, `ray`, `postgres`. PostgreSQL's memory is left out: its
    processes share theirs.
    """

    def __init__(self, home: Home, root: int, every_s: float = 0.5) -> None:
        self._home = str(home.home)
        self._root = psutil.Process(root)
        self._cpu: dict[int, tuple[str, float]] = {}
        self._marked: dict[int, float] = {}
        self._mib: dict[str, float] = {}
        self.peak_mib = 0.0
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(self._every_s):
            self._look()

    def _look(self) -> None:
        mib: dict[str, float] = defaultdict(float)
        for process in self._tree():
            try:
                times = process.cpu_times()
                kind = self._kind(process)
                if kind != "postgres":
                    mib[kind] += process.memory_info().rss / 2**20
            except psutil.Error:
                continue
            self._cpu[process.pid] = (kind, times.user + times.system)
        self._mib = dict(mib)
        self.peak_mib = max(self.peak_mib, sum(mib.values()))

    def _tree(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True), *self._postgres()]
        except psutil.Error:
            return []

    def _postgres(self) -> list[psutil.Process]:
        file = Path(self._home) / "postgres" / "postmaster.pid"
        try:
            server = psutil.Process(int(file.read_text().split()[0]))
            return [server, *server.children()]
        except (OSError, ValueError, IndexError, psutil.Error):
            return []

    def _kind(self, process: psutil.Process) -> str:
        if process.pid == self._root.pid:
            return "command"
        words = " ".join(process.cmdline())
        for kind, sign in {
            "postgres": "postgres",
            "supervisor": "-m aaa.cluster",
            "runner": "Runner",
            "seat": "eat",
        }.items():
            if sign in words and (kind in ("postgres", "supervisor") or words.startswith("ray::")):
                return kind
        return "ray"

    def mark(self) -> None:
        """Count from here on; a process keeps its number when it becomes another kind."""
        self._look()
        self._marked = {pid: cpu_s for pid, (_, cpu_s) in self._cpu.items()}

    def cpu(self) -> dict[str, float]:
        """Kind -> CPU seconds since the mark."""
        self._look()
        total: dict[str, float] = defaultdict(float)
        for pid, (kind, cpu_s) in self._cpu.items():
            total[kind] += cpu_s - self._marked.get(pid, 0.0)
        return dict(total)

    def mib(self) -> dict[str, float]:
        """Kind -> resident MiB now."""
        self._look()
        return dict(self._mib)

    def end(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()


def median(runs: Sequence[T], of: Callable[[T], float]) -> float:
    return statistics.median(of(run) for run in runs)


def machine() -> str:
    """One line about where the figures come from."""
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    memory = psutil.virtual_memory().total / 2**30
    load = psutil.getloadavg()[0]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return (
        f"{psutil.cpu_count()} cores ({model}), {memory:.0f} GiB, Python {platform.python_version()}, "
        f"load {load:.1f} before, commit {commit.stdout.strip()}, {time.strftime('%Y-%m-%d')}"
    )


def table(rows: Sequence[dict[str, object]]) -> str:
    """Rows as a Markdown table; the columns are those of the first."""
    if not rows:
        return ""
    names = list(rows[0])
    lines = [names, ["---"] * len(names), *[[str(row.get(n, "")) for n in names] for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write_json(path: Path | None, what: object) -> None:
    """Keep the figures for whoever compares."""
    if path is not None:
        path.write_text(json.dumps(what, indent=1))
