"""The screen at both sizes: it fits, says what matters, and lets nothing of others through."""

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from aaa.client import Event
from aaa.dashboard.ink import changes, clock, cut, ends, fitted, line, revised, spark, wrapped
from aaa.dashboard.known import State
from aaa.dashboard.panels import projected_usd
from aaa.dashboard.play_view import verdict_words
from aaa.dashboard.render import render, rows
from aaa.dashboard.state import looked, opening, rated, reduce, told
from aaa.dashboard.theatre import Vote
from tests.helpers.classroom import CHINESE, START, events, iso, round_json, session_json
from tests.helpers.hostile import HOSTILE, OUR_OWN, forbidden

ROUND = events(8)
SIZES = [(80, 24), (200, 60)]
ODD_SIZES = [*SIZES, (60, 16), (100, 30), (139, 24), (140, 24), (150, 40), (240, 70)]


def states(every: int = 19) -> Iterator[State]:
    """States of a round on its way, with the transcript of who is on stage."""
    state = opening(round_json())
    yield state
    for event in ROUND:
        state = reduce(state, event)
        if event.id % every == 0 or event is ROUND[-1]:
            if state.stage is not None:
                state = told(state, session_json(ROUND, state.stage.session, event.id))
            yield state


def at(number: int) -> State:
    return next(s for s in states(1) if s.last_id == number)


def printed(state: State, width: int, height: int) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, height=height, record=True)
    console.print(render(state, width, height, state.last_at + 2))
    return console.export_text()


@pytest.mark.parametrize(("width", "height"), ODD_SIZES)
def test_every_screen_fits(width: int, height: int) -> None:
    for state in states():
        screen = printed(state, width, height).removesuffix("\n").split("\n")
        assert len(screen) == height
        assert max(map(cell_len, screen)) <= width - 1


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_what_matters_is_on_the_screen(width: int, height: int) -> None:
    text = printed(at(75), width, height)
    for fact in (
        "quickstart", "● running", "0/8 sessions", "4 running", "2 win", "1 tie", "1 flip", "2 pairs",
        "of $1.00", "tok/s", "smollm2-135m", "qwen2.5-coder-1.5b", "granite-3.3-2b",
        "prompt               ", "Why is the sky blue?", "student revision",
        "verdict: revision wins (margin 3.0 nats, both orders)", "under way", "Ctrl-C leaves",
    ):  # fmt: skip
        assert fact in text


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_end_says_how_it_ended(width: int, height: int) -> None:
    text = printed(at(len(ROUND)), width, height)
    for fact in ("● completed", "8/8 sessions", "1 failed", "rate limited ×", "the last"):
        assert fact in text


