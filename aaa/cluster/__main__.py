"""The supervisor as a process of its own: `python -m aaa.cluster`, started and kept by `keeper.py`.

Ray ends the process that lost its head or its raylet, so this process must be one that may die. The first
line of its standard input says which database is open. It stops when that input ends: then whoever started
it is gone, or wants it to. Its arguments are what seats will load (`models.library`).
"""

import asyncio
import logging
import os
import signal
import sys
import threading

from aaa.cluster import fork_server
from aaa.cluster.keeper import LOST, REFUSED
from aaa.cluster.runtime import load_ray
from aaa.cluster.supervisor import ClusterLost, supervise
from aaa.errors import SetupError
from aaa.logs import set_up
from aaa.models.redact import brief, secrets_in
from aaa.settings import read_settings
from aaa.store.database import Database


async def _main() -> None:
    load_ray(read_settings())  # a second, in which the database opens
    url = sys.stdin.readline().strip()
    if not url:
        return  # nobody opened one
    os.environ["DATABASE_URL"] = url  # also for the commands of a training step
    settings = read_settings()
    set_up(settings, "supervisor")
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    threading.Thread(target=_until_left, args=(loop, stop), daemon=True).start()
    database = Database(url)
    try:
        await supervise(settings, database, stop)
    finally:
        await database.close()


def _until_left(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    sys.stdin.read()
    loop.call_soon_threadsafe(stop.set)


async def _to_the_end() -> None:
    """Leave at once when done: a thread that asks Ray's dead head would be waited for, for a minute."""
    code = 0
    try:
        await _main()
    except SetupError as error:
        print(error, flush=True)
        code = REFUSED
    except ClusterLost as error:
        logging.getLogger(__name__).warning("%s", error)
        code = LOST
    except Exception as error:
        logging.getLogger(__name__).exception("the supervisor failed")
        print(brief(f"{type(error).__name__}: {error}", secrets_in(os.environ)), flush=True)
        code = 1
    logging.shutdown()
    os._exit(code)


def main() -> None:
    fork_server.start(sys.argv[1:])
    asyncio.run(_to_the_end())


if __name__ == "__main__":
    main()
