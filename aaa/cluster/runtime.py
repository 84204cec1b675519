"""Starting Ray: on this machine, closed to whoever lacks its token, or joining a cluster (`RAY_ADDRESS`)."""

import hashlib
import logging
import os
import secrets
import shutil
import signal
import tempfile
import threading
from pathlib import Path
from typing import Any

from aaa.cluster.lean import lean
from aaa.errors import SetupError
from aaa.settings import Settings

OURS = "aaa.cluster.actors"
"""What a worker loads while it waits to become a runner or a seat."""
OBJECT_STORE_BYTES = 100 * 2**20  # nothing large travels: turns do, weights and exports never


def load_ray(settings: Settings) -> Any:
    """The `ray` module, imported in the environment that it reads then. Raises `SetupError`."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if settings.ray_address is None:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(_token_file(settings.home))
        os.environ.pop("RAY_ADDRESS", None)
    try:
        import ray
    except ImportError as error:
        raise SetupError(f"Ray cannot be loaded: {error}; install AAA again") from error
    return ray


def start_ray(settings: Settings, namespace: str) -> Any:
    """The `ray` module, connected. Raises `SetupError`.

    On this machine: no dashboard, no agents (`lean.py`), and token mode with a token file that only its owner
    can read. Ray's own ports listen on every interface; without the token they serve nobody.
    """
    ray = load_ray(settings)
    common = {"namespace": namespace, "log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if settings.ray_address is not None:
            ray.init(address=settings.ray_address, **common)
        else:
            with lean():
                ray.init(
                    include_dashboard=False,
                    num_cpus=os.cpu_count(),
                    object_store_memory=OBJECT_STORE_BYTES,
                    _node_ip_address="127.0.0.1",
                    _temp_dir=str(_temporary(settings.home)),
                    _system_config={"preload_python_modules": [OURS]},
                    **common,
                )
    except Exception as error:
        where = settings.ray_address or "this machine"
        raise SetupError(
            f"Ray did not start on {where}: {str(error).splitlines()[0]}; "
            + ("check RAY_ADDRESS" if settings.ray_address else "see `aaa doctor`")
        ) from error
    return ray


def stop_ray(ray: Any, settings: Settings) -> None:
    """Leave Ray; what it wrote on this machine goes with it."""
    ray.shutdown()
    if settings.ray_address is None:
        shutil.rmtree(_temporary(settings.home), ignore_errors=True)


def keep_signals() -> None:
    """Put this process's signal handlers back: `ray.init` replaces them, below Python, by its own.

    Without this, SIGTERM aborts the process. To be called from the main thread, after `start_ray`.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        if handler is not None:
            signal.signal(number, handler)


def _token_file(home: Path) -> Path:
    """A token of this home's own, made once, readable by its owner alone."""
    path = home / "ray" / "token"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
        draft.replace(path)
    path.chmod(0o600)  # one that was there may be Ray's own, which others can read
    return path


def _temporary(home: Path) -> Path:
    """Ray's session folder: short, since its Unix sockets allow about 100 characters."""
    key = hashlib.sha256(str(home).encode()).hexdigest()[:8]
    return Path(tempfile.gettempdir()) / f"aaa-ray-{os.getuid()}-{key}"