def test_waits_retries_and_reasons_are_told() -> None:
    who = {"session": 1, "index": 0, "seat": "student", "agent": "smollm2-135m", "purpose": "draft"}
    said: list[tuple[str, dict[str, Any]]] = [
        ("round.running", {"reason": "started"}),
        ("session.started", {"session": 1, "seed": "s"}),
        ("call.started", {**who, "attempt": 1}),
        ("call.failed", {**who, "kind": "rate_limited", "message": "slow down", "retry_in_s": 14}),
    ]
    state = opening(round_json())
    for number, (kind, data) in enumerate(said, 1):
        state = reduce(state, Event(id=number, kind=kind, data={"at": iso(START + number), **data}))
    text = printed(state, 80, 24)
    assert "retry 0:12" in text
    assert "↻ 0:12 rate limited" in text
    assert re.search(r"rate limited ×1 +student smollm2-135m +slow down", text)
    paused = replace(state, status="paused", reason="budget_reached", message="spent all of it")
    assert "● paused  spent all of it" in printed(paused, 80, 24)
    lost = replace(state, connection="connection lost, again in 0:04: gone")
    assert "⚠ connection lost, again in 0:04" in printed(lost, 80, 24)
    behind = replace(state, known_id=5000)
    assert "catching up: event 4 of 5,000" in printed(behind, 80, 24)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_what_a_session_waits_for_before_its_call_begins_is_told(width: int, height: int) -> None:
    who = {"session": 1, "index": 0, "seat": "teacher", "agent": "anna", "purpose": "critique"}
    said: list[tuple[str, dict[str, Any]]] = [
        ("round.running", {"reason": "started"}),
        ("session.started", {"session": 1, "seed": "s"}),
        ("call.waiting", {**who, "why": "rate", "opens_in_s": 63}),
    ]
    state = opening(round_json() | {"seats": {"teacher": ["anna"]}})
    for number, (kind, data) in enumerate(said, 1):
        state = reduce(state, Event(id=number, kind=kind, data={"at": iso(START + number), **data}))

    def screen(**gate: Any) -> str:
        gates = [{"agent": "anna"} | gate] if gate else []
        return printed(looked(state, {}, gates), width, height)

    text = screen()
    assert "between calls" not in text
    assert re.search(r"s +0 turns +teacher critique · rate limit 1:01 anna +0:02 ", text)
    assert re.search(r"teacher critique +· anna 0:02 · rate limit 1:01", text)  # on stage
    assert re.search(r"teacher +anna +– ", text)  # it is not in flight
    later = state.last_at + 602  # a gate as it stands now counts more than what was told
    assert "· held off 10:00 anna" in screen(state="holding", opens_at=iso(later))
    assert "· model down 10:00 anna" in screen(state="down", opens_at=iso(later), why="500")
    assert "· no free slot anna" in screen(state="full")
    assert "· rate limit 1:01 anna" in screen(state="open")  # looked at a moment too early


def test_a_session_whose_models_have_no_seat_yet_says_so() -> None:
    state = opening(round_json() | {"seats": {"teacher": ["anna"]}})
    begun = {"at": iso(START), "session": 1, "seed": "s"}
    state = reduce(state, Event(id=1, kind="session.started", data=begun))
    assert printed(state, 80, 24).count("between calls") == 2  # nobody looked yet, as in a replay
    state = looked(state, {}, [])
    assert printed(state, 80, 24).count("its models start") == 2
    seated = looked(state, {}, [{"agent": "anna", "state": "open"}])
    assert printed(seated, 80, 24).count("between calls") == 2


def test_gates_and_money_that_is_not_spent_yet() -> None:
    state = at(len(ROUND) - 40)
    gate = {"agent": "qwen2.5-coder-1.5b", "concurrency": 8, "in_flight": 1, "waiting": 3}
    opens = iso(state.last_at + 14)

    def screen(width: int, **more: Any) -> str:
        seen = looked(state, {"reserved_usd": 0.25}, [gate | more])
        return printed(seen, width, 24 if width < 100 else 60)

    assert re.search(
        r"qwen2.5-coder-1.5b +\d/8 .* holds 0:12", screen(80, state="holding", opens_at=opens)
    )
    assert re.search(r"rate 0:12", screen(80, state="rate", opens_at=opens))
    assert re.search(r"3 wait", screen(200, state="full", opens_at=None))
    down = screen(80, state="down", opens_at=opens, why="401 wrong key")
    assert re.search(r"down 0:12", down)
    assert re.search(r"qwen2.5-coder-1.5b is down  401 wrong key", down)
    wide = screen(200, state="open")
    assert re.search(r"\$0\.\d{4} \+ \$0\.2500 reserved, about \$0\.\d{4} in all, of \$1\.00", wide)
    assert re.search(r"\$0\.\d{4} \+ \$0\.2500 ~\$0\.\d{4} of \$1\.00", screen(80, state="open"))
    spent, whole = state.spent_usd, projected_usd(state)
    assert whole is not None
    assert whole >= spent


def test_a_wide_screen_has_the_ratings_of_the_round() -> None:
    best = {"player": "smollm2-360m", "rating": 1043.6, "low": 1010.2, "high": None, "battles": 12}
    report = {"boards": [{"ratings": [best, best | {"player": "\x1b[2Jother", "rating": 956.4}]}]}
    text = printed(rated(at(118), report), 200, 60)
    assert re.search(r"smollm2-360m +1044   1010 to … +12 battles", text)
    assert re.search(r"␛\[2Jother +956", text)
    assert rated(at(118), {"boards": []}).ratings == ()


