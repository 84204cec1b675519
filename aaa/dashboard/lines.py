"""A round as plain lines, for pipes and `--no-tui`: one line for each notable event, and as JSON.

A line is `HH:MM:SS kind who: what` in UTC; the words of a kind stay the same, so that they can be
searched for. Left out: calls that merely began or wait for a slot, and ballots (their verdict tells them).
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from aaa.clean import one_line
from aaa.client import Event
from aaa.dashboard import theatre
from aaa.dashboard.ink import amount, clock, cut
from aaa.dashboard.play_view import verdict_words
from aaa.dashboard.reading import count, mapping, moment, number, text

EXCERPT = 120
"""Cells of a turn that are shown."""


def plain(event: Event) -> str | None:
    """The event as one clean line; `None` where it is not worth one."""
    words = _WORDS.get(event.kind) or (_round if event.kind.startswith("round.") else None)
    said = words(event.data, event.kind) if words is not None else None
    if said is None:
        return None
    at = moment(event.data, "at") or 0.0
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S} {one_line(said)}"


def as_json(event: Event) -> str:
    """The event as one line of JSON: `{"id", "event", "data"}`; pure ASCII, so no terminal minds it."""
    return json.dumps({"id": event.id, "event": event.kind, "data": event.data}, ensure_ascii=True)


def write(event: Event, out: TextIO, form: Callable[[Event], str | None]) -> None:
    """Print the event at once, if it is worth a line."""
    said = form(event)
    if said is not None:
        out.write(said + "\n")
        out.flush()


def _round(data: Mapping[str, Any], kind: str) -> str:
    said = [
        kind.removeprefix("round."),
        text(data, "scenario"),
        text(data, "reason").replace("_", " "),
    ]
    if kind == "round.created":
        said.append(f"{count(data, 'sessions')} sessions")
    changed = (
        f"{key} {data[key]}" for key in ("concurrency", "budget_usd") if data.get(key) is not None
    )
    return " ".join(["round", *filter(None, said), *changed]) + _after(": ", text(data, "message"))


def _session_started(data: Mapping[str, Any], kind: str) -> str:
    return f"session {text(data, 'session')} started: seed {text(data, 'seed')}"


def _session_finished(data: Mapping[str, Any], kind: str) -> str:
    why = " ".join(filter(None, (text(data, "reason"), text(data, "message"))))
    seed = text(data, "seed")
    return f"session {text(data, 'session')} {text(data, 'status')}: seed {seed}{_after(', ', why)}"


_WAITS = {
    "rate": "its rate limit",
    "holding": "its provider, after a 429",
    "down": "its provider, which answers nobody",
    "starting": "its model to load",
    "budget": "room in the budget, which calls in flight may need",
}


def _call_waiting(data: Mapping[str, Any], kind: str) -> str | None:
    """A slot is not worth a line: one that is taken comes free with a turn."""
    said, opens_in_s = _WAITS.get(text(data, "why")), number(data, "opens_in_s")
    if said is None:
        return None
    then = "" if opens_in_s is None else f", next in {clock(opens_in_s)}"
    return f"waiting {_who(data)}: for {said}{then}"


def _call_failed(data: Mapping[str, Any], kind: str) -> str:
    retry_in_s = number(data, "retry_in_s")
    then = "given up" if retry_in_s is None else f"again in {retry_in_s:.0f} s"
    what = f"attempt {count(data, 'attempt')} {text(data, 'kind')}, {then}"
    return f"failure {_who(data)}: {what}{_after(': ', cut(text(data, 'message'), EXCERPT))}"


def _turn(data: Mapping[str, Any], kind: str) -> str | None:
    failure = data.get("failure")
    if failure:
        why = text(mapping(data, "failure"), "kind") or str(failure)
        return f"failure {_who(data)}: refused, {why}"
    if text(data, "purpose") == "ballot":
        return None
    excerpt = cut(one_line(text(data, "text")), EXCERPT)
    facts = (
        f"{amount(count(data, 'completion_tokens'))} tok, {number(data, 'latency_s') or 0:.1f} s"
    )
    return f"turn {_who(data)} ({facts}): {excerpt}"


def _verdict(data: Mapping[str, Any], kind: str) -> str:
    ruling = theatre.read_ruling(data, after=0)
    pair = _after(" -> pair ", ruling.pair)
    words = verdict_words(ruling).removeprefix("verdict: ")
    return f"verdict {text(data, 'session')} {ruling.edge}: {words}{pair}"


def _note(data: Mapping[str, Any], kind: str) -> str:
    """What a play concluded besides verdicts: what was kept, dropped, labelled or agreed on."""
    said = _NOTES.get(text(data, "kind"))
    dropped = text(data, "dropped")
    if said is None:
        return f"note {text(data, 'session')} {text(data, 'kind')}"
    if dropped:
        why = _after(", ", cut(text(data, "why"), EXCERPT))
        what = text(data, "id") or f"{text(data, 'kind')} of turn {count(data, 'turn')}"
        by = _after(" by ", text(data, "operation"))
        return f"dropped {text(data, 'session')} {dropped}: {what}{by}{why}"
    return said(data)


def _evolved(data: Mapping[str, Any]) -> str:
    value = number(data, "value")
    worth = "" if value is None else f" (value {value:.3g})"
    made = f"{text(data, 'parent')} -> {text(data, 'id')}"
    return f"evolved {text(data, 'session')} {text(data, 'operation')}: {made}{worth}"


def _steps(data: Mapping[str, Any]) -> str:
    labels = data.get("labels")
    labels = labels if isinstance(labels, list) else []
    right = sum(label is True for label in labels)
    where = f"{text(data, 'session')}#{count(data, 'turn')}"
    return f"steps {where}: {right} of {len(labels)} right by {text(data, 'by')}{_correct(data, 'solution')}"


def _consensus(data: Mapping[str, Any]) -> str:
    votes, agreed = mapping(data, "votes"), text(data, "answer")
    cast = sum(count(votes, answer) for answer in votes)
    found = f"{cut(agreed, EXCERPT)} by {count(votes, agreed)} of {cast}" if agreed else "no answer"
    what = f"{text(data, 'session')} {text(data, 'method')}"
    return f"consensus {what}: {found}{_correct(data, 'answer')}"


def _labels(data: Mapping[str, Any]) -> str:
    tags = data.get("tags")
    found = ", ".join(map(str, tags)) if isinstance(tags, list) and tags else "no value agreed on"
    hard = number(data, "difficulty")
    return f"labels {text(data, 'session')} {found}" + (
        "" if hard is None else f", difficulty {hard:.3g}"
    )


def _correct(data: Mapping[str, Any], what: str) -> str:
    known = data.get("correct")
    return f", {what} {'right' if known else 'wrong'}" if isinstance(known, bool) else ""


def _who(data: Mapping[str, Any]) -> str:
    where = f"{text(data, 'session')}#{count(data, 'index')}"
    return f"{where} {text(data, 'seat')} {text(data, 'agent')} {text(data, 'purpose')}"


def _after(mark: str, words: str) -> str:
    return mark + words if words else ""


_NOTES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "evolved": _evolved,
    "steps": _steps,
    "consensus": _consensus,
    "labels": _labels,
}
_WORDS: dict[str, Callable[[Mapping[str, Any], str], str | None]] = {
    "session.started": _session_started,
    "session.finished": _session_finished,
    "call.waiting": _call_waiting,
    "call.failed": _call_failed,
    "turn": _turn,
    "verdict": _verdict,
    "note": _note,
}
