"""How an event changes what a watcher knows: `reduce(state, event) -> state`.

Pure: no clock, no I/O; times are the events' own. Unknown kinds and odd fields change nothing and
never raise. Left out: the values themselves (`known`), and the words on stage (`theatre`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aaa.dashboard import theatre
from aaa.dashboard.known import (
    NOTES,
    SEATS,
    Gate,
    Happening,
    Lane,
    Rated,
    Running,
    State,
    Told,
    Trouble,
    Waiting,
)
from aaa.dashboard.reading import count, mapping, moment, number, rows, text
from aaa.dashboard.theatre import Stage
from aaa.states import ENDED
from aaa.types import OUTCOMES

MOST_RUNNING = 2048
"""Running sessions kept; more than any sensible concurrency."""
MOST_CALLS, MOST_LANES, MOST_TROUBLES, MOST_FINISHES, MOST_LATEST = 64, 64, 24, 64, 60
LINGER_S = 6.0
"""How long a finished session stays on stage, so that its verdict can be read."""
STALE_S = 90.0
"""A session this quiet leaves the stage for one that moves."""
Change = Callable[[State, float, Mapping[str, Any]], State]


LONGEST_PAST, CALLS_A_SESSION = 5_000, 40
"""Events of the past that are read, at least, and for each session that may be under way."""
COUNTERS = (
    "finished", "turns_finished", "turns", "prompt_tokens", "completion_tokens", "spent_usd",
    "unpriced", "outcomes", "pairs",
)  # fmt: skip
"""What a round tells as a whole, so that a long past need not be read for it."""


def opening(round: Mapping[str, Any], *, whole: bool = True) -> State:
    """The state before the first event, from the round as the API tells it.

    Unless the `whole` past is wanted, a long one is left out: `last_id` is then where to begin, and
    counters come from the round.
    """
    state = _before(round)
    past = max(LONGEST_PAST, CALLS_A_SESSION * count(round, "concurrency"))
    if whole or state.known_id <= 2 * past:
        return state
    sessions, verdicts = mapping(round, "sessions"), mapping(round, "verdicts")
    return replace(
        state,
        status=text(round, "status"),
        last_id=state.known_id - past,
        counted_to=state.known_id,
        started_at=moment(round, "started_at"),
        finished={status: count(sessions, status) for status in ENDED},
        turns_finished=count(round, "turns"),
        turns=count(round, "turns"),
        prompt_tokens=count(round, "prompt_tokens"),
        completion_tokens=count(round, "completion_tokens"),
        spent_usd=number(round, "spent_usd") or 0.0,
        outcomes={outcome: count(verdicts, outcome) for outcome in OUTCOMES},
        pairs=count(round, "pairs"),
    )


def _before(round: Mapping[str, Any]) -> State:
    last = count(round, "last_event")
    lanes = [
        (str(seat), str(agent))
        for seat, agents in sorted(mapping(round, "seats").items(), key=_seat_order)
        for agent in (agents if isinstance(agents, list) else [])
    ]
    return State(
        id=text(round, "id"),
        scenario=text(round, "scenario"),
        status="queued" if last else text(round, "status") or "queued",
        budget_usd=number(round, "budget_usd"),
        concurrency=count(round, "concurrency") or None,
        total=count(mapping(round, "sessions"), "total"),
        known_id=last,
        last_at=moment(round, "created_at") or 0.0,
        lanes=dict.fromkeys(lanes[:MOST_LANES], Lane()),
    )


def _seat_order(seat: tuple[str, Any]) -> int:
    return SEATS.index(seat[0]) if seat[0] in SEATS else len(SEATS)


def reduce(state: State, event: Happening) -> State:
    """The state after `event`. Events seen before change nothing."""
    if event.id <= state.last_id:
        return state
    at = moment(event.data, "at") or state.last_at
    state = replace(state, last_id=event.id, last_at=max(at, state.last_at))
    if (
        state.resumed_at is None and state.status == "running"
    ):  # a past of which only the end is read
        state = replace(state, resumed_at=at)
    change = _CHANGES.get(event.kind)
    if change is None:
        return state
    before, state = state, change(state, at, event.data)
    if event.id <= state.counted_to:
        state = replace(state, **{name: getattr(before, name) for name in COUNTERS})
    session = text(event.data, "session")
    return _direct(state, session, event.kind, at, event.data) if session else state


def told(state: State, session: Mapping[str, Any]) -> State:
    """With what the transcript of the session on stage adds."""
    return (
        state if state.stage is None else replace(state, stage=theatre.told(state.stage, session))
    )


def looked(state: State, round: Mapping[str, Any], gates: Sequence[Mapping[str, Any]]) -> State:
    """With what events do not tell: money reserved, and how the gates of its models stand."""
    known = {text(gate, "agent"): _gate(gate) for gate in gates[:MOST_LANES]}
    return replace(
        state,
        reserved_usd=max(0.0, number(round, "reserved_usd") or 0.0),
        gates=known,
        unseated=any(agent not in known for _, agent in state.lanes),
    )


def rated(state: State, report: Mapping[str, Any]) -> State:
    """With the overall board of `GET /v1/ratings`."""
    boards = rows(report, "boards")
    players = rows(boards[0], "ratings")[:MOST_LANES] if boards else []
    return replace(state, ratings=tuple(_rated(player) for player in players))


def _rated(player: Mapping[str, Any]) -> Rated:
    return Rated(
        player=text(player, "player"),
        rating=number(player, "rating") or 0.0,
        low=number(player, "low"),
        high=number(player, "high"),
        battles=count(player, "battles"),
    )


def _gate(gate: Mapping[str, Any]) -> Gate:
    return Gate(
        state=text(gate, "state"),
        concurrency=count(gate, "concurrency"),
        in_flight=count(gate, "in_flight"),
        waiting=count(gate, "waiting"),
        opens_at=moment(gate, "opens_at"),
        why=text(gate, "why")[:300],
    )


def pinned(state: State, session: Mapping[str, Any]) -> State:
    """With that session on stage, as its transcript tells it, until another is pinned or it is let go."""
    known = state.running.get(text(session, "id"))
    since = known.since if known else moment(session, "started_at")
    stage = Stage(text(session, "id"), known.seed if known else "", since, state.last_at)
    return replace(state, stage=theatre.told(stage, session), pinned=True)


def let_go(state: State) -> State:
    """With a stage that follows what happens again."""
    stage = None if state.stage is None else replace(state.stage, touched=0.0)
    return replace(state, pinned=False, stage=stage)


# The round


def _created(state: State, at: float, data: Mapping[str, Any]) -> State:
    return replace(
        state,
        scenario=text(data, "scenario") or state.scenario,
        total=count(data, "sessions") or state.total,
        budget_usd=number(data, "budget_usd"),
    )


def _running(state: State, at: float, data: Mapping[str, Any]) -> State:
    return replace(
        state,
        status="running",
        reason=text(data, "reason"),
        message="",
        started_at=state.started_at or at,
        resumed_at=at,
        ended_at=None,
        finishes=(),
    )


def _paused(state: State, at: float, data: Mapping[str, Any]) -> State:
    """Calls in flight come home; those that wait are sent away."""
    left = {
        session: replace(one, calls={i: call for i, call in one.calls.items() if call.in_flight})
        for session, one in state.running.items()
    }
    why = text(data, "reason")
    return replace(state, status="paused", reason=why, message=text(data, "message"), running=left)


def _retuned(state: State, at: float, data: Mapping[str, Any]) -> State:
    concurrency = count(data, "concurrency") or state.concurrency
    budget = number(data, "budget_usd") if "budget_usd" in data else state.budget_usd
    return replace(state, concurrency=concurrency, budget_usd=budget)


def _ended(status: str) -> Change:
    def change(state: State, at: float, data: Mapping[str, Any]) -> State:
        ended = _paused(state, at, data)
        return replace(ended, status=status, ended_at=at, running={})

    return change


# Its sessions


def _session_started(state: State, at: float, data: Mapping[str, Any]) -> State:
    was = state.running.get(text(data, "session"))
    fresh = Running(seed=text(data, "seed"), since=at, touched=at, turns=was.turns if was else 0)
    return _with_running(state, text(data, "session"), fresh)


def _session_finished(state: State, at: float, data: Mapping[str, Any]) -> State:
    status = text(data, "status") if text(data, "status") in ENDED else "failed"
    rest = dict(state.running)
    was = rest.pop(text(data, "session"), None)
    state = replace(
        state,
        running=rest,
        finished=_plus(state.finished, status),
        finishes=(*state.finishes, at)[-MOST_FINISHES:],
        turns_finished=state.turns_finished
        + (was.turns if was is not None and status == "completed" else 0),
    )
    if status != "failed":
        return state
    kind = text(data, "reason") or "failed"
    return _troubled(state, at, kind, f"session on {text(data, 'seed')}", text(data, "message"))


def _with_running(state: State, session: str, now: Running) -> State:
    sessions = {**state.running, session: now}
    if len(sessions) > MOST_RUNNING:
        sessions.pop(next(iter(sessions)))
    return replace(state, running=sessions)


# Its calls


def _call_waiting(state: State, at: float, data: Mapping[str, Any]) -> State:
    if state.status == "paused":  # told before its seat had heard of the pause
        return state
    opens_in_s = number(data, "opens_in_s")
    return _with_call(
        state, at, data,
        gate=text(data, "why") or "open", opens_at=None if opens_in_s is None else at + opens_in_s,
    )  # fmt: skip


def _call_started(state: State, at: float, data: Mapping[str, Any]) -> State:
    return _with_call(state, at, data, attempt=count(data, "attempt"))


def _with_call(state: State, at: float, data: Mapping[str, Any], **now: Any) -> State:
    """With a call as it is now; since when it is waited for, and how often it was tried, is kept."""
    session, index = text(data, "session"), count(data, "index")
    running = state.running.get(session) or Running(seed="", since=at, touched=at)
    before = running.calls.get(index)
    kept = (
        {"attempt": before.attempt, "since": before.since}
        if before
        else {"attempt": 0, "since": at}
    )
    who = {name: text(data, name) for name in ("seat", "agent", "purpose")}
    calls = {**running.calls, index: Waiting(**(who | kept | now))}
    if len(calls) > MOST_CALLS:
        calls.pop(next(iter(calls)))
    return _with_running(state, session, replace(running, touched=at, calls=calls))


def _call_failed(state: State, at: float, data: Mapping[str, Any]) -> State:
    kind, retry_in_s = text(data, "kind") or "failed", number(data, "retry_in_s")
    lane_key = (text(data, "seat"), text(data, "agent"))
    lane = state.lanes.get(lane_key, Lane())
    lane = replace(lane, failed=lane.failed + 1, last_failure=kind, last_failure_at=at)
    state = _with_lane(state, lane_key, lane)
    state = _troubled(state, at, kind, " ".join(lane_key), text(data, "message"))
    session, index = text(data, "session"), count(data, "index")
    running = state.running.get(session)
    if running is None or index not in running.calls:
        return state
    calls = dict(running.calls)
    if retry_in_s is None or state.status == "paused":
        del calls[index]
    else:
        calls[index] = replace(calls[index], retry_at=at + retry_in_s, trouble=kind)
    return _with_running(state, session, replace(running, touched=at, calls=calls))


def _turn(state: State, at: float, data: Mapping[str, Any]) -> State:
    answered = not data.get("failure")
    cost, tokens = number(data, "cost_usd"), count(data, "completion_tokens")
    latency_s = max(0.0, number(data, "latency_s") or 0.0)
    key = (text(data, "seat"), text(data, "agent"))
    lane = state.lanes.get(key, Lane())
    lane = replace(
        lane,
        answered=lane.answered + answered,
        refused=lane.refused + (not answered),
        latency_s=lane.latency_s + (latency_s if answered else 0.0),
        window=lane.window.add(at, tokens, latency_s),
    )
    state = replace(
        _with_lane(state, key, lane),
        turns=state.turns + 1,
        prompt_tokens=state.prompt_tokens + count(data, "prompt_tokens"),
        completion_tokens=state.completion_tokens + tokens,
        spent_usd=state.spent_usd + (cost or 0.0),
        unpriced=state.unpriced + (cost is None and answered),
        window=state.window.add(at, tokens, latency_s),
    )
    session = text(data, "session")
    running = state.running.get(session)
    if running is None:
        return state
    calls = {index: call for index, call in running.calls.items() if index != count(data, "index")}
    heard = replace(running, touched=at, turns=running.turns + 1, calls=calls)
    return _with_running(state, session, heard)


def _verdict(state: State, at: float, data: Mapping[str, Any]) -> State:
    outcome = text(data, "outcome")
    running = state.running.get(text(data, "session"))
    told = Told(at, running.seed if running else "", theatre.read_ruling(data, after=0))
    return replace(
        state,
        latest=(*state.latest, told)[-MOST_LATEST:],
        outcomes=_plus(state.outcomes, outcome if outcome in OUTCOMES else "error"),
        pairs=state.pairs + bool(data.get("pair")),
    )


def _note(state: State, at: float, data: Mapping[str, Any]) -> State:
    """Counted as what it is to a person; a kind that is not known counts as nothing."""
    kind = "dropped" if text(data, "dropped") else text(data, "kind")
    if kind in NOTES:
        state = replace(state, noted=_plus(state.noted, kind))
    running = state.running.get(text(data, "session"))
    if running is None:
        return state
    return _with_running(state, text(data, "session"), replace(running, touched=at))


def _with_lane(state: State, key: tuple[str, str], lane: Lane) -> State:
    if key not in state.lanes and len(state.lanes) >= MOST_LANES:
        return state
    return replace(state, lanes={**state.lanes, key: lane})


def _troubled(state: State, at: float, kind: str, who: str, message: str) -> State:
    others = {k: v for k, v in state.troubles.items() if k != kind}
    was = state.troubles.get(kind)
    if len(others) >= MOST_TROUBLES:
        others.pop(next(iter(others)))
    trouble = Trouble(1 + (was.count if was else 0), at, who, message[:300])
    return replace(state, troubles={**others, kind: trouble})


def _plus(counts: Mapping[str, int], key: str) -> Mapping[str, int]:
    return {**counts, key: counts.get(key, 0) + 1}


# What is on stage


def _direct(state: State, session: str, kind: str, at: float, data: Mapping[str, Any]) -> State:
    """The stage after an event of `session`: it plays on, or a livelier session takes its place."""
    stage = state.stage
    running = state.running.get(session)
    if stage is None or (
        stage.session != session
        and running is not None
        and not state.pinned
        and _may_leave(stage, at)
    ):
        seed = running.seed if running else text(data, "seed")
        stage = Stage(session, seed, running.since if running else None, at)
    if stage.session != session:
        return state
    stage = replace(stage, touched=at)
    if kind == "turn":
        stage = theatre.spoke(stage, data)
    elif kind == "verdict":
        stage = theatre.ruled(stage, data)
    elif kind == "session.started":
        stage = replace(stage, seed=text(data, "seed"), status="", reason="", finished_at=None)
    elif kind == "session.finished":
        reason = text(data, "message") or text(data, "reason")
        stage = replace(stage, status=text(data, "status"), reason=reason, finished_at=at)
    return replace(state, stage=stage)


def _may_leave(stage: Stage, at: float) -> bool:
    if stage.finished_at is not None:
        return at - stage.finished_at >= LINGER_S
    return at - stage.touched >= STALE_S


_CHANGES: dict[str, Change] = {
    "round.created": _created,
    "round.running": _running,
    "round.paused": _paused,
    "round.retuned": _retuned,
    "round.completed": _ended("completed"),
    "round.failed": _ended("failed"),
    "round.cancelled": _ended("cancelled"),
    "session.started": _session_started,
    "session.finished": _session_finished,
    "call.waiting": _call_waiting,
    "call.started": _call_started,
    "call.failed": _call_failed,
    "turn": _turn,
    "verdict": _verdict,
    "note": _note,
}
