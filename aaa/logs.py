"""Log lines: plain or JSON, one per record, without secrets, of bounded length, with what they are about.

A line tells the round and session that its task works for (`here.py`). Secrets of the environment are masked;
what a provider or a model said can neither steer a terminal nor break a line. Lines go to stderr, or to a
file that several processes share and that is turned over before it grows past `LARGEST_FILE`. What goes wrong
over and over is told once a minute, with how often it was. Left out: a choice of levels (plain tells
warnings, JSON also what our own code finds worth telling), shipping lines elsewhere.
"""

import fcntl
import json
import logging
import os
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aaa.clean import clean
from aaa.here import here
from aaa.models.redact import redact, secrets_in
from aaa.settings import Settings

LONGEST_MESSAGE, LONGEST_ERROR = 2_000, 8_000
"""Characters of a message, and of a traceback, whose end tells most."""
LONGEST_READ = 50_000
"""Longer ones are cut before secrets are looked for: the search takes time."""
REPEAT_S = 60.0
"""The same warning or error again within so long is counted, not told."""
MOST_KNOWN = 1_000
"""Different warnings and errors whose repeats are counted."""
LARGEST_FILE = 8 * 2**20
"""Bytes; one file of that size is kept beside the one that is written."""


def set_up(settings: Settings, process: str, environ: Mapping[str, str] | None = None) -> None:
    """From now on this process logs as the settings say; `process` is its name in JSON lines."""
    secrets = secrets_in(os.environ if environ is None else environ)
    handler = _Appending(settings.log_file) if settings.log_file else _Standard()
    is_json = settings.log == "json"
    handler.addFilter(_Repeats())
    handler.setFormatter(_Json(process, secrets) if is_json else _Plain(secrets))
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, _Appending | _Standard)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    logging.getLogger("aaa").setLevel(logging.INFO if is_json else logging.WARNING)


def set_up_actor(settings: Settings, process: str) -> None:
    """The same for a process whose stderr Ray keeps: on one machine its lines go to a file of this home."""
    if settings.ray_address is None:
        settings = to_file(settings, "cluster")
    set_up(settings, process)


def to_file(settings: Settings, name: str) -> Settings:
    """Settings whose log lines go to a file: of this home, where none is named."""
    if settings.log_file is not None:
        return settings
    return settings.model_copy(update={"log_file": settings.home / "logs" / f"{name}.log"})


class _Standard(logging.StreamHandler[Any]):
    """Stderr, told apart from handlers of others."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)


class _Appending(logging.Handler):
    """A file that is made with the first line, and that other processes write too: each line is one write."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._file: int | None = None

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record) + "\n"
        try:
            os.write(self._opened(), line.encode("utf-8", "replace"))
        except (
            OSError
        ):  # logging's own way would tell it with the secrets that it was formatted without
            sys.stderr.write(line)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        super().close()

    def _opened(self) -> int:
        """The file of that name as it is now, not full."""
        if self._file is not None and not self._is_current(self._file):
            os.close(self._file)
            self._file = None
        if self._file is None:
            self._file = self._open()
        if os.fstat(self._file).st_size >= LARGEST_FILE:
            self._turn_over(self._file)
            os.close(self._file)
            self._file = self._open()
        return self._file

    def _open(self) -> int:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def _turn_over(self, file: int) -> None:
        """Put the full file aside, unless another process just did."""
        fcntl.flock(file, fcntl.LOCK_EX)
        if self._is_current(file):
            self._path.replace(self._path.with_name(self._path.name + ".1"))

    def _is_current(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except FileNotFoundError:
            return False


class _Repeats(logging.Filter):
    """Keeps a warning or error that was told a short while ago back; the next one has their number."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[int, tuple[float, int]] = {}
        """Hash of what was told -> when, and how often it came again since."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        what = hash((record.name, _message(record), _raised(record), tuple(_place().items())))
        at, again = self._told.get(what, (-REPEAT_S, 0))
        if record.created - at < REPEAT_S:
            self._told[what] = at, again + 1
            return False
        record.again = again
        self._told[what] = record.created, 0
        while len(self._told) > MOST_KNOWN:
            del self._told[next(iter(self._told))]
        return True


class _Plain(logging.Formatter):
    """`WARNING aaa.cluster.seat: what [round session turn]`, and a traceback below it."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        where = " ".join(f"{name} {value}" for name, value in _place().items())
        line = _told(record, self._secrets).replace("\n", " ⏎ ")
        if again := _again(record):
            line += f" (and {again} times since it was last told)"
        line = f"{record.levelname} {record.name}: {line}" + (f" [{where}]" if where else "")
        error = _error(record, self._secrets)
        return line + (f"\n{error}" if error else "")


class _Json(logging.Formatter):
    """One object a line; `docs/operating.md` names its fields."""

    def __init__(self, process: str, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._process = process
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": self._process,
            "pid": os.getpid(),
            "message": _told(record, self._secrets),
            **_place(),
        }
        if again := _again(record):
            line["again"] = again
        error = _error(record, self._secrets)
        return json.dumps(line | ({"error": error} if error else {}))


def _place() -> dict[str, Any]:
    place = here()
    if place is None:
        return {}
    told = {
        "round": place.round, "session": place.session, "turn": place.turn, "seat": place.seat,
    }  # fmt: skip
    return {name: value for name, value in told.items() if value is not None}


def _message(record: logging.LogRecord) -> str:
    """Where its arguments do not fit it, as much as can be told."""
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 (a faulty log call must not cost its line)
        return f"{record.msg} {record.args!r}"


def _told(record: logging.LogRecord, secrets: tuple[str, ...]) -> str:
    message = _safe(_message(record)[:LONGEST_READ], secrets)
    return message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 1] + "…"


def _again(record: logging.LogRecord) -> int:
    """How often it came since it was last told."""
    return getattr(record, "again", 0)


def _raised(record: logging.LogRecord) -> str:
    """The exception's traceback; empty where there is none."""
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    return "".join(traceback.format_exception(record.exc_info[1]))


def _error(record: logging.LogRecord, secrets: tuple[str, ...]) -> str:
    told = _safe(_raised(record)[-LONGEST_READ:], secrets)
    return told.strip() if len(told) <= LONGEST_ERROR else "…" + told[1 - LONGEST_ERROR :].strip()


def _safe(text: str, secrets: tuple[str, ...]) -> str:
    return clean(redact(text, secrets))
