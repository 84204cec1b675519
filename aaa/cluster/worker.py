"""Stands in for the program of a Ray worker: has it forked by `fork_server.py`, and ends.

Started by a raylet with the worker's options; needs nothing beyond the standard library. Where no fork
server answers, it becomes the worker itself, as Ray would have started it.

    python worker.py OPTION …
"""

import array
import json
import os
import socket
import struct
import sys
from importlib.util import find_spec

SERVER = "AAA_FORK_SERVER"
"""Environment variable: the abstract socket at which the fork server listens."""
ANSWER_S = 60.0
"""As long as Ray waits for a worker. The server may have Ray to load first; a dead one is known at once."""
STREAMS = (0, 1, 2)
CREDENTIALS = struct.Struct("3i")


def program() -> str:
    """The file that Ray runs as a worker. Raises `FileNotFoundError`."""
    spec = find_spec("ray")
    package = os.path.dirname(str(spec and spec.origin))  # noqa: PTH120
    found = os.path.join(package, "_private", "workers", "default_worker.py")  # noqa: PTH118
    if not os.path.exists(found):  # noqa: PTH110
        raise FileNotFoundError(found)
    return found


def forked(server: str, options: list[str]) -> bool:
    """Whether that server has forked a worker with these options, in this process's place.

    What is said holds keys: it is said to a process of this user alone.
    """
    asked = {
        "options": options,
        "environment": dict(os.environ),
        "folder": os.getcwd(),  # noqa: PTH109
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
    }
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(ANSWER_S)
            link.connect(f"\0{server}")
            if user(link) != os.getuid():  # anybody may listen there, once the server is gone
                return False
            streams = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", STREAMS))]
            link.sendmsg([b"\n"], streams)
            link.sendall(json.dumps(asked).encode())
            link.shutdown(socket.SHUT_WR)
            return link.recv(20).isdigit()
    except OSError:
        return False


def user(link: socket.socket) -> int:
    """Who is at the other end; of one that listens, who began to."""
    told = link.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return int(CREDENTIALS.unpack(told)[1])


def main() -> None:
    """Have it forked, or become it."""
    server, options = os.environ.get(SERVER, ""), sys.argv[1:]
    if not (server and forked(server, options)):
        os.execv(sys.executable, [sys.executable, program(), *options])  # noqa: S606


if __name__ == "__main__":
    main()
