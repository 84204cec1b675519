"""A Ray of our own without what AAA does not use: the dashboard, two agents, log monitor and autoscaler.

They are five processes, 6 s of CPU time at start-up and half a gigabyte; Ray has no setting that leaves all
of them out. So the few functions by which a Ray node starts them are replaced while it starts; and its
workers come from the fork server, where there is one. Where a future Ray no longer has those functions, it
starts as it does by itself. A user's cluster (`RAY_ADDRESS`) is left alone.
"""

import inspect
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aaa.cluster import worker

STAND_IN = (sys.executable, "-I", "-S", str(Path(__file__).with_name("no_agent.py")))
AGENTS = {
    "dashboard_agent": "metrics_agent_port,metrics_export_port,dashboard_agent_listen_port",
    "runtime_env_agent": "runtime_env_agent_port",
}
"""Agent -> names of the ports that it tells its raylet."""
UNUSED = ("start_api_server", "start_monitor", "start_log_monitor")
COMMAND = "_build_python_executable_command_memory_profileable"
RAYLET, PROGRAM = "start_raylet", "worker_path"
"""What starts a raylet, and which of its parameters is the program of a worker."""


@contextmanager
def lean() -> Iterator[None]:
    """Inside, `ray.init` starts a node with GCS, raylet and workers alone."""
    from ray._private import services
    from ray._private.node import Node

    build, start = getattr(services, COMMAND, None), getattr(services, RAYLET, None)
    if build is None or start is None or not all(hasattr(Node, name) for name in UNUSED):
        yield
        return

    def command(component: str, *others: Any, **more: Any) -> Sequence[str]:
        if component in AGENTS:
            return [*STAND_IN, AGENTS[component]]
        built: Sequence[str] = build(component, *others, **more)
        return built

    def nothing(*_: object, **__: object) -> None:
        return None

    def raylet(*given: Any, **more: Any) -> Any:
        bound = signature.bind(*given, **more)
        bound.arguments[PROGRAM] = worker.__file__
        return start(*bound.args, **bound.kwargs)

    was = {name: getattr(Node, name) for name in UNUSED}
    signature = inspect.signature(start)
    if worker.SERVER in os.environ and PROGRAM in signature.parameters:
        setattr(services, RAYLET, raylet)
    setattr(services, COMMAND, command)
    for name in UNUSED:
        setattr(Node, name, nothing)
    try:
        yield
    finally:
        setattr(services, COMMAND, build)
        setattr(services, RAYLET, start)
        for name, method in was.items():
            setattr(Node, name, method)
