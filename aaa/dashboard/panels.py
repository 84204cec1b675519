"""Parts of the screen as rows: the round's head, seats, sessions under way, failures.

Each takes the state, a width and now, and gives rows of exactly that width.
"""

from collections.abc import Mapping

from aaa.clean import one_line
from aaa.dashboard.ink import (
    Line,
    amount,
    bar,
    clock,
    dollars,
    ends,
    fitted,
    line,
    rate,
    seat_style,
    spark,
    to_width,
)
from aaa.dashboard.known import NOTES, Gate, Lane, Rated, Running, State, Waiting
from aaa.types import OUTCOMES

STATUS_STYLES = {
    "running": "bold green",
    "paused": "bold yellow",
    "completed": "bold green",
    "failed": "bold red",
    "cancelled": "bold yellow",
}
OUTCOME_STYLES = {
    "win": "green",
    "tie": "blue",
    "flip": "yellow",
    "error": "red",
    "abstain": "dim",
}
_STARTED_SHARE = 0.95
"""A session under way counts at most this much of a finished one."""


def rule(title: str, width: int, right: str = "", style: str = "dim") -> Line:
    """`── title ───────── right ─`."""
    head = line(("── ", style), (title, "bold"), " ") if title else line(("─", style))
    tail = line(" ", (right, "dim"), (" ─", style)) if right else line()
    fill = max(0, width - head.cell_len - tail.cell_len)
    return to_width(line(head, ("─" * fill, style), tail), width)


def header(state: State, width: int, now: float) -> list[Line]:
    """Four rows: what runs and for how long, progress, speed and money, verdicts."""
    now = state.ended_at or now
    return [
        _title(state, width, now),
        _progress(state, width),
        _speed(state, width, now),
        _verdicts(state, width),
    ]


def _title(state: State, width: int, now: float) -> Line:
    status = state.status
    why = state.message or (state.reason if status not in ("running", "queued") else "")
    left = line(
        (" AAA ", "bold reverse"), " ", (state.scenario, "bold"), " ", (state.id, "dim"),
        (f" {one_line(state.course)}" if state.course else "", "cyan"),
        "  ", (f"● {status}", STATUS_STYLES.get(status, "bold")),
        (f"  {one_line(why.replace('_', ' '))}" if why else "", "yellow" if status == "paused" else ""),
    )  # fmt: skip
    passed = clock(now - state.started_at) if state.started_at else "not started"
    left_s = remaining_s(state, now)
    eta = "" if left_s is None else f"about {clock(left_s)} left"
    return ends(left, line((passed, "bold"), (f"  {eta}" if eta else "", "dim"), " "), width)


def _progress(state: State, width: int) -> Line:
    ok, failed = state.finished.get("completed", 0), state.done - state.finished.get("completed", 0)
    total = max(state.total, state.done, 1)
    counts = line(
        "  ", (f"{state.done}/{state.total}", "bold"), " sessions",
        (f"  {len(state.running)} running" if state.running else "", "dim"),
        (f"  {failed} failed" if failed else "", "red"), " ",
    )  # fmt: skip
    parts = (
        (ok / total, "green"),
        (failed / total, "red"),
        (max(under_way(state), _begun(state)) / total, "cyan"),
    )
    room = max(8, width - counts.cell_len - 1)
    return to_width(line(" ", bar(parts, room), counts), width)


def _speed(state: State, width: int, now: float) -> Line:
    speed = state.window.rates(now, state.started_at)
    # events between now and the last second would look like a hole
    curve = spark(state.window.curve(now, 40 if width >= 120 else 14))
    near = state.budget_usd is not None and state.spent_usd > 0.9 * state.budget_usd > 0
    live = not state.is_over
    left = line(
        " ", (rate(speed.calls_per_s) if live else amount(state.turns), "bold"),
        " calls/s  " if live else " calls  ",
        (rate(speed.tokens_per_s) if live else amount(state.completion_tokens), "bold"),
        " tok/s " if live else " tokens ", (curve, "cyan"),
        (f"  {amount(state.completion_tokens)} tokens" if live and width >= 100 else "", "dim"),
    )  # fmt: skip
    money = _money(state, wide=width >= 100)
    return ends(left, line((money, "bold red" if near else "bold"), " "), width)


