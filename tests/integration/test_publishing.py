"""A folder on a Hub on the loopback, through `huggingface_hub` itself: what arrives, and what is refused."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from aaa.commands.export import export
from aaa.commands.export_asked import Wanted
from aaa.errors import InputError, SetupError
from aaa.settings import Settings
from tests.integration.test_export import round_id

__all__ = ["round_id"]
TOKEN = "hf_" + "testtoken" * 3


class Hub(ThreadingHTTPServer):
    """Data sets in memory; a wrong token may not write."""

    daemon_threads = True
    made: list[dict[str, Any]]
    files: dict[str, bytes]


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._answer(401, {"error": "Invalid username or password."})
        elif self.path == "/api/repos/create":
            self.server.made.append(json.loads(body))
            self._answer(200, {"url": f"{self._base}/datasets/some/set", "id": "some/set"})
        elif self.path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            names = [one["path"] for one in json.loads(body)["files"]]
            modes = [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]
            self._answer(200, {"files": modes})
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    value = line["value"]
                    self.server.files[value["path"]] = base64.b64decode(value["content"])
            url = f"{self._base}/datasets/some/set/commit/abc"
            self._answer(200, {"success": True, "commitOid": "abc", "commitUrl": url})
        else:
            self._answer(404, {"error": self.path})

    def do_GET(self) -> None:
        self._answer(200, {"id": "some/set", "sha": "abc", "private": True, "siblings": []})

    @property
    def _base(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def _answer(self, status: int, body: Any) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub(("127.0.0.1", 0), Handler)
    server.made, server.files = [], {}
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def wanted(round_id: str, folder: Path, **changes: Any) -> Wanted:
    asked = Wanted((round_id,), "trl-dpo", f"{folder}/", push_to_hub="some/set")
    return asked._replace(**changes)


async def test_what_is_in_the_folder_arrives(
    settings: Settings, round_id: str, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "set"
    assert await export(settings, wanted(round_id, folder)) == 0
    (made,) = hub.made
    assert (made["name"], made["organization"], made["type"]) == ("set", "some", "dataset")
    assert made.get("private") is True or made.get("visibility") == "private"
    here = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert hub.files == here
    assert len(here) == 7
    assert "/datasets/some/set/commit/abc" in capsys.readouterr().err


async def test_a_wrong_token_is_told_and_not_shown(
    settings: Settings, round_id: str, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_" + "wrong" * 5)
    with pytest.raises(SetupError, match="did not take 'some/set'") as told:
        await export(settings, wanted(round_id, tmp_path / "set"))
    assert "wrongwrong" not in str(told.value)
    assert (tmp_path / "set" / "README.md").exists()
    assert hub.files == {}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"push_to_hub": "no owner/x"}, "a data set's name is OWNER/NAME"),
        ({"push_to_hub": "alone"}, "a data set's name is OWNER/NAME"),
        ({"output": "pairs.jsonl"}, "uploads a folder"),
    ],
)
async def test_what_is_wrong_is_told_before_anything_is_read(
    settings: Settings, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(InputError, match=told):
        await export(settings, wanted("none", tmp_path / "set", **changes))
