"""A command that plays a round itself ends where its supervisor never comes to lead; Ray is a stand-in."""

import asyncio
from pathlib import Path

import pytest

from aaa.catalogue import Catalogue
from aaa.commands.run import everything
from aaa.errors import Conflict, SetupError
from aaa.settings import Settings

PATIENCE_S = 60


@pytest.fixture
def ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module that a supervisor finds as `ray`."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
    return folder / "ray.py"


@pytest.mark.parametrize("after_s", [0, 0.5])
async def test_who_is_stopped_before_it_began_ends(
    settings: Settings, catalogue: Catalogue, ray: Path, after_s: float
) -> None:
    ray.write_text("import time\ntime.sleep(1)\n")
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(after_s, stop.set)
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(Conflict, match="stopped before it began"):
            async with everything(settings, catalogue, stop):
                pytest.fail("nobody leads")
    assert stop.is_set()


@pytest.mark.parametrize(
    ("module", "told"),
    [
        (
            "raise ImportError('no library of that name')",
            "^Ray cannot be loaded: no library of that",
        ),
        (
            "raise ValueError('for once')",
            "3 supervisors .*; the last: exit code 1: ValueError: for once",
        ),
        ("import os\nos._exit(9)", "3 supervisors ended before one led; the last: exit code 9$"),
    ],
)
async def test_a_supervisor_that_cannot_start_ends_the_command(
    settings: Settings, catalogue: Catalogue, ray: Path, module: str, told: str
) -> None:
    ray.write_text(module)
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(SetupError, match=told):
            async with everything(settings, catalogue, asyncio.Event()):
                pytest.fail("nobody leads")