def _money(state: State, *, wide: bool) -> str:
    """`$0.12 + $0.01 reserved, about $0.80 in all, of $1.00`; what is not known is left out."""
    said = f"{'≥ ' if state.unpriced else ''}{dollars(state.spent_usd)}"
    if state.reserved_usd and not state.is_over:
        said += f" + {dollars(state.reserved_usd)}" + (" reserved" if wide else "")
    whole = projected_usd(state)
    if whole is not None:
        said += f", about {dollars(whole)} in all," if wide else f" ~{dollars(whole)}"
    of = f" of {dollars(state.budget_usd)}" if state.budget_usd is not None else ""
    return said + (of or ("" if "~" in said or "in all" in said else " spent")).rstrip(",")


def projected_usd(state: State) -> float | None:
    """What the round costs in the end if the other sessions cost what these did; `None` while unknown."""
    made = state.finished.get("completed", 0) + under_way(state)
    if state.is_over or not state.spent_usd or not state.finished.get("completed"):
        return None
    left = max(0.0, state.total - state.done - under_way(state))
    return state.spent_usd * (1 + left / made)


def _verdicts(state: State, width: int) -> Line:
    left = line(" verdicts ")
    for outcome in OUTCOMES:
        number = state.outcomes.get(outcome, 0)
        style = OUTCOME_STYLES[outcome] if number else "dim"
        left.append_text(line(" ", (str(number), f"bold {style}"), (f" {outcome} ", style)))
    known = () if state.counted_to else NOTES  # what a past that was not read held is not known
    for kind in (kind for kind in known if kind in state.noted):
        left.append_text(line(" ", (amount(state.noted[kind]), "bold"), (f" {kind} ", "dim")))
    pairs = line((amount(state.pairs), "bold green"), " pair " if state.pairs == 1 else " pairs ")
    return ends(left, pairs, width)


def under_way(state: State) -> float:
    """How much of a finished session the running ones are worth, by turns; 0 until one has finished."""
    completed = state.finished.get("completed", 0)
    usual = state.turns_finished / completed if completed else 0.0
    if usual <= 0:
        return 0.0
    return sum(min(_STARTED_SHARE, one.turns / usual) for one in state.running.values())


def _begun(state: State) -> float:
    """What to draw of running sessions while no finished one says how long they are."""
    if state.finished.get("completed"):
        return 0.0
    return sum(min(0.5, 0.04 * one.turns) for one in state.running.values())


def remaining_s(state: State, now: float) -> float | None:
    """Seconds until the round is done at the speed of its latest sessions; `None` while unknown."""
    if state.status != "running" or not state.finishes or state.resumed_at is None:
        return None
    full = len(state.finishes) >= 64  # the window slides: count from its first, not from the start
    begun = state.finishes[0] if full else state.resumed_at
    made = len(state.finishes) - full + (0.0 if full else under_way(state))
    left = state.total - state.done - under_way(state)
    return max(0.0, left) * max(1.0, now - begun) / max(made, 0.05)


_SEAT_COLUMNS = (("in flight", 9), ("answered", 10), ("tok/s", 8), ("mean", 9), ("", 13))
"""Heading and width of the numbers behind an agent's name; the last holds its trouble."""
_TIGHT_COLUMNS = (("now", 5), ("done", 7), ("tok/s", 7), ("mean", 8), ("", 12))
_TIGHT = 76
"""Columns below which the numbers stand closer."""


def seats(state: State, width: int, height: int, now: float) -> list[Line]:
    """A rule with headings, then a row for each agent in each seat; at most `height` rows."""
    heads = "".join(f"{name:>{size}}" for name, size in _columns(width))
    title = line(("── ", "dim"), ("seats", "bold"), " ")
    fill = "─" * max(0, width - title.cell_len - len(heads) - 1)
    rows = [_lane(state, key, width, now) for key in state.lanes]
    if len(rows) > height - 1:
        rows = [*rows[: height - 2], _more(len(rows) - height + 2, width)]
    return [to_width(line(title, (fill, "dim"), (heads, "dim")), width), *rows]


