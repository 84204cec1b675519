"""Events of recorded rounds through `reduce`: what a watcher knows, and that nothing makes it raise."""

from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aaa.client import Event
from aaa.dashboard.known import State
from aaa.dashboard.panels import remaining_s
from aaa.dashboard.rates import KEPT_S, Window
from aaa.dashboard.render import rows
from aaa.dashboard.state import (
    LINGER_S,
    MOST_LATEST,
    MOST_RUNNING,
    MOST_TROUBLES,
    opening,
    reduce,
    told,
)
from tests.helpers.classroom import START, events, iso, round_json, session_json

ROUND = events(8)


def after(script: list[Event], sessions: int = 8) -> State:
    state = opening(round_json(sessions))
    for event in script:
        state = reduce(state, event)
    return state


def say(*said: tuple[str, dict[str, Any]]) -> list[Event]:
    """Events one second apart."""
    return [
        Event(id=n, kind=kind, data={"at": iso(START + n), **data})
        for n, (kind, data) in enumerate(said, 1)
    ]


WHO = {"session": 7, "index": 0, "seat": "student", "agent": "smollm2-135m", "purpose": "draft"}


def test_a_whole_round_adds_up() -> None:
    state = after(ROUND)
    kinds = [event.kind for event in ROUND]
    turns = [event.data for event in ROUND if event.kind == "turn"]
    verdicts = [event.data for event in ROUND if event.kind == "verdict"]
    assert state.status == "completed"
    assert state.done == state.total == kinds.count("session.finished") == 8
    assert state.finished == {"completed": 7, "failed": 1}
    assert state.turns == len(turns) == sum(lane.answered for lane in state.lanes.values())
    assert state.completion_tokens == sum(turn["completion_tokens"] for turn in turns)
    assert abs(state.spent_usd - sum(turn["cost_usd"] for turn in turns)) < 1e-9
    assert sum(state.outcomes.values()) == len(verdicts)
    assert state.pairs == sum(verdict["pair"] is not None for verdict in verdicts)
    assert state.troubles["rate_limited"].count == kinds.count("call.failed")
    assert state.troubles["context_overflow"].count == 1
    assert state.running == {}
    assert state.last_id == len(ROUND)


def test_a_long_past_is_left_out_and_everything_adds_up_all_the_same() -> None:
    whole = after(ROUND)
    near = len(ROUND) - 60
    then = after(ROUND[:near])
    told = round_json(8, last_event=near) | {
        "concurrency": 0, "turns": then.turns, "prompt_tokens": then.prompt_tokens,
        "completion_tokens": then.completion_tokens, "spent_usd": then.spent_usd,
        "pairs": then.pairs, "verdicts": dict(then.outcomes), "sessions": {"total": 8, **then.finished},
    }  # fmt: skip
    state = opening(told, whole=False)
    assert state.last_id == 0  # no long past
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aaa.dashboard.state.LONGEST_PAST", 40)
        state = opening(told, whole=False)
        assert opening(told).last_id == 0
    assert state.last_id == near - 40
    for event in ROUND[near - 40 :]:
        state = reduce(state, event)
    for name in ("turns", "prompt_tokens", "completion_tokens", "pairs", "status", "total"):
        assert getattr(state, name) == getattr(whole, name), name
    assert {k: n for k, n in state.outcomes.items() if n} == whole.outcomes
    assert {k: n for k, n in state.finished.items() if n} == whole.finished
    assert abs(state.spent_usd - whole.spent_usd) < 1e-9
    assert state.running == {}


def test_replaying_an_event_changes_nothing() -> None:
    state = after(ROUND[:80])
    assert reduce(state, ROUND[79]) is state
    assert reduce(state, ROUND[3]) is state


def test_unknown_kinds_only_advance_the_id() -> None:
    state = after(ROUND[:80])
    changed = reduce(state, Event(id=81, kind="round.sang", data={"at": ROUND[79].data["at"]}))
    assert changed.last_id == 81
    assert changed.lanes is state.lanes


