"""Unit tests reach nothing: sockets are forbidden, Ray and LiteLLM are never loaded."""

import socket
import sys
from collections.abc import Iterator

import pytest

FORBIDDEN = ("ray", "litellm")


@pytest.fixture(autouse=True)
def _no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit test that connects anywhere fails where it does so."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a unit test opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)


@pytest.fixture(autouse=True, scope="package")
def _nothing_heavy() -> Iterator[None]:
    loaded_before = {name for name in FORBIDDEN if name in sys.modules}
    yield
    loaded = {name for name in FORBIDDEN if name in sys.modules} - loaded_before
    assert not loaded, f"unit tests loaded {loaded}"
