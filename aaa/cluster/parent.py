"""Processes that must not outlive the one which started them.

`python -m aaa.cluster.parent FOLDER COMMAND…` runs a command there and minds it: once its own standard input
ends, since whoever holds the other end is gone or wants it to, the command and whatever it started are
killed, in other process groups and sessions too. Its exit code is the command's.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

DEATH_SIGNAL, SUBREAPER = 1, 36
"""`PR_SET_PDEATHSIG` and `PR_SET_CHILD_SUBREAPER` of prctl(2)."""
LOOK_S = 0.2


def die_with_parent() -> None:
    """In a child, once it is forked: be killed when the parent ends (Linux; elsewhere it lives on)."""
    _prctl(DEATH_SIGNAL, signal.SIGKILL)


def mind(folder: Path, command: Sequence[str]) -> int:
    """Run it to its end, or until standard input ends; its exit code, or 128 and the signal that ended it.

    Exits where it cannot be started. After SIGTERM, which the command is sent too, nothing that it leaves
    behind lives on.
    """
    asked = list[int]()
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    _prctl(SUBREAPER, 1)  # whoever among its descendants loses its parent becomes ours
    try:
        process = subprocess.Popen(  # noqa: S603 (the operator's own)
            command, cwd=folder, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent
        )
    except OSError as error:
        sys.exit(f"{command[0]!r} cannot be started: {error}")
    left = False
    while not left and process.poll() is None:
        left = bool(select.select([sys.stdin], [], [], LOOK_S)[0])
    if left:
        process.kill()
    code = process.wait()
    if left or asked:
        _end_all()
    return code if code >= 0 else 128 - code


def _end_all() -> None:
    """Kill our children until none is left: those of one that was killed are ours from then on."""
    with contextlib.suppress(ChildProcessError):  # there is none
        while True:
            for pid in _children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.wait()
    os.killpg(0, signal.SIGKILL)  # us too; and where children are not told, at least our group


def _children() -> Iterator[int]:
    """As /proc tells them (Linux; elsewhere none)."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # ended meanwhile
            *_, after_name = path.read_text("utf-8", "replace").rpartition(") ")
            if int(after_name.split()[1]) == os.getpid():
                yield int(path.parent.name)


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value)


if __name__ == "__main__":
    sys.exit(mind(Path(sys.argv[1]), sys.argv[2:]))
