"""What the environment says, read once per process. No other module looks at `os.environ` for these."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError

from aaa.errors import InputError
from aaa.types import Value


class Settings(Value):
    """The environment variables of AAA."""

    database_url: SecretStr | None = None
    """`DATABASE_URL`: a PostgreSQL server of yours; `None` starts the embedded one in `home`."""
    ray_address: str | None = None
    """`RAY_ADDRESS`: a Ray cluster of yours (`HOST:PORT`); `None` starts Ray on this machine."""
    home: Path = Path(".aaa")
    """`AAA_HOME`: where the embedded database, model weights and exports live."""
    url: str | None = None
    """`AAA_URL`: the control plane that CLI commands talk to; `None` opens `home` directly."""
    token: SecretStr | None = None
    """`AAA_TOKEN`: bearer token, sent by the CLI and demanded by `aaa serve`."""
    agents: tuple[Path, ...] = ()
    """`AAA_AGENTS`: folders with your agent cards, searched before the shipped ones (`:` between)."""
    scenarios: tuple[Path, ...] = ()
    """`AAA_SCENARIOS`: the same for scenarios."""
    runners: int = Field(1, ge=1, le=1024)
    """`AAA_RUNNERS`: processes that drive sessions."""
    lease_s: float = Field(30, ge=2, le=3600)
    """`AAA_LEASE_S`: a session whose runner was not heard of for so long is another's, in seconds."""
    log: Literal["plain", "json"] = "plain"
    """`AAA_LOG`: how log lines look; `json` also tells what is no warning."""
    log_file: Path | None = None
    """`AAA_LOG_FILE`: where log lines go; `None` is stderr, and `logs/` of `home` for what has none."""

    @property
    def models(self) -> Path:
        """Where pulled weights lie."""
        return self.home / "models"


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `environ` (default: the process's). Raises `InputError` naming the variable."""
    env = os.environ if environ is None else environ
    names = {
        "database_url": "DATABASE_URL",
        "ray_address": "RAY_ADDRESS",
        "home": "AAA_HOME",
        "url": "AAA_URL",
        "token": "AAA_TOKEN",
        "agents": "AAA_AGENTS",
        "scenarios": "AAA_SCENARIOS",
        "runners": "AAA_RUNNERS",
        "lease_s": "AAA_LEASE_S",
        "log": "AAA_LOG",
        "log_file": "AAA_LOG_FILE",
    }
    given: dict[str, object] = {k: env[name] for k, name in names.items() if env.get(name)}
    for key in ("agents", "scenarios"):
        if key in given:
            given[key] = tuple(Path(p).absolute() for p in str(given[key]).split(os.pathsep) if p)
    if "log_file" in given:
        given["log_file"] = Path(str(given["log_file"])).absolute()
    given["home"] = Path(str(given.get("home", ".aaa"))).absolute()
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = names[str(first["loc"][0])]
        raise InputError(f"environment variable {name}: {first['msg']}") from error