def _columns(width: int) -> tuple[tuple[str, int], ...]:
    return _SEAT_COLUMNS if width >= _TIGHT else _TIGHT_COLUMNS


def _lane(state: State, key: tuple[str, str], width: int, now: float) -> Line:
    seat, agent = key
    lane, now = state.lanes[key], state.ended_at or now
    calls = [
        w for r in state.running.values() for w in r.calls.values() if (w.seat, w.agent) == key
    ]
    waiting = [call.retry_at for call in calls if call.retry_at is not None]
    flying = sum(call.in_flight for call in calls)
    numbers = (
        (_flying(flying, state.gates.get(agent)), "bold" if flying else "dim"),
        (("≥ " if state.counted_to else "") + amount(lane.answered), ""),
        (rate(lane.window.rates(now, state.started_at).tokens_per_s), ""),
        (f"{lane.latency_s / lane.answered:.1f} s" if lane.answered else "–", ""),
        _lane_trouble(lane, waiting, None if state.is_over else state.gates.get(agent), now),
    )
    cells = [
        (f"{text:>{size}}", style)
        for (text, style), (_, size) in zip(numbers, _columns(width), strict=True)
    ]
    room = width - 1 - sum(size for _, size in _columns(width))
    seat_room = 8 if room < 40 else 12
    name = line(
        " ", (fitted(seat, seat_room), f"bold {seat_style(seat)}"),
        fitted(agent, max(6, room - seat_room - 1)), *cells,
    )  # fmt: skip
    return to_width(name, width)


def _flying(flying: int, gate: Gate | None) -> str:
    """`3/8`: calls in flight, of how many may be."""
    if gate is None or not gate.concurrency:
        return str(flying) if flying else "–"
    return f"{flying}/{gate.concurrency}"


def _lane_trouble(
    lane: Lane, retries: list[float], gate: Gate | None, now: float
) -> tuple[str, str]:
    """What holds the lane up, the worst first; else how many attempts failed so far."""
    opens = "" if gate is None or gate.opens_at is None else f" {clock(gate.opens_at - now)}"
    if gate is not None and gate.state == "down":
        return f"down{opens}", "bold red"
    if gate is not None and gate.state == "holding":
        return f"holds{opens}", "yellow"
    if retries:
        return f"retry {clock(min(retries) - now)}", "yellow"
    if gate is not None and gate.waiting:
        return (f"rate{opens}" if gate.state == "rate" else f"{gate.waiting} wait"), "yellow"
    failed = lane.failed + lane.refused
    return (f"{amount(failed)} failed", "red" if lane.refused else "dim") if failed else ("", "")


def under_way_rows(state: State, width: int, height: int, now: float) -> list[Line]:
    """Sessions that run, the one waiting longest first: what for, and since when."""
    if not state.running:
        word = "nothing runs" if state.status != "queued" else "waiting for a runner"
        return [to_width(line((f" {word}", "dim")), width)] if height else []
    sessions = sorted(state.running.items(), key=lambda item: _since(item[1]))
    return [_session(state, id_, one, width, now) for id_, one in sessions[:height]]


def _since(one: Running) -> float:
    return min((call.since for call in one.calls.values()), default=one.touched)


