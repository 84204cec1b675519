"""Answers on disk while the database is away: read from a provider, paid for, and not to be lost.

One file an answer, written beside, fsynced and renamed, in a folder that only its owner may read. Any
process of the machine may bring them home: recording an answer twice changes nothing, so nobody needs to own
a file. Left out: answers of another machine; its own processes bring them home when they start there again.
"""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from aaa.asking import Attempt, Wish
from aaa.types import Turn, Value

log = logging.getLogger(__name__)


class Kept(Value):
    """An answer, and what it takes to record it."""

    wish: Wish
    attempt: Attempt
    turn: Turn


class Spool:
    """The folder of one home."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "spool"

    def keep(self, kept: Kept) -> str:
        """Write it; it is on the disk when this returns. The file's name. Raises `OSError`."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        wish = kept.wish
        name = f"{wish.round}-{wish.session}-{wish.index}-{kept.attempt.number}.json"
        draft = self.folder / f".{name}.{os.getpid()}"
        descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(kept.model_dump_json().encode())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.folder / name)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return name

    def drop(self, name: str) -> None:
        """It is recorded: remove its file."""
        (self.folder / name).unlink(missing_ok=True)

    def kept(self) -> Iterator[tuple[str, Kept]]:
        """(name, answer) of every file, oldest name first. One that cannot be read stays and is named."""
        for path in sorted(self.folder.glob("[!.]*.json")) if self.folder.is_dir() else ():
            try:
                yield path.name, Kept.model_validate_json(path.read_bytes())
            except FileNotFoundError:
                continue  # somebody else brought it home
            except (OSError, ValidationError) as error:
                log.error("spool: %s cannot be read and stays: %s", path, error)
