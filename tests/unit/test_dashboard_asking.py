"""What a person types: searches, speeds, budgets; and a replay's pace."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from aaa.client import Event
from aaa.dashboard import replay as replays
from aaa.dashboard.feed import Mark, place_in, remember, so_far
from aaa.dashboard.finding import read_filter
from aaa.dashboard.replay import Replay, read_speed
from aaa.dashboard.steering import Steering, wrong_budget, wrong_concurrency
from aaa.errors import InputError
from tests.helpers.classroom import START, events, iso, session_json


def test_a_search_is_read_by_its_keys() -> None:
    assert read_filter("") == {}
    assert read_filter(" outcome:flip seat:teacher  tag:a:b the sky") == {
        "outcome": "flip", "seat": "teacher", "tag": "a:b", "text": "the sky",
    }  # fmt: skip
    assert read_filter("http://x status:failed") == {"text": "http://x", "status": "failed"}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("outcome:draw", "outcome:draw is none; there are win, tie, flip, error, abstain"),
        ("status:", "status: wants a value; there are queued"),
        ("tag:", "tag: wants a value$"),
    ],
)
def test_a_search_that_is_none_names_the_choices(typed: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_filter(typed)


def test_speeds() -> None:
    assert [read_speed(text) for text in ("20x", "20", "0.5X")] == [20, 20, 0.5]
    for wrong in ("fast", "0x", "-1x", "1e9x", "", "20 x x"):
        with pytest.raises(InputError, match="looks like 20x"):
            read_speed(wrong)


def test_what_is_no_budget_or_concurrency_is_told() -> None:
    assert [wrong_budget(text) for text in ("", "0", "2.5", " 3 ")] == [None] * 4
    assert all(wrong_budget(text) for text in ("x", "-1", "nan", "inf"))
    assert [wrong_concurrency(text) for text in ("1", "64")] == [None] * 2
    assert all(wrong_concurrency(text) for text in ("", "0", "-1", "1.5", "x", "٣"))


class Asked:
    """A person who leaves what a dialog shows as it is."""

    shown = ""

    async def yes(self, question: str) -> bool:
        return True

    async def words(self, question: str, given: str, wrong: Callable[[str], str | None]) -> str:
        self.shown = given
        assert wrong(given) is None
        return given


@pytest.mark.parametrize("budget", [1_234_567, 0.1, 12.345678, 1e6 + 0.01, 0.00012])
async def test_a_budget_that_is_left_as_shown_stays_as_it_is(budget: float) -> None:
    asked = Asked()
    set_to: list[dict[str, Any]] = []

    class Plane:
        async def retune(self, _: str, changes: dict[str, Any]) -> None:
            set_to.append(changes)

    plane: Any = Plane()
    await Steering(plane, "r", asked, lambda *_: None).budget(budget)
    assert set_to == [{"budget_usd": budget}]
    assert "e+" not in asked.shown


def test_a_replay_tells_nothing_of_a_session_before_its_time() -> None:
    script = events(3)
    session = str(next(e.data["session"] for e in script if e.kind == "session.started"))
    whole = session_json(script, session, len(script))
    whole |= {"status": "completed", "finished_at": iso(START)}
    told: dict[str, set[Mark]] = {}
    before = (-1, -1)
    for event in script:
        remember(told, event)
        shown = so_far(told.get(session, ()), whole)
        turns = sorted(turn["index"] for turn in shown["turns"])
        known = [e for e in script if e.id <= event.id and e.data.get("session") == session]
        assert turns == sorted(e.data["index"] for e in known if e.kind == "turn")
        assert len(shown["verdicts"]) == sum(e.kind == "verdict" for e in known)
        ended = any(e.kind == "session.finished" for e in known)
        assert (shown["status"] == "completed") == (shown["finished_at"] is not None) == ended
        assert before <= (len(turns), len(shown["verdicts"]))
        before = (len(turns), len(shown["verdicts"]))
    assert so_far(told[session], whole) == whole
    assert so_far((), whole)["turns"] == []


async def arriving(*seconds: float) -> AsyncGenerator[Event, None]:
    for number, at in enumerate(seconds, 1):
        yield Event(id=number, kind="turn", data={"at": iso(START + at)})


async def test_a_replay_gives_every_event_in_order_with_its_clock() -> None:
    replay = Replay(1000)
    due = (0, 10, 20, 20, 30)
    seen = [(event.id, replay.now()) async for event in replay.paced(arriving(*due))]
    assert [number for number, _ in seen] == [1, 2, 3, 4, 5]
    assert all(now >= START + at for (_, now), at in zip(seen, due, strict=True))


async def test_a_long_silence_is_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "LONGEST_WAIT_S", 0.1)
    replay = Replay(1)
    assert [event.id async for event in replay.paced(arriving(0, 86_400))] == [1, 2]
    assert replay.now() >= START + 86_400


async def test_a_halted_replay_stands_still() -> None:
    replay = Replay(100)
    stream = replay.paced(arriving(0, 1000))
    await anext(stream)
    replay.halt_or_go_on()
    assert replay.words() == "replay at 100x, halted"
    now = replay.now()
    waiting = asyncio.create_task(anext(stream))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    assert replay.now() == now
    replay.halt_or_go_on()
    replay.faster(50)
    assert (await waiting).id == 2
    await stream.aclose()


def test_a_round_knows_its_place_in_a_course() -> None:
    steps = [{"round": None, "stage": "one"}, {"round": "r-2", "stage": "two"}]
    courses = [{"stages": ["one", "two", "three"], "steps": steps}]
    assert place_in(courses, "r-2") == "stage 2/3 two"
    assert place_in(courses, "r-9") == ""


def test_a_round_of_a_course_tells_how_its_generations_did() -> None:
    first = [{"agent": "pupil", "passed": 3, "checked": 20}]
    second = [
        {"agent": "pupil", "passed": 4, "checked": 20},
        {"agent": "pupil-g1", "passed": 9, "checked": 20},
    ]
    steps = [
        {"round": "r-1", "stage": "one", "data": {"passed": first}},
        {"round": "r-2", "stage": "one", "data": {"passed": second}},
        {"round": "r-3", "stage": "two", "data": {"progress": {"step": 1}}},
    ]
    told = place_in([{"stages": ["one", "two"], "steps": steps}], "r-3")
    assert told == "stage 2/2 two, passed: pupil 20%, pupil-g1 45%"


def test_esc_is_answered_soon() -> None:
    """Before Textual is imported by anything of the dashboard, and unless the environment says otherwise."""
    code = "import aaa.dashboard.app; from textual import constants; print(constants.ESCAPE_DELAY)"
    own = {name: value for name, value in os.environ.items() if name != "ESCDELAY"}
    for given, told in (({}, "0.02"), ({"ESCDELAY": "70"}, "0.07")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=own | given,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == told