def test_notes_are_counted_by_what_they_are_and_break_no_other_count() -> None:
    before = after(ROUND)
    found: list[dict[str, Any]] = [
        {"kind": "evolved", "id": "s.e1", "parent": "s", "operation": "deepen", "dropped": ""},
        {
            "kind": "evolved",
            "id": "s.e2",
            "parent": "s",
            "operation": "deepen",
            "dropped": "no_gain",
        },
        {"kind": "steps", "labels": [True], "by": "judge"},
        {"kind": "consensus", "votes": {"4": 2}, "answer": "4"},
        {"kind": "comet"},
        {"kind": None, "dropped": 7},
        {},
    ]
    state = before
    for n, data in enumerate(found, len(ROUND) + 1):
        said = {"at": iso(START + 900), "session": "s_0001", "index": n, **data}
        state = reduce(state, Event(id=n, kind="note", data=said))
    assert state.noted == {"evolved": 1, "dropped": 2, "steps": 1, "consensus": 1}
    assert state.last_id == len(ROUND) + len(found)
    for counted in ("outcomes", "pairs", "turns", "finished", "lanes", "running", "latest"):
        assert getattr(state, counted) == getattr(before, counted)
    told_of = [row.plain for row in rows(state, 120, 40, START + 900)]
    assert any("1 evolved  1 steps  1 consensus  2 dropped" in row for row in told_of)
    assert not any("evolved" in row.plain for row in rows(before, 120, 40, START + 900))


def test_a_session_that_only_notes_is_heard_of() -> None:
    script = say(
        ("session.started", {"session": 7, "seed": "s"}),
        ("note", {"session": 7, "index": 0, "kind": "evolved", "id": "s.e1"}),
    )
    state = after(script, 1)
    assert state.running["7"].touched == START + 2
    assert state.stage is not None
    assert state.stage.touched == START + 2


def test_a_call_is_in_flight_then_waits_then_is_answered() -> None:
    script = say(
        ("session.started", {"session": 7, "seed": "s"}),
        ("call.started", {**WHO, "attempt": 1}),
        (
            "call.failed",
            {**WHO, "attempt": 1, "kind": "timeout", "message": "slow", "retry_in_s": 5},
        ),
        ("call.started", {**WHO, "attempt": 2}),
        ("turn", {**WHO, "text": "hi", "completion_tokens": 2, "cost_usd": None, "latency_s": 1.0}),
    )
    assert after(script[:2]).running["7"].calls[0].retry_at is None
    waiting = after(script[:3]).running["7"].calls[0]
    assert (waiting.retry_at, waiting.trouble) == (START + 3 + 5, "timeout")
    again = after(script[:4]).running["7"].calls[0]
    assert (again.attempt, again.since, again.retry_at) == (2, START + 2, None)
    done = after(script)
    assert done.running["7"].calls == {}
    assert done.unpriced == 1
    assert done.lanes["student", "smollm2-135m"].last_failure == "timeout"


def test_a_call_given_up_is_no_longer_waited_for() -> None:
    script = say(
        ("session.started", {"session": 7, "seed": "s"}),
        ("call.started", {**WHO, "attempt": 1}),
        ("call.failed", {**WHO, "attempt": 1, "kind": "auth", "message": "no", "retry_in_s": None}),
    )
    assert after(script).running["7"].calls == {}


LONG = ("call.waiting", {**WHO, "why": "rate", "opens_in_s": 12.5})


def test_a_call_that_waits_to_begin_is_known_until_it_begins() -> None:
    script = say(
        ("session.started", {"session": 7, "seed": "s"}),
        LONG,
        ("call.started", {**WHO, "attempt": 1}),
        ("call.failed", {**WHO, "attempt": 1, "kind": "server", "message": "", "retry_in_s": 0.1}),
        ("call.waiting", {**WHO, "why": "down", "opens_in_s": None}),
        ("turn", {**WHO, "text": "hi", "completion_tokens": 2, "cost_usd": None, "latency_s": 1.0}),
    )
    call = after(script[:2]).running["7"].calls[0]
    assert (call.seat, call.agent, call.purpose) == ("student", "smollm2-135m", "draft")
    assert (call.gate, call.since, call.attempt) == ("rate", START + 2, 0)
    assert (call.opens_at, call.in_flight) == (START + 2 + 12.5, False)
    call = after(script[:3]).running["7"].calls[0]
    assert (call.gate, call.since, call.in_flight) == ("", START + 2, True)
    call = after(script[:5]).running["7"].calls[0]
    assert (call.gate, call.retry_at, call.attempt) == ("down", None, 1)
    assert after(script).running["7"].calls == {}


