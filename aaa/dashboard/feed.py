"""One round followed: events, money, gates and transcripts over the API, as a state that screens draw.

Events make the state (`reduce`); what they do not tell is looked at beside them every few seconds. A
round that ended goes on being looked at, since it may be resumed. Left out: drawing, and steering.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace

from aaa.client import Client, Event, Json, Round
from aaa.dashboard import state as states
from aaa.dashboard.ink import clock as clock_words
from aaa.dashboard.known import State
from aaa.dashboard.reading import count, text
from aaa.dashboard.replay import Replay
from aaa.errors import AAAError
from aaa.states import GOING

TRANSCRIPT_S = 1.5
"""Shortest time between two looks at the transcript on stage."""
LOOK_S = 2.0
"""Time between two looks at money and gates."""
RATE_S = 10.0
"""Time between two looks at ratings: the server computes them anew each time."""
SAID_S = 4.0
"""How long it is said that the connection is back."""
NOBODY_DRIVES = "nobody drives: no runner was heard of for 15 s; `aaa serve` plays on"
_BUSY_S = 0.02
"""How long events may be taken in before the screen and the keys get their turn."""


class Feed:
    """The one mutable thing of a watched round. `follow` runs beside the screens until cancelled."""

    def __init__(
        self,
        client: Client,
        round: Round,
        *,
        stop_at_pause: bool = False,
        replay: Replay | None = None,
    ) -> None:
        """With `stop_at_pause`, `over` is set where the round stands still, and where it ends."""
        self.client, self.round, self.replay = client, round, replay
        self.state = states.opening(dict(round), whole=replay is not None)
        self.over = asyncio.Event()
        self.changes = 0
        """Grows with each thing heard: who drew at the same number need not draw again."""
        self.expects_pause = False
        """Set by who pauses it from here and stays."""
        self._told: dict[str, set[Mark]] = {}
        """Session -> what of it a replay has told so far."""
        self._stop_at_pause = stop_at_pause
        self._news, self._news_until = "", float("inf")

    def now(self) -> float:
        """The events' clock, as far as it can be known."""
        return max(self.replay.now() if self.replay else time.time(), self.state.last_at)

    def shown(self) -> State:
        """The state with what there is to say of the connection."""
        if time.monotonic() > self._news_until:
            self._news = ""
        news = self._news or (self.replay.words() if self.replay else "")
        return replace(self.state, connection=news)

    async def transcript(self, session: str) -> Json:
        """A session's, as far as a replay has come. Raises as `Client.session`."""
        found: Json = dict(await self.client.session(session))
        if self.replay is None or self.state.is_over:
            return found
        return so_far(self._told.get(session, ()), found)

    def become(self, state: State) -> None:
        self.state = state
        self.changes += 1

    async def follow(self) -> None:
        """Take in everything until cancelled. Raises what `Client.events` raises."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hear())
            group.create_task(self._tell())
            if self.replay is None:
                group.create_task(self._look())
                group.create_task(self._rate())

    # Events

    async def _hear(self) -> None:
        """Every event; then again from there, where a round that had ended has more to say."""
        while True:
            async with aclosing(self._arriving()) as arriving:
                await self._take_in(arriving)
            if self._news_until == float("inf"):  # that it is back is said all the same
                self._news = ""
            if self._stop_at_pause:
                self.over.set()
                return
            if self.replay is not None:
                return
            while not await self._has_more():  # noqa: ASYNC110 (a row)
                await asyncio.sleep(LOOK_S)

    async def _has_more(self) -> bool:
        try:
            round = await self.client.round(self.round["id"])
        except AAAError:  # the server is away: it has nothing new to say
            return False
        return round["last_event"] > self.state.last_id

    def _arriving(self) -> AsyncGenerator[Event, None]:
        events = self.client.events(
            self.round["id"], after=self.state.last_id, on_drop=self._dropped, on_back=self._back
        )
        return self.replay.paced(events) if self.replay else events

    async def _take_in(self, arriving: AsyncGenerator[Event, None]) -> None:
        paused = time.monotonic()
        async for event in arriving:
            if self.replay is not None:
                remember(self._told, event)
            self.become(states.reduce(self.state, event))
            if self._stands_still():
                self.over.set()
            if time.monotonic() - paused > _BUSY_S:
                await asyncio.sleep(0)
                paused = time.monotonic()

    def _stands_still(self) -> bool:
        """Whether the caller wants to hear of a pause, and this is one that was not made here."""
        if not self._stop_at_pause or self.state.status != "paused" or self.expects_pause:
            return False
        return self.state.last_id >= self.state.known_id  # what lies before is history

    def _dropped(self, why: str, delay_s: float) -> None:
        self._say(f"connection lost, again in {clock_words(delay_s + 0.9)}: {why}", float("inf"))

    def _back(self, last: int) -> None:
        self._say(f"connected again; goes on after event {last:,}, nothing is missing", SAID_S)

    def _say(self, words: str, for_s: float) -> None:
        self._news, self._news_until = words, time.monotonic() + for_s
        self.changes += 1

    # What events do not tell

    async def _look(self) -> None:
        course, found = "", False
        while True:
            with suppress(AAAError):  # then what was known stays on the screen
                round, gates = await asyncio.gather(
                    self.client.round(self.round["id"]), self.client.gates(self.round["id"])
                )
                if not found:
                    course, found = place_in(await self.client.courses(20), round["id"]), True
                state = states.looked(self.state, dict(round), gates)
                self.become(replace(state, course=course))
                if round["status"] in GOING:
                    await self._ask_who_drives()
            await asyncio.sleep(LOOK_S)

    async def _ask_who_drives(self) -> None:
        """Not where the round is played from here: its runner may still be starting."""
        if self._stop_at_pause or self._news not in ("", NOBODY_DRIVES):
            return
        if not await self.client.ready():
            self._say(NOBODY_DRIVES, 2 * LOOK_S)

    async def _rate(self) -> None:
        """Ratings again now and then, while verdicts come and who they compare is more than one."""
        known = 0
        while True:
            verdicts = sum(self.state.outcomes.values())
            if verdicts != known:
                known = verdicts
                with suppress(AAAError):
                    report = await self.client.ratings(round=[self.round["id"]], replicates="0")
                    self.become(states.rated(self.state, report))
            await asyncio.sleep(RATE_S)

    async def _tell(self) -> None:
        """Whole texts for the stage, once the past was caught up with; again after a ballot or verdict."""
        known = ("", 0, 0, "")
        while True:
            state, stage = self.state, self.state.stage
            if stage is not None and (state.pinned or state.last_id >= state.known_id):
                ballots = sum(speech.purpose == "ballot" for speech in stage.speeches)
                wanted = (stage.session, len(stage.rulings), ballots, stage.status)
                if stage.wants_telling or wanted != known:
                    with suppress(AAAError):  # the stage then shows what the events said
                        session = await self.transcript(stage.session)
                        self.become(states.told(self.state, session))  # the state as it is by now
                    known = wanted
            await asyncio.sleep(TRANSCRIPT_S)


Mark = tuple[str, int]
"""A turn or a verdict by kind of event and index; the end of a session."""
_END: Mark = ("session.finished", 0)


def remember(told: dict[str, set[Mark]], event: Event) -> None:
    """That this turn, verdict or end of a session has been told."""
    marks = told.setdefault(text(event.data, "session"), set())
    if event.kind in ("turn", "verdict"):
        marks.add((event.kind, count(event.data, "index")))
    elif event.kind == _END[0]:
        marks.add(_END)
    elif event.kind == "session.started":
        marks.discard(_END)


def so_far(told: Collection[Mark], session: Json) -> Json:
    """The transcript without what the events have not told yet."""
    kept = {
        "turns": [turn for turn in session["turns"] if ("turn", turn["index"]) in told],
        "verdicts": [one for one in session["verdicts"] if ("verdict", one["index"]) in told],
    }
    running = {} if _END in told else {"status": "running", "finished_at": None}
    return {**session, **kept, **running}


def place_in(courses: Sequence[Json], round_id: str) -> str:
    """`stage 2/3 teach`, where one of these courses plays the round; else `""`.

    Once a generation was held against checkers: `stage 2/3 teach, passed: pupil 15%, pupil-g1 41%`.
    """
    for course in courses:
        for step in course["steps"]:
            if step["round"] == round_id:
                stages = list(course["stages"])
                number = stages.index(step["stage"]) + 1 if step["stage"] in stages else 0
                told = _passed(course["steps"])
                return f"stage {number}/{len(stages)} {step['stage']}" + (
                    told and f", passed: {told}"
                )
    return ""


def _passed(steps: Sequence[Json]) -> str:
    """What part of its held-out tasks each generation did, by the last time that it was tried."""
    found = {
        one["agent"]: f"{one['passed'] / one['checked']:.0%}"
        for step in steps
        for one in step.get("data", {}).get("passed", ())
    }
    return ", ".join(f"{agent} {share}" for agent, share in found.items())
