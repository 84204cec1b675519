"""How a command reaches a control plane: the one `AAA_URL` names, or one of its own for its lifetime."""

import json
import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aaa.clean import clean
from aaa.client import Client, connect
from aaa.errors import InputError
from aaa.settings import Settings
from aaa.yaml_files import setting

_UNSAFE = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\U000e0000-\U000e0fff]"
)
"""C1, zero-width, bidi, surrogates, tags; what is below U+0020 JSON escapes itself."""


@asynccontextmanager
async def open_client(settings: Settings, *more_scenarios: Path) -> AsyncIterator[Client]:
    """A client of the configured control plane; without one, of this home's database, served here."""
    if settings.url is not None:
        async with connect(settings) as client:
            yield client
        return
    from aaa.api.server import (
        local_api,
    )  # three seconds that who talks to a server does not wait for
    from aaa.catalogue import open_catalogue
    from aaa.store.opening import open_database

    async with (
        open_database(settings, pool=4) as database,
        local_api(settings, database, open_catalogue(settings, *more_scenarios)) as own,
        Client(*own) as client,
    ):
        yield client


def command_name() -> str:
    """How this user calls us: `aaa` where the shell finds it, else the way to it."""
    if shutil.which("aaa"):
        return "aaa"
    script = Path(sys.argv[0]).absolute()
    return str(script.relative_to(Path.cwd())) if script.is_relative_to(Path.cwd()) else str(script)


def arguments(overrides: Mapping[str, Any], **given: object) -> str:
    """What a command repeats to mean the same: ` --set key=value …`, ` --name value` for what was given."""
    sets = (f" --set {setting(key, value)}" for key, value in overrides.items())
    named = (f" --{k.replace('_', '-')} {v}" for k, v in given.items() if v is not None)
    return "".join((*sets, *named))


def on_terminal() -> bool:
    """Whether a person sits at it: the dashboard reads keys and draws on all three."""
    return all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))


def check_resumed(found: Mapping[str, Any], scenario: str) -> None:
    """Raises `InputError` where what `--resume` names is of another scenario: it would be played and paid."""
    if found["scenario"] != scenario:
        raise InputError(
            f"--resume {found['id']!r}: that plays {found['scenario']!r}, not {scenario!r}; "
            "`aaa rounds ls` and `aaa courses ls` list what there is"
        )


def say(text: str = "") -> None:
    """Prose for a person, on stderr. What others wrote in it is cleaned: it steers no terminal."""
    print(clean(text), file=sys.stderr, flush=True)


def tell(text: str = "") -> None:
    """Data in words, on stdout, cleaned in the same way."""
    print(clean(text))


def show(data: Any) -> None:
    """Data, as JSON on stdout. What could steer a terminal is written as JSON's own escapes."""
    print(escaped(json.dumps(data, ensure_ascii=False, indent=2, default=str)))


def show_rows(rows: Iterable[bytes]) -> None:
    """JSON lines on stdout: the bytes as they are where it is a pipe; the same JSON with escapes for what
    could steer a terminal where it is one.
    """
    to_a_person = sys.stdout.isatty()
    for row in rows:
        sys.stdout.buffer.write(escaped(row.decode()).encode() if to_a_person else row)


def escaped(text: str) -> str:
    """JSON that says the same, without anything that could steer a terminal."""
    return _UNSAFE.sub(lambda found: json.dumps(found[0])[1:-1], text)
