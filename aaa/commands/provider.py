"""`aaa provider`: the stub as a user starts it."""

import sys
from pathlib import Path

from aaa.loopback import is_loopback
from aaa.provider import grammar
from aaa.provider.process import run_provider

FAULTS_HELP = grammar.__doc__ or ""
"""The grammar of `--faults`, for `--help`."""


def run(
    host: str = "127.0.0.1",
    port: int = 0,
    faults: str = "",
    log: Path | None = None,
    seed: int = 0,
    judge: str = "",
    skills: str = "",
    port_file: Path | None = None,
) -> int:
    """Serve until SIGTERM or Ctrl-C; exit code 0. Raises `InputError` or `SetupError`."""
    if not is_loopback(host):
        print(
            f"warning: {host} can be reached from outside; the stub asks for no key",
            file=sys.stderr,
        )
    return run_provider(
        host=host,
        port=port,
        faults=faults,
        log=log,
        seed=seed,
        judge=judge,
        skills=skills,
        port_file=port_file,
    )
