"""`aaa models`: the weights of local models on this machine."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from aaa.clean import clean
from aaa.commands.opening import say, show, tell
from aaa.commands.table import print_rows
from aaa.models import weights
from aaa.settings import Settings


def ls(settings: Settings, as_json: bool) -> None:
    """The catalogue and what else was pulled: what it is, whether it is here, under which terms."""
    rows = weights.ls(settings.models)
    if as_json:
        items = [{**row._asdict(), "path": str(row.path) if row.present else None} for row in rows]
        show({"items": items})
        return
    shown = [
        {
            "name": row.name,
            "size": _size(row.size_bytes),
            "here": row.present,
            "licence": row.licence,
            "where": str(row.path) if row.present else f"aaa models pull {row.name}",
        }
        for row in rows
    ]
    print_rows(("name", "size", "here", "licence", "where"), shown)


def pull(settings: Settings, names: Sequence[str]) -> None:
    """Fetch what is missing; prints each file's path on stdout. Raises `NotFound`, `SetupError`."""
    for name in names:
        weights.weights_named(name)  # a wrong name is refused before anything is fetched
    for name in names:
        with _shown(name) as progress:
            path = weights.pull(name, settings.models, progress)
        note = next(row for row in weights.ls(settings.models) if row.path == path)
        say(f"{name}: {_size(note.size_bytes)}, from {note.source}; licence: {note.licence}")
        tell(str(path))


def rm(settings: Settings, name: str) -> None:
    """Remove the weights and what a broken-off pull left. Raises `NotFound`."""
    there = weights.rm(name, settings.models)
    say(f"removed {name}" if there else f"{name} was not here")


class _Lines:
    """Progress where stderr is no terminal: a plain line per sentence and per tenth of the way."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tenth = -1

    def say(self, sentence: str) -> None:
        say(f"{self._name}: {sentence}")

    def done(self, so_far: int, total: int | None, unit: str) -> None:
        tenth = 10 * so_far // total if total else 0
        if tenth > self._tenth:
            self._tenth = tenth
            say(f"{self._name}: {_amount(so_far, unit)} of {_amount(total, unit)}")


class _Bar:
    """Progress as a bar on the terminal."""

    def __init__(self, name: str, bar: Progress) -> None:
        self._name = name
        self._bar = bar
        self._task: TaskID | None = None

    def say(self, sentence: str) -> None:
        line = clean(f"{self._name}: {sentence}")
        self._bar.console.print(line, markup=False, highlight=False)

    def done(self, so_far: int, total: int | None, unit: str) -> None:
        if self._task is None:
            self._task = self._bar.add_task(self._name, total=total, amount="")
        told = f"{_amount(so_far, unit)} of {_amount(total, unit)}"
        self._bar.update(self._task, completed=so_far, total=total, amount=told)


@contextmanager
def _shown(name: str) -> Iterator[_Lines | _Bar]:
    """Progress on stderr, in the form that suits it."""
    if not sys.stderr.isatty():
        yield _Lines(name)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[amount]}"))
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        yield _Bar(name, bar)


def _amount(count: int | None, unit: str) -> str:
    return _size(count) if unit == "bytes" else f"{count if count is not None else '?'} {unit}"


def _size(size_bytes: int | None) -> str:
    return "?" if size_bytes is None else f"{size_bytes / 1e6:,.0f} MB"