def _session(state: State, id_: str, one: Running, width: int, now: float) -> Line:
    on_stage = state.stage is not None and state.stage.session == id_
    shown = one.seed or id_
    label = min(24, max(10, width // 5))
    left = line(
        ("▸" if on_stage else " ", "bold"), (fitted(shown, label), ""), " ",
        (f"{one.turns:>3} turns  ", "dim"), waits(state, one, now),
    )  # fmt: skip
    return ends(left, line(f" {clock(now - _since(one)):>5} "), width)


def waits(state: State, one: Running, now: float) -> Line:
    """What a session waits for: `teacher critique · rate limit 0:12 qwen`."""
    calls = sorted(one.calls.values(), key=lambda call: call.since)
    if not calls:
        return line((no_call(state, one), "dim"))
    first = calls[0]
    more = f" +{len(calls) - 1}" if len(calls) > 1 else ""
    return line(
        (first.seat, seat_style(first.seat)), f" {one_line(first.purpose)}",
        held_up(first, state.gates, now), (f" {one_line(first.agent)}{more}", "dim"),
    )  # fmt: skip


def no_call(state: State, one: Running) -> str:
    """What to say of a session of which no call is known."""
    return "its models start" if state.unseated and not one.turns else "between calls"


_GATE_WORDS = {
    "full": "no free slot",
    "rate": "rate limit",
    "holding": "held off",
    "down": "model down",
    "starting": "model starts",
    "budget": "budget full",
}


def held_up(call: Waiting, gates: Mapping[str, Gate], now: float) -> Line:
    """`· rate limit 0:12`, `↻ 0:12 rate limited`: what holds a call up and for how long; empty: nothing does.

    How its gate stands now counts, where that is known; else what was told when the wait began to be long.
    """
    if call.gate:
        gate = None if call.gate == "budget" else gates.get(call.agent)
        if gate is None or gate.state not in _GATE_WORDS:
            why, opens_at = call.gate, call.opens_at
        else:
            why, opens_at = gate.state, gate.opens_at
        left = "" if opens_at is None or opens_at <= now else f" {clock(opens_at - now)}"
        return line((f" · {_GATE_WORDS.get(why, 'its turn')}{left}", "yellow"))
    if call.retry_at is None:
        return line((f" attempt {call.attempt}" if call.attempt > 1 else "", "yellow"))
    kind = one_line(call.trouble.replace("_", " "))
    return line((f" ↻ {clock(call.retry_at - now)} {kind}", "yellow"))


def failures(state: State, width: int, height: int, now: float) -> list[Line]:
    """Dead models and why, then failures by reason, the latest first."""
    rows = [] if state.is_over else [
        ends(
            line((f" {one_line(agent)} is down", "bold red"), ("  " + one_line(gate.why), "dim")),
            line(" no call begins "), width,
        )
        for agent, gate in state.gates.items() if gate.state == "down"
    ]  # fmt: skip
    for kind, trouble in reversed(list(state.troubles.items())):
        ago = clock(max(0.0, (state.ended_at or now) - trouble.at))
        left = line(
            (f" {one_line(kind.replace('_', ' '))}", "red"), (f" ×{trouble.count}", "bold"),
            ("  " + one_line(trouble.who), ""), ("  " + one_line(trouble.message), "dim"),
        )  # fmt: skip
        rows.append(ends(left, line(f" {ago} ago "), width))
    return rows[:height]


def ratings(state: State, width: int, height: int) -> list[Line]:
    """Players of this round, best first, with the bounds of their ratings; empty where nobody battled."""
    rows = []
    for rated in state.ratings[: max(0, height)]:
        low, high = _bounds(rated)
        figures = line(
            (f"{rated.rating:>6.0f}", "bold"), (f"  {low:>5} to {high:<5}", "dim"),
            f" {amount(rated.battles):>6} battles ",
        )  # fmt: skip
        rows.append(ends(line(f" {one_line(rated.player)}"), figures, width))
    return rows


def ratings_row(state: State, width: int) -> list[Line]:
    """` ratings  anna 1044 (1010 to …)  bert 956 (920 to 990)`: the best first, as many as fit."""
    if not state.ratings:
        return []
    row = line((" ratings", "bold"))
    for rated in state.ratings:
        low, high = _bounds(rated)
        row.append_text(line(f"  {one_line(rated.player)} ", (f"{rated.rating:.0f}", "bold"),
                             (f" ({low} to {high})", "dim")))  # fmt: skip
    return [to_width(row, width)]


def _bounds(rated: Rated) -> tuple[str, str]:
    low = "…" if rated.low is None else f"{rated.low:.0f}"
    return low, "…" if rated.high is None else f"{rated.high:.0f}"


def _more(number: int, width: int) -> Line:
    return to_width(line((f"  and {number} more", "dim")), width)
