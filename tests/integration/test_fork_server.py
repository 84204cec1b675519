"""The fork server forks for its own user alone, as it is asked, and outlives whoever asks wrongly."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from aaa.cluster import worker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")
SERVE = (
    "import os, sys; from aaa.cluster import fork_server; fork_server.start(sys.argv[1:]);"
    f"print(os.environ[{worker.SERVER!r}], flush=True); sys.stdin.read()"
)
LOADS = """
import os, sys, threading

def well():
    with open("loaded", "a") as told:
        told.write("once\\n")

def with_a_thread():
    threading.Thread(target=threading.Event().wait, daemon=True).start()
"""
NOBODY = 65534


@contextmanager
def serving(*loads: str, path: str = "", cwd: Path | None = None) -> Iterator[str]:
    """A fork server of a process of its own; where it listens."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, *loads],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((path, os.environ.get("PYTHONPATH", "")))},
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def asked(server: str, said: bytes) -> bytes:
    """What it answers to that."""
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(20)
        link.connect(f"\0{server}")
        link.sendall(said)
        link.shutdown(socket.SHUT_WR)
        return link.recv(20)  # nothing: it has closed


def run_worker(server: str, folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """A worker's program with options of which Ray's own will say that they are wrong."""
    return subprocess.run(
        [sys.executable, worker.__file__, *options],
        env=os.environ | {worker.SERVER: server, "RAY_JOB_ID": "ffffffff"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_worker_gets_its_options_and_its_streams(tmp_path: Path) -> None:
    with serving() as server:
        for _ in range(2):  # the second finds Ray loaded
            done = run_worker(server, tmp_path, "--node-id=of-a-test")
            assert done.returncode == 0  # it had it forked; what was forked says what is missing
            assert "required: --cluster-id" in done.stderr
            assert "--node-id" not in done.stderr.split("required:")[1]


def test_where_no_server_answers_it_becomes_the_worker(tmp_path: Path) -> None:
    done = run_worker("aaa-fork-nobody-listens", tmp_path, "--node-id=of-a-test")
    assert done.returncode == 2
    assert "required: --cluster-id" in done.stderr


def test_what_makes_no_sense_is_not_answered_and_harms_nobody(tmp_path: Path) -> None:
    with serving() as server:
        assert asked(server, b"") == b""
        assert asked(server, b"\n{") == b""
        assert asked(server, b"\n[]") == b""
        assert asked(server, b'\n{"environment": 1}') == b""
        assert "required" in run_worker(server, tmp_path).stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can ask as another user")
def test_another_user_is_not_answered(tmp_path: Path) -> None:
    with serving() as server:
        ask = (
            f"import os; from aaa.cluster import worker; os.setuid({NOBODY});"
            f"print(worker.forked({server!r}, []))"
        )
        done = subprocess.run(
            [sys.executable, "-c", ask], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout == "False\n", done.stderr
        assert "required" in run_worker(server, tmp_path).stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can listen as another user")
def test_a_worker_says_nothing_to_another_user(tmp_path: Path) -> None:
    """The environment that it would tell holds keys. It starts by itself instead."""
    listen = (
        f"import os, socket; os.setuid({NOBODY}); s = socket.socket(socket.AF_UNIX);"
        "s.bind(f'\\0aaa-fork-of-{os.getpid()}'); s.listen();"
        "print(f'aaa-fork-of-{os.getpid()}', flush=True); print(s.accept()[0].recv(1 << 16))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", listen], stdout=subprocess.PIPE, text=True
    ) as stranger:
        assert stranger.stdout is not None
        done = run_worker(stranger.stdout.readline().strip(), tmp_path)
        assert "required" in done.stderr
        assert stranger.stdout.read() == "b''\n"


def test_what_it_is_told_to_load_is_loaded_once_for_all(tmp_path: Path) -> None:
    (tmp_path / "heavy.py").write_text(LOADS)
    with serving("heavy:well", path=str(tmp_path), cwd=tmp_path) as server:
        for _ in range(2):
            done = run_worker(server, tmp_path)
            assert done.returncode == 0
            assert "required" in done.stderr
    assert (tmp_path / "loaded").read_text() == "once\n"


def test_it_ends_where_what_it_loads_starts_a_thread_and_workers_start_by_themselves(
    tmp_path: Path,
) -> None:
    (tmp_path / "heavy.py").write_text(LOADS)
    with serving("heavy:with_a_thread", path=str(tmp_path), cwd=tmp_path) as server:
        done = run_worker(server, tmp_path)
        assert done.returncode == 2
        assert "required" in done.stderr
