"""Screens as a person has them, over a control plane that says what it is told to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from textual.app import App
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import DataTable, Static

from aaa.dashboard import round_screen, rounds_screen, sessions_screen
from aaa.dashboard.dialogs import Confirm, Keys
from aaa.dashboard.known import State
from aaa.dashboard.picture import Picture
from aaa.dashboard.round_screen import RoundScreen
from aaa.dashboard.rounds_screen import RoundsScreen
from aaa.dashboard.session_screen import SessionScreen
from aaa.dashboard.sessions_screen import SessionsScreen
from aaa.dashboard.theatre import MOST_SPEECHES
from aaa.errors import SetupError
from tests.helpers.classroom import round_json


class Plane:
    """What a control plane knows."""

    def __init__(self) -> None:
        self.known: list[Any] = []
        self.away = False

    async def rounds(self, limit: int) -> list[Any]:
        return self.known[:limit]

    async def ready(self) -> bool:
        return True

    async def sessions(
        self, _: str, *, limit: int, after: str | None = None, **wanted: str
    ) -> list[Any]:
        found = [s for s in self.known if wanted.get("text", "") in s["seed"]]
        return [s for s in found if int(s["id"]) > int(after or 0)][:limit]

    async def session(self, id_: str) -> Any:
        if self.away:
            raise SetupError("nobody answers")
        return next(session for session in self.known if session["id"] == id_)

    async def pause(self, _: str) -> None:
        if self.away:
            raise SetupError("round r is over: it cannot be paused")


class Feed(SimpleNamespace):
    """A round that is followed, and stands still."""

    def __init__(self, plane: Plane, total: int = 0) -> None:
        state = State(id="r", scenario="s", total=total)
        super().__init__(client=plane, round={"id": "r"}, state=state, replay=None, changes=0,
                         expects_pause=False, transcript=plane.session)  # fmt: skip

    def now(self) -> float:
        return 0.0

    def shown(self) -> State:
        state: State = self.state
        return state

    def become(self, state: State) -> None:
        self.state = state
        self.changes += 1

    async def follow(self) -> None:
        await asyncio.sleep(3600)


@asynccontextmanager
async def open_screen(screen: Screen[Any]) -> AsyncIterator[Pilot[None]]:
    app: App[None] = App()
    async with app.run_test(size=(120, 30)) as pilot:
        await app.push_screen(screen)
        await pilot.pause()
        yield pilot


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.01)


def head(screen: Screen[Any]) -> str:
    return str(screen.query_one("#head", Static).content)


def on_stage(feed: Feed) -> str:
    stage = feed.shown().stage
    return "" if stage is None else stage.session


def numbered(*ids: int, seed: str = "seed") -> list[dict[str, Any]]:
    return [
        {"id": str(n), "round": "r", "seed": f"{seed}-{n}", "status": "completed", "reason": None,
         "message": None, "started_at": None, "finished_at": None, "turns": [], "verdicts": []}
        for n in ids
    ]  # fmt: skip


async def test_enter_opens_the_round_that_was_chosen_though_a_new_one_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rounds_screen, "LOOK_S", 0.2)
    plane, opened = Plane(), list[str]()
    plane.known = [round_json(3) | {"id": name} for name in ("r_2", "r_1")]
    screen = RoundsScreen(plane, lambda round: opened.append(round["id"]))  # type: ignore[arg-type]
    async with open_screen(screen) as pilot:
        table = screen.query_one(DataTable)
        await until(lambda: table.row_count == 2)
        await pilot.press("down")
        plane.known = [round_json(3) | {"id": "r_3"}, *plane.known]
        await until(lambda: table.row_count == 3)
        await pilot.press("enter")
        await until(lambda: opened)
        assert opened == ["r_1"]
        plane.known = plane.known[:1]  # it is gone: about where it was
        await until(lambda: table.row_count == 1)
        await pilot.press("enter")
        await until(lambda: len(opened) == 2)
        assert opened == ["r_1", "r_3"]


async def test_the_list_of_rounds_asks_nothing_while_covered_and_at_once_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rounds_screen, "LOOK_S", 0.02)
    asked: list[int] = []

    class Counting(Plane):
        async def rounds(self, limit: int) -> list[Any]:
            asked.append(limit)
            return await super().rounds(limit)

    screen = RoundsScreen(Counting(), lambda round: None)  # type: ignore[arg-type]
    async with open_screen(screen) as pilot:
        await until(lambda: len(asked) > 1)
        await pilot.press("question_mark")
        await until(lambda: isinstance(pilot.app.screen, Keys))
        before = len(asked)
        await pilot.pause(0.2)
        assert len(asked) <= before + 1  # one may have been under way
        monkeypatch.setattr(rounds_screen, "LOOK_S", 3600)
        await pilot.pause(0.1)
        before = len(asked)
        await pilot.press("escape")
        await until(lambda: len(asked) > before)


async def test_the_cursor_stays_on_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_screen, "LOOK_S", 0.2)
    plane = Plane()
    plane.known = numbered(2, 3)
    screen = SessionsScreen(Feed(plane, 3))  # type: ignore[arg-type]
    async with open_screen(screen) as pilot:
        table = screen.query_one(DataTable)
        await until(lambda: table.row_count == 2)
        await pilot.press("down")
        plane.known = numbered(1, 2, 3)
        await until(lambda: table.row_count == 3)
        await pilot.press("y")
        await until(lambda: pilot.app.clipboard)
        assert pilot.app.clipboard == "3"


async def test_sessions_are_listed_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_screen, "MOST", 3)
    plane = Plane()
    plane.known = [*numbered(*range(1, 6)), *numbered(6, 7, seed="other")]
    screen = SessionsScreen(Feed(plane, 7))  # type: ignore[arg-type]
    async with open_screen(screen) as pilot:
        for keys, told in (
            ((), "1 to 3 of 7"),
            ((">",), "4 to 6 of 7"),
            ((">",), "7 to 7 of 7"),
            ((">",), "7 to 7 of 7"),
            (("<",), "4 to 6 of 7"),
            (("<", "<"), "1 to 3 of 7"),
            (("/", *"seed", "enter"), "1 to 3 found, and more"),
            ((">",), "4 to 5 found"),
            (("/", *"-2", "enter"), "1 found"),  # from the first page again
        ):
            await pilot.press(*keys)
            await until(partial(lambda words: words in head(screen), told))
            await pilot.pause()


async def test_what_is_copied_is_what_is_shown() -> None:
    plane = Plane()
    plane.known = [one | {"seed": {"id": "s"}} for one in numbered(1, 2)]
    feed = Feed(plane)
    screen = SessionScreen(feed, ["1", "2"], 0)  # type: ignore[arg-type]
    async with open_screen(screen) as pilot:
        await until(lambda: on_stage(feed))
        plane.away = True
        await pilot.press("]")
        await pilot.pause()
        await pilot.press("y")
        await until(lambda: pilot.app.clipboard)
        assert pilot.app.clipboard == on_stage(feed) == "1"
        plane.away = False
        await pilot.press("]")
        await until(lambda: on_stage(feed) == "2")
        await pilot.press("y")
        await until(lambda: pilot.app.clipboard == "2")


async def test_turns_are_numbered_as_they_came_though_the_first_are_not_kept() -> None:
    plane = Plane()
    said = {"seat": "student", "agent": "anna", "purpose": "answer", "text": "x"}
    turns = [{"index": n, **said} for n in range(MOST_SPEECHES + 24)]
    plane.known = [one | {"seed": {"id": "s"}, "turns": turns} for one in numbered(1)]
    screen = SessionScreen(Feed(plane), ["1"], 0)  # type: ignore[arg-type]
    async with open_screen(screen) as pilot:
        await until(lambda: " 120 turns " in head(screen))
        await pilot.press("left")
        await until(lambda: " turn 119/120 " in head(screen))


@pytest.mark.parametrize("refused", [True, False])
async def test_a_pause_that_was_refused_is_not_waited_for(refused: bool) -> None:
    plane = Plane()
    plane.away = refused
    feed, heard = Feed(plane), list[bool]()
    screen = RoundScreen(feed, "")  # type: ignore[arg-type]
    async with open_screen(screen) as pilot:
        screen._steering._tell = lambda words, wrong: heard.append(wrong)
        await pilot.press("p")
        await until(lambda: heard)
        await pilot.pause()
        assert heard == [refused]
        assert feed.expects_pause is not refused


async def test_what_a_page_covers_is_not_drawn_and_fresh_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A question covers little: what is below it goes on."""
    monkeypatch.setattr(round_screen, "FRAME_S", 0.01)
    drawn: list[int] = []
    plain = Picture.show

    def show(picture: Picture, rows: Any) -> None:
        if isinstance(picture.screen, RoundScreen):
            drawn.append(feed.changes)
        plain(picture, rows)

    monkeypatch.setattr(Picture, "show", show)
    feed = Feed(Plane(), 3)
    screen = RoundScreen(feed, "hint")  # type: ignore[arg-type]
    async with open_screen(screen) as pilot:
        await until(lambda: drawn)
        await pilot.press("question_mark")
        await until(lambda: isinstance(pilot.app.screen, Keys))
        before = len(drawn)
        feed.become(State(id="r", scenario="s", total=4))
        await pilot.pause(0.2)
        assert len(drawn) == before
        await pilot.press("escape")
        await until(lambda: len(drawn) > before)
        assert drawn[before] == 1
        await pilot.press("c")
        await until(lambda: isinstance(pilot.app.screen, Confirm))
        feed.become(State(id="r", scenario="s", total=5))
        await until(lambda: drawn[-1] == 2)
