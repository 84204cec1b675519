"""Code that nobody trusts: honest code passes, hostile code never does, nothing of ours is reached or left.

Real processes, no services. Each hostile answer must come to a verdict or a typed error; that it comes within
its time is the sandbox's own clock's business, and a hang would end the suite.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aaa.checkers import grade
from aaa.checkers.python_tests import code_in
from aaa.errors import CheckError
from aaa.sandbox.running import Report, run_tests
from aaa.types import Check, CheckFailure
from tests.helpers.untrusted import HONEST, HOSTILE, RIGHT, SQUARE


def run(code: str, tests: str = SQUARE, *, cpu_s: int = 1, landlock: bool = True) -> Report:
    return run_tests(code, tests, cpu_s=cpu_s, memory_mib=256, landlock=landlock)


@pytest.mark.parametrize("name", HONEST)
def test_honest_code_passes(name: str) -> None:
    done = run(*HONEST[name], cpu_s=5)
    assert (done.why, done.held) == ("", done.of)


WITHOUT_FILES = [
    name
    for name in HOSTILE
    if any(word in name for word in ("read", "write", "list", "remove", "mode", "import", "start"))
]
"""Those that may come out otherwise where the kernel has no Landlock."""


@pytest.mark.parametrize(
    ("name", "landlock"),
    [(name, True) for name in HOSTILE] + [(name, False) for name in WITHOUT_FILES],
)
def test_hostile_code_never_passes(
    name: str, landlock: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    monkeypatch.setenv("AAA_TOKEN", "canary")
    before = processes()
    try:
        done = run(HOSTILE[name], landlock=landlock)
    finally:
        assert processes() == before
    assert done.held < done.of, name
    assert done.why
    assert "canary" not in done.why
    assert list(tmp_path.iterdir()) == []


def processes(of: int | None = None) -> set[int]:
    """Children of a process (this one), dead ones that nobody waited for included."""
    own = set()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            status = (place / "stat").read_text()
        except OSError:
            continue
        if int(status.rpartition(")")[2].split()[1]) == (of or os.getpid()):
            own.add(int(place.name))
    return own


@pytest.mark.parametrize("landlock", [True, False])
def test_what_the_code_can_open(landlock: bool, tmp_path: Path) -> None:
    """With Landlock its own folder; without, nothing at all. A file of ours never."""
    ours = tmp_path / "ours"
    ours.write_text("secret")
    code = (
        "def opens(path, mode):\n    try:\n        open(path, mode).close()\n        return True\n"
        "    except PermissionError:\n        return False"
    )
    tests = (
        f"assert not opens({str(ours)!r}, 'r')\nassert not opens({str(ours)!r}, 'w')\n"
        f"assert opens('own', 'w') is {landlock}\nassert opens('/etc/passwd', 'r') is False"
    )
    done = run(code, tests, landlock=landlock)
    assert done.why == ""
    assert done.files == ("landlock" if landlock else "none")
    assert ours.read_text() == "secret"


@pytest.mark.parametrize("name", ["a function", "a class", "exceptions", "a generator", "threads"])
def test_honest_code_passes_without_landlock(name: str) -> None:
    done = run(*HONEST[name], cpu_s=5, landlock=False)
    assert (done.why, done.held) == ("", done.of)


def test_some_tests_hold() -> None:
    done = run("def f(x): return 4", "assert f(2) == 4\nassert f(3) == 9\nassert f(-2) == 4")
    assert (done.held, done.of) == (2, 3)
    assert "'assert f(3) == 9'" in done.why


def test_a_preparation_that_fails_ends_the_tests() -> None:
    done = run(RIGHT, "x = f(1)\nassert x == 1\ny = missing(1)\nassert x == 1")
    assert (done.held, done.of) == (1, 2)
    assert "NameError" in done.why


def test_an_object_of_an_unnamed_class_decides_no_arithmetic() -> None:
    evil = (
        "class E:\n    def __sub__(s, o): return 0.0\n    __add__ = __lt__ = __contains__ = __sub__\n"
        "    def __iter__(s): return iter(())\n    def __abs__(s): return 0.0\ndef f(x): return E()"
    )
    assert run(evil, "assert abs(f(2) - 0.5) < 1e-6").held == 0
    assert run(evil, "assert not f(2) < 3").held == 0
    assert run(evil, "assert 3 in f(2)").held == 0


def test_built_in_names_stay_ours() -> None:
    code = "def f(x): return 0\nabs = round = sum = max = lambda *a: 0"
    assert run(code, "assert abs(f(2) - 4) < 1\nassert max(f(2), 4) == f(2)").held == 0


def test_the_limits_are_those_that_were_asked_for() -> None:
    code = (
        "import resource as r\n"
        "def f(): return [r.getrlimit(w) for w in (r.RLIMIT_CPU, r.RLIMIT_AS, r.RLIMIT_FSIZE, r.RLIMIT_CORE)]"
    )
    mib = 2**20
    wanted = [(3, 4), (256 * mib, 256 * mib), (4 * mib, 4 * mib), (0, 0)]
    assert run(code, f"assert f() == {wanted}", cpu_s=3).why == ""


def test_an_unnamed_class_may_not_even_be_called_by_a_functions_name() -> None:
    evil = "class f(float):\n    def __sub__(s, o): return s\n    def __abs__(s): return 0.0"
    assert run(evil, "assert abs(f(2) - 0.5) < 1e-6").held == 0


def test_tests_that_hang_are_an_error_not_a_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aaa.sandbox.running.GRACE_S", 0)
    with pytest.raises(CheckError, match="the tests") as caught:
        run(RIGHT, "assert f(1)\nwhile True:\n    assert 1")
    assert caught.value.kind in ("broken", "timeout")  # by their CPU time, or by our clock


def test_a_folder_that_fills_up_ends_the_code() -> None:
    flood = """import time
