"""What a command that plays here does when it is asked to stop, and whom it says it plays along."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from aaa.catalogue import Catalogue
from aaa.commands import playing, staged
from aaa.commands.rounds import tell_going
from aaa.commands.stopping import STOPPED, held
from aaa.errors import Conflict
from aaa.scenario import AgentCard
from aaa.settings import Settings


class Plane:
    """A control plane with rounds and courses that run, and some that do not."""

    def __init__(self) -> None:
        self.paused: list[str] = []

    async def courses(self, limit: int) -> list[dict[str, Any]]:
        steps = [{"round": "its-round"}, {"round": None}]
        return [
            {"id": "course", "scenario": "staged", "status": "running", "steps": steps},
            {"id": "held-course", "scenario": "staged", "status": "paused", "steps": []},
        ]

    async def rounds(self, limit: int) -> list[dict[str, Any]]:
        status = {"mine": "running", "its-round": "running", "left": "running", "next": "queued"}
        status |= {"held": "paused", "done": "completed"}
        return [{"id": id, "scenario": "small", "status": status[id]} for id in status]

    async def round(self, id: str) -> dict[str, Any]:
        sessions = {"completed": 1, "failed": 0, "total": 2}
        return {"id": id, "status": "running", "sessions": sessions, "spent_usd": 0.0}

    async def pause(self, id: str) -> None:
        self.paused.append(id)


async def test_what_runs_beside_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    await tell_going(Plane(), "mine")  # type: ignore[arg-type]
    told = capsys.readouterr().err.splitlines()
    assert [line.split(" ", 1)[0] for line in told] == ["(course", "(left", "(next"]
    assert told[0] == (
        "(course of staged runs beside it, and costs what it costs; "
        "`aaa courses pause course` holds it.)"
    )


async def test_what_is_stopped_is_paused(capsys: pytest.CaptureFixture[str]) -> None:
    plane, stop = Plane(), asyncio.Event()
    stop.set()

    async def finish(*_: object) -> None:
        pytest.fail("it has not ended")

    again = "aaa again {}".format
    code = await playing._follow(plane, "mine", finish, again, False, stop)  # type: ignore[arg-type]
    assert (code, plane.paused) == (STOPPED, ["mine"])
    assert "go on with:\n  aaa again mine" in capsys.readouterr().err


async def test_what_has_ended_is_left() -> None:
    async def pause() -> None:
        raise Conflict("it is completed")

    await held(pause())


class Staged(Plane):
    """One that plays a course; it is stopped once that has begun."""

    def __init__(self, stop: asyncio.Event) -> None:
        super().__init__()
        self.stop = stop

    async def start_course(self, asked: Any) -> dict[str, Any]:
        self.stop.set()
        return {"id": "new", "scenario": "wizardlm2", "stages": ["one"], "steps": []}

    async def move_course(self, id: str, verb: str) -> None:
        self.paused.append(f"{verb} {id}")


async def test_a_course_that_is_stopped_is_paused(tmp_path: Path) -> None:
    planes: list[Staged] = []

    @asynccontextmanager
    async def everything(
        settings: Settings, catalogue: Catalogue, stop: asyncio.Event, cards: Iterable[AgentCard]
    ) -> AsyncIterator[Any]:
        planes.append(Staged(stop))
        yield planes[0]

    url = SecretStr("postgresql://db.example/aaa")
    settings = Settings(home=tmp_path, ray_address="elsewhere:6379", database_url=url)
    asked = staged.Asked("wizardlm2", {}, None, False)
    assert await staged.run(settings, asked, everything) == STOPPED
    assert planes[0].paused == ["pause new"]
