"""A training's command as a process: nothing that it started outlives whoever started it."""

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from aaa.cluster.training import TrainingFailed, Unwanted, train

WRAPPER = """
sleep 600 &
echo $! >> pids
setsid sh -c 'sleep 600 & echo $! >> pids; wait' &
echo $! >> pids
echo $$ >> pids
wait
"""
"""A command as people write them: the trainer is a child of it, or a grandchild in a session of its own."""
CONDUCTOR = """
import asyncio, sys
from pathlib import Path
from aaa.cluster.training import train

async def wanted() -> bool:
    return True

folder = Path(sys.argv[1])
asyncio.run(train(["sh", "-c", sys.argv[2]], folder, folder / "train.log", 600, folder, wanted))
"""


async def started(folder: Path) -> list[psutil.Process]:
    """What the wrapper started, once all of it is there."""
    for _ in range(400):
        with suppress(FileNotFoundError):
            pids = (folder / "pids").read_text().split()
            if len(pids) == 4:
                return [psutil.Process(int(pid)) for pid in pids]
        await asyncio.sleep(0.05)
    raise AssertionError("never began")


def left(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that live on; they are ended here."""
    _, alive = psutil.wait_procs(processes, timeout=10)
    for process in alive:
        process.kill()
    return alive


async def test_what_a_training_started_dies_with_its_conductor(tmp_path: Path) -> None:
    conductor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CONDUCTOR, str(tmp_path), WRAPPER)
    )
    processes = await started(tmp_path)
    conductor.kill()
    await conductor.wait()
    assert left(processes) == []


async def test_what_a_training_started_ends_when_it_is_not_wanted(tmp_path: Path) -> None:
    begun: list[psutil.Process] = []

    async def wanted() -> bool:
        begun.extend(await started(tmp_path))
        return False

    with pytest.raises(Unwanted):
        await train(["sh", "-c", WRAPPER], tmp_path, tmp_path / "train.log", 60, tmp_path, wanted)
    assert left(begun) == []


async def wanted_still() -> bool:
    return True


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("exit 3", "ended with exit code 3"),
        ("kill -9 $$", "ended with exit code 137"),
        ("trap '' TERM; sleep 600 & wait", "ran out of its time"),
        (None, "'no-such-command' cannot be started"),
    ],
)
async def test_how_a_training_ended_is_told(
    tmp_path: Path, command: str | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aaa.cluster.training.END_S", 0.5)
    words = ["sh", "-c", command] if command is not None else ["no-such-command"]
    began = time.monotonic()
    with pytest.raises(TrainingFailed, match=said):
        await train(words, tmp_path, tmp_path / "train.log", 1.5, tmp_path, wanted_still)
    assert time.monotonic() - began < 30


async def test_a_server_in_a_session_of_its_own_outlives_a_training_that_ended_well(
    tmp_path: Path,
) -> None:
    """It may serve what was trained."""
    server = "setsid sh -c 'echo $$ > server; exec sleep 600' &"
    last = json.dumps({"model": "openai/pupil-1"})
    command = f"{server} until [ -s server ]; do sleep 0.05; done; pwd; echo '{last}'"
    log = tmp_path / "train.log"
    told = await train(["sh", "-c", command], tmp_path, log, 60, tmp_path, wanted_still)
    assert told == {"model": "openai/pupil-1"}
    assert log.read_text().startswith(str(tmp_path))
    os.kill(int((tmp_path / "server").read_text()), signal.SIGKILL)
