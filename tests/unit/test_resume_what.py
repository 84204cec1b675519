"""What `--resume` goes on with: of the same scenario alone, and with the budget that was given."""

from types import SimpleNamespace
from typing import Any

import pytest

from aaa.commands import run, staged
from aaa.commands.opening import check_resumed
from aaa.errors import InputError


class Plane:
    """A control plane with one paused round and one paused course."""

    def __init__(self, status: str = "paused") -> None:
        self.status = status
        self.changed: list[tuple[str, Any]] = []

    async def round(self, id: str) -> dict[str, Any]:
        sessions = {"completed": 1, "total": 2}
        return {"id": id, "scenario": "small", "status": self.status, "sessions": sessions}

    async def course(self, id: str) -> dict[str, Any]:
        return {"id": id, "scenario": "small", "status": self.status, "steps": [], "stage": None}

    async def rounds(self, limit: int) -> list[dict[str, Any]]:
        return []

    courses = rounds

    async def retune(self, id: str, changes: Any) -> None:
        self.changed.append((id, changes))

    retune_course = retune

    async def resume(self, id: str) -> None:
        self.changed.append((id, "resume"))

    async def move_course(self, id: str, verb: str) -> dict[str, Any]:
        self.changed.append((id, verb))
        return await self.course(id)


async def begin_round(plane: Plane, scenario: str, budget_usd: float | None) -> None:
    script = SimpleNamespace(scenario=SimpleNamespace(name=scenario))
    wanted = run.Wanted(scenario, {}, budget_usd, "r1")
    await run._begin(plane, script, wanted)  # type: ignore[arg-type]


async def begin_course(plane: Plane, scenario: str, budget_usd: float | None) -> None:
    asked = staged.Asked(scenario, {}, "r1", False, budget_usd)
    await staged._begin(plane, scenario, asked)  # type: ignore[arg-type]


@pytest.mark.parametrize("begin", [begin_round, begin_course])
async def test_a_budget_is_raised_before_it_goes_on(begin: Any) -> None:
    plane = Plane()
    await begin(plane, "small", 5.0)
    assert plane.changed == [("r1", {"budget_usd": 5.0}), ("r1", "resume")]


async def test_an_ended_round_goes_on_before_its_budget_can_change() -> None:
    plane = Plane("failed")
    await begin_round(plane, "small", 5.0)
    assert plane.changed == [("r1", "resume"), ("r1", {"budget_usd": 5.0})]


async def test_a_course_that_is_over_stays_as_it_is() -> None:
    plane = Plane("completed")
    await begin_course(plane, "small", 5.0)
    assert plane.changed == []


@pytest.mark.parametrize("begin", [begin_round, begin_course])
async def test_another_scenarios_is_refused_and_left(begin: Any) -> None:
    plane = Plane()
    with pytest.raises(InputError, match=r"--resume 'r1': that plays 'small', not 'other'"):
        await begin(plane, "other", 5.0)
    assert plane.changed == []


def test_one_of_the_same_scenario_is_taken() -> None:
    check_resumed({"id": "r", "scenario": "small"}, "small")
