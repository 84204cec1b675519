"""A session in full: what is beside what, what went and came, and that hostile words stay words."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from aaa.client import Event
from aaa.dashboard.known import State
from aaa.dashboard.play_view import ballot_words
from aaa.dashboard.render import rows
from aaa.dashboard.state import let_go, opening, pinned, reduce
from aaa.dashboard.theatre import MOST_SPEECHES, Stage, cut_at
from aaa.dashboard.whole import whole_rows
from tests.helpers.classroom import CRITIQUE, DRAFT, REVISION, events, round_json, session_json
from tests.helpers.hostile import HOSTILE, forbidden

ROUND = events(8)
DONE = str(next(e.data["session"] for e in ROUND if e.kind == "session.finished"))


def at(number: int) -> State:
    state = opening(round_json())
    for event in ROUND[:number]:
        state = reduce(state, event)
    return state


def transcript(**first: Any) -> dict[str, Any]:
    """A finished session of the round; `first` replaces fields of its turns."""
    whole = session_json(ROUND, DONE, len(ROUND)) | {"status": "completed"}
    whole["turns"] = [{**turn, "messages": _messages(turn), **first} for turn in whole["turns"]]
    return whole


def _messages(turn: dict[str, Any]) -> list[dict[str, str]]:
    revises = turn["purpose"] == "revision" and turn["agent"] == "smollm2-135m"
    return [{"role": "user", "content": f"Mend it: {CRITIQUE}" if revises else "Go on"}]


def staged(session: dict[str, Any]) -> tuple[State, Stage]:
    state = pinned(at(len(ROUND)), session)
    assert state.stage is not None
    return state, state.stage


def shown(width: int, gone: bool = True) -> str:
    state, stage = staged(transcript())
    return "\n".join(row.plain for row in whole_rows(state, stage, width, 0.0, gone=gone))


@pytest.mark.parametrize("width", [40, 79, 99, 120, 199])
def test_every_row_is_as_wide_as_asked(width: int) -> None:
    state, stage = staged(transcript())
    assert {cell_len(row.plain) for row in whole_rows(state, stage, width, 0.0)} == {width}


def test_what_a_revision_dropped_can_be_hidden() -> None:
    assert "the ocean" in shown(79).split("student revision")[1]
    assert "the ocean" not in shown(79, gone=False).split("student revision")[1].split("judge")[0]


def test_a_critique_stands_beside_the_revision_that_heard_it() -> None:
    wide = shown(199).split("\n")
    assert any("student revision" in row and "│ teacher critique" in row for row in wide)
    narrow = shown(79).split("\n")
    assert not any("│" in row for row in narrow)
    assert any(row.startswith(" teacher critique") for row in narrow)


def test_a_critique_that_two_heard_stands_alone() -> None:
    both = transcript(messages=[{"role": "user", "content": CRITIQUE}])
    state, stage = staged(both)
    rows = [row.plain for row in whole_rows(state, stage, 199, 0.0)]
    assert not any("│" in row for row in rows)


def test_each_ballot_is_told_with_its_order() -> None:
    text = shown(120)
    assert "granite-3.3-2b · draft first: prefers" in text
    assert "granite-3.3-2b · revision first: prefers" in text


def test_stepping_back_shows_nothing_of_later() -> None:
    _, stage = staged(transcript())
    assert cut_at(stage, len(stage.speeches)) is stage
    first = cut_at(stage, 1)
    assert [speech.purpose for speech in first.speeches] == ["draft"]
    assert first.rulings == ()
    for turns in range(len(stage.speeches) + 1):
        cut = cut_at(stage, turns)
        last = max((speech.index for speech in cut.speeches), default=-1)
        assert all(ruling.after <= last + 1 for ruling in cut.rulings)


def test_a_pinned_session_stays_on_stage_until_it_is_let_go() -> None:
    pin = pinned(at(20), {"id": "elsewhere", "status": "running"})
    later = pin
    for event in ROUND[20:]:
        later = reduce(later, event)
    assert later.stage is not None
    assert later.stage.session == "elsewhere"
    free = let_go(pin)
    for event in ROUND[20:]:
        free = reduce(free, event)
    assert free.stage is not None
    assert free.stage.session != "elsewhere"


@settings(max_examples=40)
@given(HOSTILE, st.sampled_from([79, 199]))
def test_hostile_words_stay_words(hostile: str, width: int) -> None:
    said = {"text": f"{hostile} {DRAFT} {REVISION}", "agent": hostile, "seat": hostile}
    session = transcript(**said)
    session["seed"] = {"id": hostile, "prompt": hostile}
    state, stage = staged(session)
    stage = replace(stage, reason=hostile)
    rows = whole_rows(state, stage, width, 0.0)
    assert forbidden("\n".join(row.plain for row in rows)) == []
    assert {cell_len(row.plain) for row in rows} == {width}


def judged(text: str, first: str = DRAFT, second: str = REVISION) -> str:
    """How a ballot with that text reads before its verdict, whose judge saw these two under labels."""
    prompt = f"Question:\n<t>\nwhy\n</t>\n\nAnswer K7:\n<t>\n{first}\n</t>\n\nAnswer Q2:\n<t>\n{second}\n</t>"
    answers = (("draft", DRAFT), ("revision", REVISION))
    turns: list[dict[str, Any]] = [
        {"index": n, "seat": "student", "agent": "anna", "purpose": purpose, "text": said}
        for n, (purpose, said) in enumerate(answers)
    ]
    messages = [{"role": "system", "content": "judge"}, {"role": "user", "content": prompt}]
    ballot = {"index": 2, "seat": "judge", "agent": "carl", "purpose": "ballot", "text": text}
    turns.append({**ballot, "messages": messages})
    state, stage = staged({"id": "x", "seed": {"id": "s"}, "turns": turns, "verdicts": []})
    shown = "\n".join(row.plain for row in whole_rows(state, stage, 199, 0.0))
    assert ballot_words(stage, stage.speeches[-1])[:12] in shown
    return ballot_words(stage, stage.speeches[-1])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"explanation": "It says why.", "better": "Q2"}', "better revision · It says why."),
        ('{"explanation": "Both do.", "better": "tie"}', "better tie · Both do."),
        ('{"explanation": "", "scores": {"K7": 4, "Q2": 7}}', "draft 4 · revision 7"),
        ('{"verdict": "Q2>>K7"}', "verdict revision>>draft"),
        ("Q2", "revision"),
        ("no JSON at all", "no JSON at all"),
        ("[1]", "[1]"),
    ],
)
def test_a_ballot_says_what_was_shown_first_and_what_it_prefers_before_its_verdict(
    text: str, told: str
) -> None:
    assert judged(text) == f"draft first: {told}"
    swapped = judged(text, REVISION, DRAFT)
    assert swapped.startswith("revision first: ")
    if text == "Q2":
        assert swapped == "revision first: draft"


def test_a_ballot_of_any_depth_is_drawn() -> None:
    for depth in (10, 400, 900, 3000):
        assert judged('{"a":' * depth + "1" + "}" * depth).startswith("draft first: ")
    assert judged("7" * 6000).startswith("draft first: 777")


def test_a_ballot_whose_prompt_is_not_known_is_told_without_an_order() -> None:
    state = opening(round_json())
    who = {"session": 7, "index": 0, "seat": "judge", "agent": "carl", "purpose": "ballot"}
    told: list[tuple[str, dict[str, Any]]] = [
        ("session.started", {"session": 7, "seed": "s"}),
        ("turn", {**who, "text": '{"explanation": "It says why.", "better": "Q2"}'}),
    ]
    for number, (kind, data) in enumerate(told, 1):
        state = reduce(state, Event(id=number, kind=kind, data=data))
    text = "\n".join(row.plain for row in rows(state, 80, 24, 0.0))
    assert re.search(r"judge ballot +better Q2 · It says why\.", text)
    assert "{" not in text


def test_turns_that_are_not_kept_are_counted() -> None:
    many = [
        {"index": n, "seat": "student", "agent": "anna", "purpose": "answer", "text": f"word{n}"}
        for n in range(MOST_SPEECHES + 24)
    ]
    state, stage = staged({"id": "x", "seed": {"id": "s"}, "turns": many, "verdicts": []})
    assert stage.left_out == 24
    text = "\n".join(row.plain for row in whole_rows(state, stage, 79, 0.0))
    assert "… 24 earlier turns are not shown here" in text
    assert not re.search(r"word23\b", text)
    assert re.search(r"word24\b", text)
    _, few = staged({"id": "x", "seed": {"id": "s"}, "turns": many[5:20], "verdicts": []})
    assert few.left_out == 0
