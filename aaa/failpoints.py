"""Named points at which a process can be made to die, to prove that nothing recorded is lost there.

`AAA_FAILPOINTS` names a folder; a file in it, called like a point, arms that point. The first process to
pass removes the file, so that exactly one dies, and kills itself: SIGKILL, as the kernel would. Without the
variable a point costs a look at a constant. After FreeBSD's fail(9); only the deadliest action is kept.
"""

import asyncio
import os
import signal
from pathlib import Path

OF_COURSES = (
    # the conductor of a staged scenario
    "course.inside",  # what a step found is written, not committed
    "course.after",
    "course.round",  # a step's round made, the step not marked
    "course.trained",  # the command ended well, nothing of it in the database
    "course.registered",  # the trained student on record, its card not written
)
NAMES = (
    *OF_COURSES,
    # a call, in the seat
    "begin.inside",  # intent written, not committed
    "begin.after",  # intent committed, request not yet sent
    "request.sent",  # the provider works on it
    "answer.read",  # answer in memory, nothing written
    "answer.inside",  # turn written, not committed
    "settle.inside",  # budget settled, event not written, not committed
    "answer.after",  # committed, the runner not told
    "fail.inside",  # failed attempt written, not committed
    "spool.after",  # database away, answer on disk
    "spool.replayed",  # answer of the spool committed, its file still there
    # a session, in the runner
    "claim.inside",
    "claim.after",
    "renew.inside",
    "replay.after",  # recorded turns read, nothing asked yet
    "verdict.inside",
    "verdict.after",
    "finish.inside",
    "finish.after",
    # the supervisor
    "sweep.inside",  # recovery of what dead processes left
    "supervise.after",  # actors started
    # the control plane, and the command line
    "create.inside",
    "steer.inside",
    "export.row",
)

_FOLDER = os.environ.get("AAA_FAILPOINTS")


def hit(name: str) -> None:
    """Die here, if this point is armed."""
    if _FOLDER is None:
        return
    assert name in NAMES, name
    try:
        (Path(_FOLDER) / name).unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def hit_soon(name: str, in_s: float = 0.02) -> None:
    """Die in a moment, in the middle of what this task begins now, if this point is armed."""
    if _FOLDER is not None:
        asyncio.get_running_loop().call_later(in_s, hit, name)
