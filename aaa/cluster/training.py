"""The command that trains: run in its stage's folder, its words kept, killed when its course is cancelled.

Whatever the command is, what it prints last as one JSON object says how the trained model is reached:
`{"model": "openai/my-student-g1", "api_base": "http://…"}`. It dies with the process that started it, and
so does whatever it started (`parent.py`). The next one starts it again; resuming from its own checkpoints
is its affair. One that ended well is not run again: what it said is kept beside its log.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

from aaa.corpus.files import whole
from aaa.errors import AAAError, SetupError, StoreError
from aaa.store import courses
from aaa.store.database import Database
from aaa.training.progress import progress

TOLD = frozenset({"model", "api_base", "api_key_env", "price", "limits", "sampling", "local"})
"""What the command may say of the card of the model that it made."""
LOOK_S = 1.0
END_S = 5.0
"""How long a command that is told to stop may take before it is killed."""
TAIL = 2000
"""Characters of the log that an error tells."""

Wanted = Callable[[], Awaitable[bool]]
"""Whether the training is still wanted."""


class TrainingFailed(AAAError):
    """The command ended badly; the message tells its last words and where the rest is."""


class Unwanted(AAAError):
    """Its course was cancelled meanwhile."""


async def train(
    command: Sequence[str], folder: Path, log: Path, timeout_s: float, home: Path, wanted: Wanted
) -> dict[str, Any]:
    """Run it to its end; what it said of its model. Raises `TrainingFailed`, `Unwanted`, `SetupError`.

    `home`: what it finds as `AAA_HOME`, since it runs in `folder`.
    """
    with log.open("wb") as out:
        code = await _run(command, folder, out, timeout_s, home, wanted)
    said = (await asyncio.to_thread(log.read_bytes)).decode("utf-8", "replace")
    if code != 0:
        ended = "ran out of its time" if code is None else f"ended with exit code {code}"
        raise TrainingFailed(f"{command[0]!r} {ended}; its log is {log}: …{said[-TAIL:].strip()}")
    return told(said, log)


def keep(said: dict[str, Any], log: Path) -> None:
    """Put it on disk, so that nothing that happens from now on has it trained again. Raises `SetupError`."""
    with whole(_kept(log)) as draft:
        draft.write_text(json.dumps(said), "utf-8")


def kept(log: Path) -> dict[str, Any] | None:
    """What the command said that ended well here; `None`: it has to be run."""
    try:
        found: dict[str, Any] = json.loads(_kept(log).read_text("utf-8"))
    except FileNotFoundError:
        return None
    return found


def _kept(log: Path) -> Path:
    return log.with_suffix(".told")


class OnRecord:
    """A training under way, as its course sees it."""

    def __init__(self, database: Database, course_id: str, position: int, output: Path) -> None:
        self._database, self._id, self._position = database, course_id, position
        self._output, self._told = output, dict[str, float]()

    async def look(self) -> bool:
        """Whether it is still wanted; puts how it stands on record where that changed.

        A database that is away has not said that the course was cancelled.
        """
        try:
            now = await asyncio.to_thread(progress, self._output)
            if now != self._told:
                data = {"progress": now}
                await courses.note_step(self._database, self._id, self._position, data)
                self._told = now
            return (await courses.get_course(self._database, self._id)).status != "cancelled"
        except StoreError:
            return True


async def _run(
    command: Sequence[str],
    folder: Path,
    out: IO[bytes],
    timeout_s: float,
    home: Path,
    wanted: Wanted,
) -> int | None:
    """Its exit code; `None` where it took too long."""
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "aaa.cluster.parent", str(folder), *command),
            env={**os.environ, "AAA_HOME": str(home)},
            stdin=asyncio.subprocess.PIPE,  # ends with us, and it with that
            stdout=out,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise SetupError(f"train.command: {command[0]!r} cannot be started: {error}") from error
    ends = asyncio.get_running_loop().time() + timeout_s
    try:
        while True:
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(process.wait(), LOOK_S)
            if not await wanted():
                raise Unwanted("the course was cancelled")
            if asyncio.get_running_loop().time() > ends:
                return None
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Stop it, gently first, and whatever it started that outlives it."""
    assert process.stdin is not None
    for stop in (partial(os.killpg, process.pid, signal.SIGTERM), process.stdin.close):
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, TimeoutError):
                stop()
                await asyncio.wait_for(process.wait(), END_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def told(said: str, log: Path) -> dict[str, Any]:
    """What the last line that is a JSON object says of the model. Raises `TrainingFailed`."""
    for line in reversed(said.splitlines()):
        if not line.lstrip().startswith("{"):
            continue
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and isinstance(found.get("model"), str):
            return {key: value for key, value in found.items() if key in TOLD}
    raise TrainingFailed(
        f"the command ended well but never said how its model is reached; its last line must be a JSON "
        f'object such as {{"model": "openai/my-student-g1", "api_base": "http://127.0.0.1:8000/v1"}} ({log})'
    )
