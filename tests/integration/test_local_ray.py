"""Ray on this machine: closed to whoever lacks its token, which its owner alone can read; no dashboard.

Ray is started in processes of its own: it is not to be loaded where other tests run.
"""

import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from aaa.cluster.runtime import _token_file

START = """
import os, sys
from pathlib import Path
from aaa.cluster.runtime import start_ray, stop_ray
from aaa.settings import Settings

os.umask(0)
settings = Settings(home=Path(sys.argv[1]))
ray = start_ray(settings, "test")
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
stop_ray(ray, settings)
"""
JOIN = """
import sys
import ray

ray.init(address=sys.argv[1], log_to_driver=False)
print("came in with", ray.cluster_resources(), flush=True)
"""
REFUSED, ADMITTED = "InvalidAuthToken", "came in with"
WITHIN_S = 60.0
DASHBOARD_PORT = 8265
IS_PYTHON = re.compile(r"/.*\.py$").match


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, psutil.Process]]:
    """(home, address, process) of a Ray that was started as `aaa run` starts it."""
    home = tmp_path_factory.mktemp("ray")
    command = [sys.executable, "-c", START, str(home)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        yield home, running.stdout.readline().strip(), psutil.Process(running.pid)
        running.communicate(timeout=WITHIN_S)  # its input ends, and it stops
    assert running.returncode == 0


def joining(address: str, **env: str) -> "subprocess.Popen[str]":
    """Somebody who wants to join, with that environment."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return subprocess.Popen(
        [sys.executable, "-c", JOIN, address], env=clean | env,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def fate(one: "subprocess.Popen[str]") -> str:
    """The first thing said that decides it; who is refused would try again for half a minute."""
    assert one.stdout is not None
    said = []
    until = time.monotonic() + WITHIN_S
    for line in one.stdout:
        said.append(line)
        for word in (REFUSED, ADMITTED):
            if word in line:
                return word
        assert time.monotonic() < until, said
    return "".join(said)


def test_who_lacks_the_token_does_not_come_in(started: tuple[Path, str, psutil.Process]) -> None:
    home, address, _ = started
    token = str(home / "ray" / "token")
    with ExitStack() as ended:
        there = [
            joining(address),
            joining(address, RAY_AUTH_MODE="disabled"),
            joining(address, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN="0" * 64),
            joining(address, RAY_AUTH_MODE="token", RAY_AUTH_TOKEN_PATH=token),
        ]
        for one in there:
            ended.enter_context(one)
            ended.callback(one.kill)
        assert [fate(one) for one in there] == [REFUSED, REFUSED, REFUSED, ADMITTED]


def test_its_owner_alone_reads_the_token(
    started: tuple[Path, str, psutil.Process], tmp_path: Path
) -> None:
    file = started[0] / "ray" / "token"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600  # though the umask kept nobody out
    assert len(file.read_text()) == 64
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "token").write_text("of an older Ray")
    (tmp_path / "ray" / "token").chmod(0o644)
    assert stat.S_IMODE(_token_file(tmp_path).stat().st_mode) == 0o600


def test_there_is_no_dashboard(started: tuple[Path, str, psutil.Process]) -> None:
    """Nor its agents: what runs besides Ray's own programs and workers stands in for them."""
    there = started[2].children(recursive=True)
    assert {"gcs_server", "raylet"} <= {one.name() for one in there}
    run = [next(filter(IS_PYTHON, one.cmdline()), "") for one in there if "python" in one.name()]
    assert {Path(program).name for program in run} == {"no_agent.py"}
    ports = {c.laddr.port for one in there for c in one.net_connections("tcp")}
    assert ports
    assert DASHBOARD_PORT not in ports