i = 0
while True:
    i += 1
    open(str(i), 'wb').write(b'x' * 4 * 10 ** 6)
    time.sleep(0.005)
"""
    done = run_tests(flood, SQUARE, cpu_s=20, memory_mib=256)
    assert done.held == 0
    assert "SIGKILL" in done.why


@pytest.mark.parametrize("late", [False, True])
def test_children_end_with_whoever_started_them(tmp_path: Path, late: bool) -> None:
    """Before they are confined, and when the code has begun."""
    code = "open('up', 'w')\nimport time\ntime.sleep(600)"
    program = (
        "from aaa.sandbox.running import run_tests\n"
        f"run_tests({code!r}, 'assert 1', cpu_s=60, memory_mib=256)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    children = _until(lambda: len(found := processes(parent.pid)) == 2 and found)
    if late:
        _until(lambda: list(tmp_path.glob("*/up")))
    parent.kill()
    parent.wait()
    assert _until(lambda: not any(_runs(child) for child in children))


def _until(wanted: Callable[[], Any]) -> Any:
    """What it gives, as soon as that is true; the suite's own time limit ends a vain wait."""
    while not (found := wanted()):
        time.sleep(0.05)
    return found


def _runs(process: int) -> bool:
    """Whether it still runs; a dead one that waits for somebody to look does not."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_where_confinement_fails_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The children are told of no machine that they could be confined on."""
    import aaa.sandbox.running as running

    other = "from aaa.sandbox import confine; confine._ARCHITECTURES.clear()"
    first, _, rest = running.PROGRAM.partition("; from")
    monkeypatch.setattr(running, "PROGRAM", f"{first}; {other}; from{rest}")
    found = grade({"kind": "python_tests", "tests": SQUARE}, f"```python\n{RIGHT}\n```")
    assert isinstance(found, CheckFailure)
    assert (found.kind, "no confinement" in found.message) == ("unavailable", True)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (RIGHT, RIGHT),
        (f"Here:\n```python\n{RIGHT}\n```\nDone.", RIGHT + "\n"),
        (f"```py\n{RIGHT}\n```\n```text\n4\n```", RIGHT + "\n"),
        (f"```\n{RIGHT}\n```", RIGHT + "\n"),
        (f"```python\n{RIGHT}", RIGHT),
        ("```python\na = 1\n```\nand\n```python\nb = a\n```", "a = 1\n\nb = a\n"),
        ("```python\n>>> f(2)\n4\n```\n```python\na = 1\n```", "a = 1\n"),
        ("```js\nlet a = 1\n```", None),
        ("I cannot.", None),
        ("", None),
        ("(" * 100_000, None),
        ("x" * 300_000, None),
    ],
)
def test_code_in_an_answer(answer: str, code: str | None) -> None:
    assert code_in(answer) == code


def test_many_at_once_all_come_home() -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(16) as pool:
        done = list(
            pool.map(lambda n: run(f"def f(x): return {n % 3} * x", "assert f(2) == 4"), range(24))
        )
    assert [d.held for d in done] == [int(n % 3 == 2) for n in range(24)]


def test_a_check_of_python_tests_is_a_score() -> None:
    spec = {"kind": "python_tests", "tests": SQUARE}
    assert grade(spec, RIGHT) == Check(score=1, why="2 of 2 tests hold")
    half = grade(spec, "def f(x): return 4")
    assert isinstance(half, Check)
    assert (half.score, half.passed) == (0.5, False)


def test_these_tests_ran_where_confinement_is_to_be_had() -> None:
    assert sys.platform == "linux"