@pytest.mark.parametrize(
    "ends",
    [
        [("session.started", {"session": 7, "seed": "s", "epoch": 2})],
        [("round.paused", {"reason": "asked"})],
        [("round.paused", {"reason": "asked"}), LONG],  # its seat had not heard of it yet
        [("turn", {**WHO, "text": "brought home by another process"})],
    ],
)
def test_no_wait_is_eternal(ends: list[tuple[str, dict[str, Any]]]) -> None:
    script = say(("session.started", {"session": 7, "seed": "s"}), LONG, *ends)
    assert after(script[:2]).running["7"].calls
    assert after(script).running["7"].calls == {}


def test_a_pause_sends_away_who_waits_and_waits_for_who_is_asked() -> None:
    failed = {"attempt": 1, "kind": "timeout", "message": "", "retry_in_s": 9}
    script = say(
        ("session.started", {"session": 7, "seed": "s"}),
        ("call.started", {**WHO, "attempt": 1}),
        ("call.started", {**WHO, "index": 1, "attempt": 1}),
        ("call.failed", {**WHO, "index": 1, **failed}),
        ("round.paused", {"reason": "asked"}),
        ("call.failed", {**WHO, **failed}),
    )
    assert [*after(script[:4]).running["7"].calls] == [0, 1]
    assert [*after(script[:5]).running["7"].calls] == [0]
    assert after(script).running["7"].calls == {}


def test_a_session_taken_over_starts_its_calls_afresh() -> None:
    script = say(
        ("session.started", {"session": 7, "seed": "s", "epoch": 1}),
        ("call.started", {**WHO, "attempt": 1}),
        ("session.started", {"session": 7, "seed": "s", "epoch": 2}),
    )
    assert after(script).running["7"].calls == {}


def test_pause_resume_and_retune() -> None:
    script = say(
        ("round.created", {"scenario": "x", "sessions": 3, "budget_usd": 1}),
        ("round.running", {"reason": "started"}),
        ("round.paused", {"reason": "budget_reached", "message": "spent $1.00 of $1.00"}),
        ("round.retuned", {"budget_usd": 5}),
        ("round.running", {"reason": "resumed"}),
    )
    paused = after(script[:3])
    assert (paused.status, paused.reason, paused.message) == (
        "paused", "budget_reached", "spent $1.00 of $1.00",
    )  # fmt: skip
    assert remaining_s(paused, START + 100) is None
    resumed = after(script)
    assert (resumed.status, resumed.budget_usd, resumed.message) == ("running", 5, "")
    assert (resumed.started_at, resumed.resumed_at) == (START + 2, START + 5)


def test_the_stage_stays_until_its_verdict_could_be_read() -> None:
    finished_at, first = 0.0, ""
    state = opening(round_json())
    for event in ROUND:
        was, state = state.stage, reduce(state, event)
        at = datetime.fromisoformat(event.data["at"]).timestamp()
        if was is None or state.stage is None:
            continue
        if was.session == state.stage.session:
            finished_at = state.stage.finished_at or finished_at
            first = first or was.session
        else:
            assert at - finished_at >= LINGER_S
    assert state.stage is not None
    assert state.stage.session != first


def test_the_transcript_puts_whole_texts_on_stage() -> None:
    whole = "word " * 500
    said = {**WHO, "text": whole[:600], "characters": len(whole), "completion_tokens": 500}
    state = after(say(("session.started", {"session": 7, "seed": "s"}), ("turn", said)))
    assert state.stage is not None
    assert state.stage.wants_telling
    session = {
        "id": 7,
        "seed": {"id": "s", "prompt": [{"role": "user", "content": "Why?"}]},
        "turns": [{**said, "text": whole, "characters": None}],
        "verdicts": [],
    }
    stage = told(state, session).stage
    assert stage is not None
    assert (stage.prompt, stage.speeches[0].text) == ("Why?", whole)
    assert not stage.wants_telling
    assert told(state, {**session, "id": 8}) == state


def test_stage_from_events_and_from_transcript_agree() -> None:
    upto = 80
    state = after(ROUND[:upto])
    assert state.stage is not None
    full = told(state, session_json(ROUND, state.stage.session, upto)).stage
    assert full is not None
    assert full.speeches == state.stage.speeches
    assert [r.after for r in full.rulings] == [r.after for r in state.stage.rulings]


