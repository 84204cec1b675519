"""Pulling from a Hub on the loopback: through `huggingface_hub` itself, resumed, and refused."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from aaa.errors import SetupError
from aaa.models import weights
from aaa.models.sources import Silent, Unavailable, from_hub

DATA = bytes(range(256)) * 20_000
NAME = "hf:some/repo:model.gguf"


class Hub(ThreadingHTTPServer):
    """One repository with one file."""

    daemon_threads = True
    data = DATA
    advertised = hashlib.sha256(DATA).hexdigest()
    ranges: list[str]


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        size = len(self.server.data)
        lfs = {"oid": self.server.advertised, "size": size, "pointerSize": 130}
        file = {"type": "file", "path": "model.gguf", "size": size, "oid": "0" * 40, "lfs": lfs}
        self._answer(200, json.dumps([file]).encode(), "application/json")

    def do_GET(self) -> None:
        wanted = self.headers.get("Range", "")
        self.server.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        status = 206 if wanted else 200
        self._answer(status, self.server.data[start:], "application/octet-stream")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub(("127.0.0.1", 0), Handler)
    server.ranges = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    base = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", base)
    template = base + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_any_file_of_the_hub(hub: Hub, tmp_path: Path) -> None:
    path = weights.pull(NAME, tmp_path, Silent())
    assert path.read_bytes() == DATA
    (row,) = [row for row in weights.ls(tmp_path) if row.name == NAME]
    assert row.source == "Hugging Face Hub, some/repo"


def test_a_broken_off_download_goes_on(hub: Hub, tmp_path: Path) -> None:
    target = tmp_path / "unfinished"
    target.write_bytes(DATA[:1000])
    from_hub("some/repo", "model.gguf", None, target, Silent())
    assert target.read_bytes() == DATA
    assert hub.ranges == ["bytes=1000-"]


def test_another_file_is_not_downloaded(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="is not the file wanted"):
        from_hub("some/repo", "model.gguf", "0" * 64, tmp_path / "x", Silent())
    assert hub.ranges == []


def test_bytes_that_are_not_as_advertised_are_thrown_away(hub: Hub, tmp_path: Path) -> None:
    hub.data = DATA[::-1]
    with pytest.raises(SetupError, match="not what it advertises"):
        weights.pull(NAME, tmp_path, Silent())
    assert [p.suffix for p in tmp_path.iterdir()] == [".lock"]
