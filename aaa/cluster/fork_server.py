"""Forks Ray's workers off a process that has everything loaded: a runner or a seat starts at once.

The supervisor loads what its actors need anyway. Before it starts anything it forks this server off, which
has one thread, no loop and no connection, loads what it is told besides, and forks again for each worker that
a raylet asks for (`worker.py`). Ray itself is loaded when the first is asked for: it reads from the
environment, once, whose raylet a worker is of. What was loaded is shared memory until somebody writes to it.
Linux alone: elsewhere, and on a user's cluster, Ray starts its workers as it does.
"""

import gc
import importlib
import os
import pkgutil
import runpy
import secrets
import signal
import socket
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress

from aaa.cluster.parent import die_with_parent
from aaa.cluster.worker import SERVER, STREAMS, program, user
from aaa.types import Value

ASKED_S = 5.0
"""Who asks has so long to say it: others wait meanwhile."""


class Asked(Value):
    """The worker that is asked for."""

    options: tuple[str, ...]
    environment: dict[str, str]
    folder: str
    nice: int


def start(loads: Iterable[str] = ()) -> None:
    """Fork a server off this process, which must have one thread yet, and say so in its environment.

    It ends with this process. Does nothing where it cannot be had. `loads` are functions without arguments,
    as `pkgutil.resolve_name` takes them, that load what workers will need; one that starts a thread ends the
    server, since what the thread holds would be held for ever in whatever is forked.
    """
    os.environ.pop(SERVER, None)
    if sys.platform != "linux" or _threads() > 1:
        return
    name = f"aaa-fork-{os.getpid()}-{secrets.token_hex(8)}"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"\0{name}")
    listening.listen(64)
    parent = os.getpid()
    if os.fork():
        listening.close()
        os.environ[SERVER] = name
        return
    die_with_parent()
    if os.getppid() != parent:
        os._exit(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)  # whoever reads what the supervisor prints waits for its last writer
    os.dup2(nothing, 1)
    os.close(nothing)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a worker but its raylet
    for load in loads:
        pkgutil.resolve_name(load)()
    if _threads() > 1:
        os._exit(1)
    _serve(listening)


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))  # noqa: PTH208


def _serve(listening: socket.socket) -> None:
    """Fork for whoever asks and is of this user; returns in the forked worker, when that has ended."""
    while True:
        link, _ = listening.accept()
        with link, suppress(OSError, ValueError):
            link.settimeout(ASKED_S)
            if user(link) != os.getuid():
                continue
            asked, streams = _asked(link)
            if "ray" not in sys.modules:
                _load(asked.environment)
            worker = os.fork()
            if worker == 0:
                break
            for stream in streams:
                os.close(stream)
            link.sendall(str(worker).encode())
    listening.close()
    _become(asked, streams)


def _load(environment: Mapping[str, str]) -> None:
    """Load Ray in a worker's environment, and whatever else each of them has."""
    os.environ.update(environment)
    for name in ("ray", "uvloop"):
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # looking for garbage later would write to every page


def _asked(link: socket.socket) -> tuple[Asked, list[int]]:
    """What `worker.py` says, and its standard streams. Raises `ValueError` for anything else."""
    _, streams, _, _ = socket.recv_fds(link, 1, len(STREAMS))
    said = bytearray()
    while part := link.recv(1 << 16):
        said += part
    try:
        if len(streams) != len(STREAMS):
            raise ValueError("a worker needs its standard streams")
        return Asked.model_validate_json(bytes(said)), streams
    except ValueError:
        for stream in streams:
            os.close(stream)
        raise


def _become(asked: Asked, streams: list[int]) -> None:
    """In the forked process: be the worker that was asked for, to its end."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)  # as a raylet starts them: what it kills is the group
    os.environ.clear()
    os.environ.update(asked.environment)
    os.chdir(asked.folder)
    os.setpriority(os.PRIO_PROCESS, 0, asked.nice)
    for stream, number in zip(streams, STREAMS, strict=True):
        os.dup2(stream, number)
        os.close(stream)
    sys.argv = [program(), *asked.options]
    runpy.run_path(sys.argv[0], run_name="__main__")
    sys.exit()
