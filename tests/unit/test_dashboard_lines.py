"""Events as plain lines: their exact words, and that each stays one clean line."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.client import Event
from aaa.dashboard.lines import as_json, plain, write
from tests.helpers.classroom import events
from tests.helpers.hostile import HOSTILE, forbidden

AT = "2026-11-22T08:09:10.500000+00:00"
WHO = {"session": 17, "index": 3, "seat": "student", "agent": "smollm2", "purpose": "revision"}
EVOLVED = {"session": 17, "index": 0, "kind": "evolved", "id": "seed-7.e1", "parent": "seed-7",
           "operation": "deepen", "turn": 2}  # fmt: skip
BALLOTS = [{"judge": "j", "order": o, "prefers": "b", "error": None} for o in ("ab", "ba")]


def event(name: str, **data: Any) -> Event:
    return Event(id=5, kind=name, data={"at": AT, **data})


@pytest.mark.parametrize(
    ("happened", "said"),
    [
        (event("round.created", scenario="quickstart", sessions=8, budget_usd=1.5),
         "round created quickstart 8 sessions budget_usd 1.5"),
        (event("round.running", reason="started"), "round running started"),
        (event("round.paused", reason="budget_reached", message="spent $1.50 of $1.50"),
         "round paused budget reached: spent $1.50 of $1.50"),
        (event("round.retuned", concurrency=8, budget_usd=None), "round retuned concurrency 8"),
        (event("round.completed", reason="done", message=None), "round completed done"),
        (event("session.started", session=17, seed="s1", runner="r", epoch=1),
         "session 17 started: seed s1"),
        (event("session.finished", session=17, seed="s1", status="completed", reason=None),
         "session 17 completed: seed s1"),
        (event("session.finished", session=17, seed="s1", status="failed", reason="auth", message="no key"),
         "session 17 failed: seed s1, auth no key"),
        (event("call.started", **WHO, attempt=1), None),
        (event("call.waiting", **WHO, why="rate", opens_in_s=72.4),
         "waiting 17#3 student smollm2 revision: for its rate limit, next in 1:12"),
        (event("call.waiting", **WHO, why="down", opens_in_s=None),
         "waiting 17#3 student smollm2 revision: for its provider, which answers nobody"),
        (event("call.waiting", **WHO, why="full", opens_in_s=None), None),
        (event("call.failed", **WHO, attempt=2, kind="timeout", message="60 s", retry_in_s=4.2),
         "failure 17#3 student smollm2 revision: attempt 2 timeout, again in 4 s: 60 s"),
        (event("call.failed", **WHO, attempt=3, kind="timeout", message="60 s", retry_in_s=None),
         "failure 17#3 student smollm2 revision: attempt 3 timeout, given up: 60 s"),
        (event("turn", **WHO, text="Blue\nlight \x1b[2J scatters.", completion_tokens=12, latency_s=1.24),
         "turn 17#3 student smollm2 revision (12 tok, 1.2 s): Blue light ␛[2J scatters."),
        (event("turn", **WHO, text="", failure="content_filter"),
         "failure 17#3 student smollm2 revision: refused, content_filter"),
        (event("turn", **{**WHO, "purpose": "ballot"}, text="A"), None),
        (event("verdict", session=17, index=0, edge="revision", outcome="win", winner="b", margin=1.93,
               a=0, b=3, ballots=BALLOTS, pair="p_1"),
         "verdict 17 revision: revision wins (margin 1.9, both orders) -> pair p_1"),
        (event("verdict", session=17, index=0, edge="peer", outcome="flip", ballots=BALLOTS),
         "verdict 17 peer: flip: the preference changed with the order"),
        (event("note", **EVOLVED, dropped="", why="", value=None),
         "evolved 17 deepen: seed-7 -> seed-7.e1"),
        (event("note", **EVOLVED, dropped="", why="", value=6.5),
         "evolved 17 deepen: seed-7 -> seed-7.e1 (value 6.5)"),
        (event("note", **EVOLVED, dropped="no_gain", why="it is the same as seed-7", value=None),
         "dropped 17 no_gain: seed-7.e1 by deepen, it is the same as seed-7"),
        (event("note", session=17, index=0, kind="steps", turn=4, labels=[True, False, None], by="rollouts",
               correct=False),
         "steps 17#4: 1 of 3 right by rollouts, solution wrong"),
        (event("note", session=17, index=0, kind="steps", turn=4, labels=[], by="judge", dropped="truncated"),
         "dropped 17 truncated: steps of turn 4"),
        (event("note", session=17, index=1, kind="consensus", method="debate", votes={"42": 3, "41": 1},
               answer="42", correct=True),
         "consensus 17 debate: 42 by 3 of 4, answer right"),
        (event("note", session=17, index=1, kind="consensus", method="debate", votes={"42": 1}, answer=None,
               correct=None),
         "consensus 17 debate: no answer"),
        (event("note", session=17, index=2, kind="comet"), "note 17 comet"),
        (event("comet.seen"), None),
    ],
)  # fmt: skip
def test_lines(happened: Event, said: str | None) -> None:
    assert plain(happened) == (None if said is None else f"08:09:10 {said}")


def test_a_long_text_is_cut_with_an_ellipsis() -> None:
    said = plain(event("turn", **WHO, text="word " * 200, completion_tokens=1, latency_s=1))
    assert said is not None
    assert said.endswith("…")
    assert len(said) < 200


@given(HOSTILE)
def test_a_line_stays_one_clean_line(hostile: str) -> None:
    for happened in events(1):
        spoilt = {
            k: hostile if isinstance(v, str) and k != "at" else v for k, v in happened.data.items()
        }
        said = plain(happened.model_copy(update={"data": spoilt}))
        assert said is None or forbidden(said, allowed="") == []


@given(HOSTILE)
def test_json_lines_are_whole_and_ascii(hostile: str) -> None:
    said = as_json(event("turn", text=hostile))
    assert said.isascii()
    assert said.isprintable()
    assert json.loads(said) == {"id": 5, "event": "turn", "data": {"at": AT, "text": hostile}}


ODD = st.one_of(HOSTILE, st.none(), st.integers(), st.lists(st.integers()), st.booleans())


@given(
    st.sampled_from(["evolved", "steps", "consensus"]),
    st.dictionaries(
        st.sampled_from(["session", "id", "parent", "operation", "dropped", "why", "value", "turn",
                         "labels", "by", "correct", "votes", "answer", "method", "kind"]),
        ODD,
    ),
)  # fmt: skip
def test_odd_notes_never_raise_and_stay_one_clean_line(kind: str, odd: dict[str, Any]) -> None:
    said = plain(event("note", **{"kind": kind, **odd}))
    assert said is not None
    assert forbidden(said, allowed="") == []


def test_only_events_worth_a_line_are_written() -> None:
    out = io.StringIO()
    for happened in events(1):
        write(happened, out, plain)
    written = out.getvalue().splitlines()
    assert written[0].endswith("round created quickstart 1 sessions budget_usd 1.0")
    assert written[-1].endswith("round completed all finished")
    assert not any("call.started" in row for row in written)