def test_a_small_screen_has_ratings_and_the_latest_verdict_in_a_row_each() -> None:
    best = {"player": "smollm2-360m", "rating": 1043.6, "low": 1010.2, "high": None, "battles": 12}
    report = {"boards": [{"ratings": [best, best | {"player": "\x1b[2Jother", "rating": 956.4}]}]}
    text = printed(rated(at(118), report), 80, 24)
    assert "ratings  smollm2-360m 1044 (1010 to …)  ␛[2Jother 956 (1010 to …)" in text
    assert re.search(r"seed-2 +smollm2-360m wins \(margin 1\.9, both orders\) +0:0\d ago", text)
    assert "ratings" not in printed(at(118), 80, 24)  # nobody battled
    assert "0:0" in printed(rated(at(118), report), 60, 12)


def test_a_wide_screen_lists_the_latest_verdicts() -> None:
    text = printed(at(118), 200, 60)
    assert re.search(r"seed-2 +smollm2-360m wins \(margin 1\.9, both orders\) +0:0\d ago", text)
    assert text.index("smollm2-360m wins (margin 1.9") < text.index("tie (margin 3.6)")


def coloured(state: State, **options: Any) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system="standard", width=80, **options)
    console.print(render(state, 80, 24, state.last_at))
    return out.getvalue()


def test_seats_keep_their_colours_and_no_color_takes_them() -> None:
    state = at(75)
    assert re.search(r"\x1b\[1;36mstudent", coloured(state, no_color=False))
    assert re.search(r"\x1b\[1;35mteacher", coloured(state, no_color=False))
    assert re.search(r"\x1b\[1;33mjudge", coloured(state, no_color=False))
    plain = coloured(state, no_color=True)
    assert not re.search(r"\x1b\[(?:\d+;)*(?:3[0-7]|4[0-7]|9[0-7])m", plain)


@settings(max_examples=40)
@given(HOSTILE, st.sampled_from(SIZES))
def test_hostile_words_reach_no_terminal(hostile: str, size: tuple[int, int]) -> None:
    """Every string of every event and of the round is hostile at once."""

    def spoilt(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: spoilt(v, k) for k, v in value.items()}
        if isinstance(value, list):
            return [spoilt(v) for v in value]
        safe = key in ("at", "created_at", "outcome", "winner", "status", "session", "id")
        return value if safe or not isinstance(value, str) else hostile + value

    state = opening(spoilt(round_json()))
    for event in ROUND[:60]:
        state = reduce(state, event.model_copy(update={"data": spoilt(event.data)}))
    assert state.stage is not None
    state = told(state, spoilt(session_json(ROUND, state.stage.session, 60)))
    state = replace(state, status=hostile, connection=hostile)
    width, height = size
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=True, color_system="truecolor", width=width, no_color=False
    )
    console.print(render(state, width, height, state.last_at))
    shown = OUR_OWN.sub("", out.getvalue())
    assert forbidden(shown) == []
    assert all(cell_len(row) < width for row in shown.split("\n"))


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("plain", 8, "plain   "),
        ("too long for it", 8, "too lon…"),
        ("天空是蓝色的", 8, "天空是… "),
        ("天空是", 6, "天空是"),
        ("📓📓📓", 4, "📓… "),
        ("e\u0301e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301…"),
        ("x", 0, ""),
    ],
)
def test_fitted_counts_cells(text: str, width: int, shown: str) -> None:
    assert fitted(text, width) == shown
    assert cell_len(fitted(text, width)) == width


def test_cut_and_ends() -> None:
    assert cut("天空", 3) == "天…"
    assert ends(line("left side"), line("right"), 12).plain == "left s…right"