def test_remaining_time_follows_the_latest_sessions() -> None:
    said: list[tuple[str, dict[str, Any]]] = [("round.running", {"reason": "started"})]
    said += [
        ("session.finished", {"session": n, "seed": "", "status": "completed"}) for n in range(10)
    ]
    state = after(say(*said), sessions=30)
    assert remaining_s(state, state.last_at) == 20  # ten in ten seconds, twenty to go


def test_remaining_time_is_right_for_who_comes_late() -> None:
    """Of ten hours the last 40 events are read: two sessions a second then, as ever."""
    sessions, begun = 72_000, START - 36_000
    told = round_json(sessions + 100, last_event=sessions + 1) | {
        "concurrency": 0, "status": "running", "started_at": iso(begun), "turns": sessions,
        "sessions": {"total": sessions + 100, "completed": sessions, "failed": 0, "cancelled": 0},
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aaa.dashboard.state.LONGEST_PAST", 40)
        state = opening(told, whole=False)
    for id_ in range(state.last_id + 1, sessions + 2):
        data = {"at": iso(START - (sessions + 1 - id_) / 2), "session": id_, "status": "completed"}
        state = reduce(state, Event(id=id_, kind="session.finished", data=data))
    left_s = remaining_s(state, START)
    assert left_s is not None
    assert 45 < left_s < 55


def test_nothing_grows_without_bound() -> None:
    state = opening(round_json())
    number = 0
    for session in range(MOST_RUNNING + 50):
        for kind, data in (
            ("session.started", {"session": session, "seed": "s"}),
            ("call.failed", {**WHO, "session": session, "kind": f"k{session}", "retry_in_s": 1}),
        ):
            number += 1
            state = reduce(
                state, Event(id=number, kind=kind, data={"at": iso(START + number), **data})
            )
    assert len(state.running) == MOST_RUNNING
    assert len(state.troubles) <= MOST_TROUBLES + 1
    assert state.done == 0


def test_seats_stand_in_speaking_order() -> None:
    seats = {"judge": ["j"], "arguer": ["x"], "teacher": ["t"], "student": ["s1", "s2"]}
    state = opening(round_json() | {"seats": seats})
    assert [agent for _, agent in state.lanes] == ["s1", "s2", "t", "j", "x"]


def test_the_latest_verdicts_are_kept() -> None:
    said = [
        ("verdict", {"session": 7, "index": n, "outcome": "tie"}) for n in range(MOST_LATEST + 5)
    ]
    latest = after(say(("session.started", {"session": 7, "seed": "s"}), *said)).latest
    assert [told.ruling.index for told in latest] == list(range(5, MOST_LATEST + 5))
    assert {told.seed for told in latest} == {"s"}


def test_rates_come_from_the_events_own_clock() -> None:
    window = Window()
    for second in range(60):
        window = window.add(START + second, tokens=30, latency_s=2.0)
    now = window.rates(START + 59, START)
    assert abs(now.calls_per_s - 60 / 59) < 0.01
    assert abs(now.tokens_per_s - 1800 / 59) < 1
    assert window.rates(START + 59 + KEPT_S, START).tokens_per_s == 0
    assert sum(window.curve(START + 59, 12)) > 0


def test_a_late_event_does_not_turn_the_window_back() -> None:
    window = Window().add(START + 10, 10, 1.0).add(START, 10, 1.0).add(START - 500, 10, 1.0)
    assert window.head == START + 10
    assert window.rates(START + 10, None).tokens_per_s * 60 == 20


JUNK = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none())
FIELDS = sorted({"why", "opens_in_s", *(key for event in ROUND for key in event.data)})
OTHER_KINDS = ("call.waiting", "round.paused", "round.retuned", "round.sang")
KINDS = [*sorted({event.kind for event in ROUND}), *OTHER_KINDS]


@settings(max_examples=30)
@given(st.permutations(ROUND[:70]), st.integers(1, 69))
def test_any_order_is_survived(script: list[Event], size: int) -> None:
    state = after([event.model_copy(update={"id": n}) for n, event in enumerate(script[:size], 1)])
    assert len(rows(state, 80, 24, state.last_at)) <= 24


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(KINDS), st.dictionaries(st.sampled_from(FIELDS), JUNK | st.just(1))
        ),
        max_size=30,
    )
)
def test_any_junk_is_survived(said: list[tuple[str, dict[str, Any]]]) -> None:
    script = [Event(id=n, kind=kind, data=data) for n, (kind, data) in enumerate(said, 1)]
    state = after(script)
    assert len(rows(state, 200, 60, 0.0)) <= 60
