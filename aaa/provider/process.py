"""A provider in a process of its own: it says where it listens, and stops on SIGTERM or SIGINT."""

import asyncio
import os
import resource
import signal
import sys
from pathlib import Path

from aaa.provider.server import Provider, serve


def run_provider(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    faults: str = "",
    log: Path | None = None,
    seed: int = 0,
    judge: str = "",
    skills: str = "",
    port_file: Path | None = None,
) -> int:
    """Serve until told to stop; exit code 0. Raises `InputError` or `SetupError` before it listens."""

    async def until_stopped() -> None:
        stop = asyncio.Event()
        async with serve(
            faults=faults, host=host, port=port, seed=seed, judge=judge, skills=skills, log=log
        ) as provider:
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            print(_line(provider), file=sys.stderr, flush=True)
            if port_file is not None:
                _write_port(port_file, provider.address[1])
            await stop.wait()

    _allow_connections()
    asyncio.run(until_stopped())
    return 0


def _allow_connections() -> None:
    """As many open files as this process may have: each connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _line(provider: Provider) -> str:
    return (
        f"provider stub at {provider.base_url} "
        f"(in an agent card: model: openai/stub, api_base: {provider.base_url}; any key will do)"
    )


def _write_port(file: Path, port: int) -> None:
    """The port as text; whoever finds the file finds all of it."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    draft.write_text(f"{port}\n", "utf-8")
    draft.replace(file)
