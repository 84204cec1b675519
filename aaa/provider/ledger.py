"""What the provider served: one record for each request, and counts, so that tests count paid calls here.

A record is written before the answer is sent, in one `write` to a file opened for appending: a client
that was answered is always in the file. Left out: prompts and replies.
"""

import os
from collections import Counter, deque
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from aaa.errors import InputError, SetupError
from aaa.types import Value

KEPT = 200_000
"""Records kept in memory for `/_log`; the file has all of them."""


class Record(Value):
    """One chat completion request."""

    n: int
    """1 for the first since the start or the last reset."""
    t: float
    """When it came, on the machine's monotonic clock, in seconds."""
    wall: float
    """The same as Unix time."""
    key: str
    """SHA-256 of the body's canonical JSON: equal requests, equal keys."""
    attempt: int
    """1 for the first request of this key."""
    model: str | None
    fault: str | None
    """The fault it met; `limit` is the rate limiter, `None` a plain answer."""
    status: int | None
    """HTTP status; `None` where none is sent."""
    call: str | None
    """The client's `x-aaa-call` header."""
    in_flight: int
    """Requests being answered, this one included."""
    delay_s: float | None
    """From here to the last byte, as planned; `None` is never."""


class Ledger:
    """Counts, and the latest records."""

    def __init__(self, file: Path | None = None) -> None:
        self._fd = None if file is None else _open(file)
        self._lines: deque[bytes] = deque(maxlen=KEPT)
        self.reset()

    def reset(self) -> None:
        """Forget everything but the file, and what is in flight."""
        self._lines.clear()
        self.count = 0
        self.sent = 0
        self.unsent = 0
        self.in_flight = getattr(self, "in_flight", 0)
        self.peak_in_flight = self.in_flight
        self._by: dict[str, Counter[str]] = {k: Counter() for k in ("status", "fault", "model")}

    def begin(self) -> int:
        """A request came: its number."""
        self.count += 1
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)
        return self.count

    def write(self, record: dict[str, Any]) -> None:
        """Put the fields of a `Record` on the record."""
        for name, counter in self._by.items():
            counter["none" if record[name] is None else str(record[name])] += 1
        line = orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
        self._lines.append(line)
        if self._fd is not None:
            os.write(self._fd, line)

    def over(self, sent: bool) -> None:
        """An answer ended; not `sent` where the client left or was left."""
        self.in_flight -= 1
        self.sent += sent
        self.unsent += not sent

    def lines(self, since: int = 0) -> bytes:
        """Records after number `since` as JSON lines. Raises `LookupError` where some are gone."""
        first = self.count - len(self._lines)
        if since < first:
            raise LookupError(f"only records after {first} are kept in memory; use --log FILE")
        return b"".join(list(self._lines)[since - first :])

    def records(self, since: int = 0) -> list[Record]:
        """The same as values."""
        return [Record.model_validate_json(line) for line in self.lines(since).splitlines()]

    def stats(self) -> dict[str, Any]:
        """Counts since the start or the last reset."""
        counts = {f"by_{name}": dict(sorted(c.items())) for name, c in self._by.items()}
        return {
            "requests": self.count,
            "sent": self.sent,
            "unsent": self.unsent,
            "in_flight": self.in_flight,
            "peak_in_flight": self.peak_in_flight,
            **counts,
        }

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def read_log(file: Path) -> list[Record]:
    """The records in a log file. Raises `InputError` naming the line that is none."""
    found: list[Record] = []
    for n, line in enumerate(file.read_bytes().splitlines(), 1):
        try:
            found.append(Record.model_validate_json(line))
        except ValidationError as error:
            raise InputError(f"{file}: line {n} is no record of a provider") from error
    return found


def _open(file: Path) -> int:
    try:
        return os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise SetupError(f"cannot write the log file {str(file)!r}: {error.strerror}") from error
