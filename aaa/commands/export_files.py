"""What an export leaves on disk: one file with its papers beside it, or a folder as the Hub has data sets.

Everything is written under a name of its own and renamed at the end, a folder as a whole.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from aaa.commands.plot_export import draw
from aaa.corpus.card import Configs, card
from aaa.corpus.files import Sink, flush, kind_of, open_sink, unwritable, whole
from aaa.errors import InputError
from aaa.exporters import Exporter, Row

BOTH = ("train", "test")
PLOTS = ("png", "svg")


class Parts:
    """The files of one config: one for each part of the split that has rows, or one for all."""

    def __init__(self, folder: Path, name: str, made: Exporter, kind: str) -> None:
        self._folder, self._name, self._made, self._kind = folder, name, made, kind
        self._sinks: dict[str, Sink] = {}
        self._paths: dict[str, str] = {}
        self.hashes: dict[str, str] = {}
        """File -> SHA-256, once closed."""

    def write(self, part: str, row: Row) -> None:
        if part not in self._sinks:
            path = f"{self._name}/{part}.{self._kind}"
            (self._folder / self._name).mkdir(exist_ok=True)
            self._sinks[part] = open_sink(self._folder / path, self._made.columns, self._kind)
            self._paths[part] = path
        self._sinks[part].write(row)

    def close(self) -> dict[str, str]:
        """Part -> path of its file, from the folder."""
        for part in BOTH:
            if part in self._sinks:
                self.hashes[self._paths[part]] = self._sinks[part].close()
        return {part: self._paths[part] for part in BOTH if part in self._paths}

    @property
    def rows(self) -> int:
        return sum(sink.rows for sink in self._sinks.values())


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A draft of a folder, which becomes `path` when the block ends well. Raises as `whole`.

    A folder that is there already must be empty: what else is in it is not ours to take away.
    """
    try:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(f"{str(path)!r} is there already, and not empty; give another name")
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{path.name}.draft-", dir=path.parent))
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield draft
        for file in draft.rglob("*"):
            flush(file)
        draft.chmod(0o755)
        draft.replace(path)
        flush(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def papers(
    audit: Mapping[str, Any], configs: Configs, prefix: str, *, plots: bool = True
) -> dict[str, bytes]:
    """File name -> content of what lies beside a set: audit, card, plots. `prefix`: of their names."""
    drawn = plots and audit["rows"]["kept"]
    pictures = [f"{prefix}plots.{kind}" for kind in PLOTS] if drawn else []
    text = json.dumps(audit, ensure_ascii=False, indent=2, sort_keys=True, default=str)
    return {
        f"{prefix}audit.json": f"{text}\n".encode(),
        f"{prefix}README.md": card(
            audit, configs, [name for name in pictures if ".png" in name]
        ).encode(),
        **{name: draw(audit, name.rsplit(".", 1)[1]) for name in pictures},
    }


def write_papers(folder: Path, files: Mapping[str, bytes]) -> None:
    """Each of them whole, into that folder."""
    for name, content in files.items():
        with whole(folder / name) as draft:
            draft.write_bytes(content)


def draft_papers(later: ExitStack, folder: Path, files: Mapping[str, bytes]) -> None:
    """The same as drafts, which get their names when `later` ends: once what they tell of has its own."""
    for name, content in files.items():
        draft = later.enter_context(whole(folder / name))
        try:
            draft.write_bytes(content)
        except OSError as error:
            raise unwritable(folder / name, error) from error


OF_A_SET = ("format", "selection", "rows", "metrics", "sources")
"""What of an audit must be the same where two files share it."""


def hashes_beside(path: Path, told: Mapping[str, Any]) -> dict[str, str]:
    """Other file -> its SHA-256, where the papers beside `path` are another file's too: `pairs.jsonl` and
    `pairs.parquet` share theirs.

    `told`: an audit, or what of it is known so far. Raises `InputError` where they tell of another set.
    """
    there = path.parent / f"{path.stem}.audit.json"
    try:
        old = json.loads(there.read_text("utf-8"))
        others = {
            name: digest
            for name, digest in old["hashes"].items()
            if name != path.name and (path.parent / name).is_file()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    differ = [key for key in OF_A_SET if key in told and old.get(key) != _as_json(told[key])]
    if others and differ:
        raise InputError(
            f"{str(there)!r} is the audit of {', '.join(others)}, which holds another set than this "
            f"(other {', '.join(differ)}): give {path.name!r} another name, move the older file away, or "
            "leave the audit out (--no-audit)"
        )
    return others


def check_unaudited(path: Path) -> None:
    """Raises `InputError` where the papers beside `path` are its own: they would tell of an older file."""
    there = path.parent / f"{path.stem}.audit.json"
    try:
        named = json.loads(there.read_text("utf-8"))["hashes"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    if path.name in named:
        raise InputError(
            f"{str(there)!r} is the audit of {path.name!r} and would be wrong of what is written, which "
            "has none: give another name, or move the older set away"
        )


def _as_json(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def beside(made: Exporter, path: Path) -> dict[str, bytes]:
    """What a trainer must be told of that file; an index that is there already keeps its other entries."""
    found = {}
    for name, text in made.beside(path.name).items():
        there = path.parent / name
        if name.endswith(".json") and there.exists():
            text = _joined(there, text)
        found[name] = text.encode()
    return found


def _joined(path: Path, text: str) -> str:
    try:
        entries = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r} cannot be read as JSON: {error}") from error
    if not isinstance(entries, dict):
        raise InputError(f"{str(path)!r} is no JSON object; move it away first")
    return json.dumps(entries | json.loads(text), indent=2, ensure_ascii=False) + "\n"


def check_output(output: str) -> None:
    """Raises `InputError` for a name that is no file of ours, no folder and not `-`."""
    if output != "-" and not is_folder(output):
        kind_of(Path(output))


def is_folder(output: str) -> bool:
    """Whether a folder is meant: its name ends in `/`, or has no suffix."""
    return output.endswith("/") or (output != "-" and not Path(output).suffix)