@given(st.text(st.sampled_from("ab \n天📓\u0301"), max_size=80), st.integers(2, 30))
def test_wrapping_loses_nothing_but_blanks(text: str, width: int) -> None:
    pieces = wrapped(line(text), width)
    assert all(cell_len(row.plain) <= width for row in pieces)
    assert "".join(row.plain for row in pieces).split() == "".join(text.split()).split() or (
        "".join("".join(row.plain for row in pieces).split()) == "".join(text.split())
    )


def test_wrapping_breaks_between_words() -> None:
    assert [row.plain for row in wrapped(line("one two three four"), 9)] == [
        "one two",
        "three",
        "four",
    ]
    assert all(cell_len(row.plain) <= 10 for row in wrapped(line(CHINESE), 10))


def test_what_a_revision_added_stands_out() -> None:
    pieces = changes("the sun is blue", "the sky is deep blue")
    assert [piece.strip() for piece, fate in pieces if fate == "new"] == ["sky", "deep"]
    assert [piece.strip() for piece, fate in pieces if fate == "gone"] == ["sun"]
    both = revised("the sun is blue", "the sky is blue", with_gone=True)
    assert both.plain == "the sun sky is blue"
    assert {str(s.style): both.plain[s.start : s.end] for s in both.spans} == {
        "strike red": "sun", "bold underline green": "sky",
    }  # fmt: skip
    text = revised("a b", "a c")
    assert [text.plain[s.start : s.end] for s in text.spans] == ["c"]


def test_verdicts_in_words() -> None:
    stage = at(75).stage
    assert stage is not None
    win = next(r for r in stage.rulings if r.outcome == "win")
    assert verdict_words(win, stage) == "verdict: revision wins (margin 3.0 nats, both orders)"
    assert verdict_words(replace(win, winner="a"), stage).startswith("verdict: draft wins")
    peer = replace(win, edge="peer", agents={"a": "x", "b": "y"}, margin=None, votes=())
    assert verdict_words(peer, stage) == "verdict: y wins"
    steps = replace(win, edge="constitution")
    assert verdict_words(steps, stage) == verdict_words(win, stage)
    samples = replace(peer, edge="principle", agents={"a": "x", "b": "x"})
    assert verdict_words(samples, stage) == "verdict: later answer wins"
    assert verdict_words(replace(samples, winner="a")) == "verdict: earlier answer wins"
    assert verdict_words(replace(win, outcome="tie")) == "verdict: tie (margin 3.0 nats)"
    later = replace(win, a=win.b)
    assert verdict_words(later, stage).startswith("verdict: later revision wins")


@pytest.mark.parametrize(
    ("reason", "votes", "said"),
    [
        ("every judge is related to a contestant", 0, "every judge is related to a contestant"),
        ("no_content: answer a has no content", 0, "draft has no content"),
        ("suspect_text: answer b speaks to its judge: 'A'", 0, "revision speaks to its judge: 'A'"),
        ("in_between: neither the best nor the worst", 0, "neither the best nor the worst"),
        ("", 0, "nobody was asked"),
        ("", 2, "2 of 2 ballots preferred neither"),
    ],
)
def test_an_abstention_says_its_real_reason(reason: str, votes: int, said: str) -> None:
    stage = at(75).stage
    assert stage is not None
    win = next(r for r in stage.rulings if r.outcome == "win")
    none = replace(win, outcome="abstain", winner="", reason=reason)
    none = replace(none, votes=tuple(Vote("j", order, "", "") for order in ("ab", "ba")[:votes]))
    assert verdict_words(none, stage) == f"verdict: none, {said}"


def test_small_words() -> None:
    assert [clock(s) for s in (7, 750, 3723, 273_900)] == ["0:07", "12:30", "1:02:03", "3d 04:05"]
    assert spark((0.0, 1.0, 2.0)) == " ▄█"
    assert spark((0.0, 0.0)) == "  "


def test_rows_are_all_of_one_width() -> None:
    assert {cell_len(row.plain) for row in rows(at(75), 80, 24, 0.0)} == {79}
