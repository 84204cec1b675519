"""Tests against code, each in a confined process of its own: our side, which starts, waits and kills.

The code's process is started first; it and the tests' process share two pipes, and only the tests'
process has one to us. Whatever happens, both process groups are killed and their folder is deleted before
`run_tests` returns.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from aaa.errors import CheckError
from aaa.types import Value

LONGEST_REPORT = 65_536
"""Bytes that the tests' process may report."""
MOST_MIB, MOST_FILES = 64, 1000
"""What may lie in the folder at once; looked at several times a second."""
GRACE_S = 5
"""Seconds by the clock beside what is computed: a busy machine is slow to start processes."""
_LOOK_S = 0.2
_ROOT = str(Path(__file__).parent.parent.parent)
PROGRAM = "import sys; sys.path.insert(0, {root!r}); from aaa.sandbox.{side} import main; main()"
"""What a child runs."""
_TURNS = threading.BoundedSemaphore(max(1, os.cpu_count() or 1))
"""No more at once than there are cores: the rest wait here, where no clock runs against them."""


class Report(Value):
    """What became of the tests."""

    held: int
    of: int
    why: str
    """The first test that does not hold, or how the code ended; empty where all hold."""
    files: Literal["landlock", "none"] | None
    """What the code could open: its own folder and Python's files, or nothing. `None`: it ended before."""


def run_tests(
    code: str, tests: str, *, cpu_s: int, memory_mib: int, landlock: bool = True
) -> Report:
    """Run the tests against the code. Raises `CheckError` where confinement fails, or the tests hang.

    The code has `cpu_s` seconds of CPU, and by the clock twice that and `GRACE_S`. What it does wrong is in
    the result.
    """
    with _TURNS, tempfile.TemporaryDirectory(prefix="aaa-check-") as folder:
        job = json.dumps({"code": code, "tests": tests}).encode()
        return _run(folder, job, cpu_s, memory_mib, landlock)


def what_holds() -> str:
    """What confinement this machine gives, tried out: for `aaa doctor`. Raises `CheckError` where none."""
    done = run_tests("x = 1", "assert x == 1", cpu_s=5, memory_mib=128)
    if done.why:
        raise CheckError("broken", f"a trial run failed: {done.why}")
    files = {
        "landlock": "files of its own folder only (Landlock)",
        "none": "no file at all (no Landlock in this kernel)",
    }
    return f"no network, no other process (seccomp); {files[done.files or 'none']}"


def _run(folder: str, job: bytes, cpu_s: int, memory_mib: int, landlock: bool) -> Report:
    """Start both, wait for the report. The tests' process may use CPU for as long as it may wait."""
    wall_s = 2 * cpu_s + GRACE_S
    us, rest = str(os.getpid()), (str(memory_mib), "1" if landlock else "0")
    started: list[subprocess.Popen[bytes]] = []
    try:
        with _pipe() as asked, _pipe() as said:
            code = _start("answer_side", folder, (us, str(cpu_s), *rest), asked[0], said[1])
            started.append(code)
            arguments = (us, str(wall_s), *rest, str(said[0]), str(asked[1]), str(wall_s))
            ours = subprocess.PIPE
            tests = _start("tests_side", folder, arguments, ours, ours, said[0], asked[1])
            started.append(tests)
        until = time.monotonic() + wall_s + cpu_s + GRACE_S
        return _understood(_report(tests, job, until, _Folder(folder, code)), code, cpu_s)
    finally:
        for process in started:
            _kill(process)


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """A pipe's two ends, closed on our side when the children have theirs."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


def _start(
    side: str, folder: str, arguments: tuple[str, ...], stdin: int, stdout: int, *kept: int
) -> subprocess.Popen[bytes]:
    """A child in a session of its own, with an environment of ours alone: no key, no path, fixed hashes."""
    program = PROGRAM.format(root=_ROOT, side=side)
    return subprocess.Popen(  # noqa: S603 (our own program)
        [sys.executable, "-S", "-s", "-P", "-B", "-c", program, folder, *arguments],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "TMPDIR": folder, "HOME": folder},
        pass_fds=kept,
        start_new_session=True,
    )


class _Folder:
    """The children's folder, kept from filling the disk."""

    def __init__(self, path: str, code: subprocess.Popen[bytes]) -> None:
        self._path, self._code = path, code

    def look(self) -> None:
        """End the code's process where it has written too much. Raises nothing: files come and go."""
        size = count = 0
        for place, _, names in os.walk(self._path):
            for name in names:
                with contextlib.suppress(OSError):
                    size += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118
                    count += 1
        if size > MOST_MIB * 2**20 or count > MOST_FILES:
            self._code.kill()


def _report(
    tests: subprocess.Popen[bytes], job: bytes, until: float, folder: _Folder
) -> dict[str, Any]:
    """What the tests' process says at its end. Raises `CheckError`: too late, or nothing that can be read."""
    assert tests.stdin is not None
    assert tests.stdout is not None
    try:
        tests.stdin.write(job)
        tests.stdin.close()
    except BrokenPipeError as error:
        raise CheckError("broken", "the tests' process ended at once") from error
    read, part = b"", b"?"
    while part and len(read) <= LONGEST_REPORT:
        if time.monotonic() > until:
            raise CheckError("timeout", "the tests themselves take too long")
        if select.select([tests.stdout], [], [], _LOOK_S)[0]:
            part = os.read(tests.stdout.fileno(), LONGEST_REPORT)
            read += part
        else:
            folder.look()
    try:
        return dict(json.loads(read))
    except (ValueError, TypeError) as error:
        status = _status(tests)
        raise CheckError("broken", f"the tests' process {status} without a report") from error


def _understood(report: dict[str, Any], code: subprocess.Popen[bytes], cpu_s: int) -> Report:
    if "unconfined" in report:
        raise CheckError("unavailable", f"no confinement on this machine: {report['unconfined']}")
    why = report.get("first", "")
    gone = report.get("gone")
    if gone == "ended":
        why = why or f"the code's process {_status(code, cpu_s)}"
    elif gone is not None:
        why = why or f"the code {gone}"
    return Report(held=report["held"], of=report["of"], why=why, files=report.get("files"))


def _status(process: subprocess.Popen[bytes], cpu_s: int | None = None) -> str:
    """How a process ended, for a person."""
    try:
        code = process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        return "closed its channel"
    if code == -signal.SIGXCPU:
        return "used up its CPU time" + (f" of {cpu_s} s" if cpu_s else "")
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended itself with exit status {code}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Its whole group, and wait for it. It has nothing outside it: a confined process starts no other."""
    if process.poll() is None:  # else its number may be another's by now
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
