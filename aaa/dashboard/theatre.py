"""The theatre: one session's conversation as it is known so far, from events and from its transcript.

Pure values and functions. Texts in events are cut; `told` puts the transcript's whole ones in their
place. Left out: which session is on stage (`state`), and how it looks (`render`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aaa.dashboard.reading import count, mapping, moment, number, rows, text
from aaa.states import ENDED

MOST_SPEECHES, MOST_RULINGS = 96, 48
"""Kept of one session; older ones leave."""
LONGEST_TEXT = 20_000
"""Characters kept of one text; `characters` still says how long it is."""

_LABEL = re.compile(r"^Answer (\S{1,20}):\n<[^\n]{1,80}>\n", re.MULTILINE)
"""What stands before an answer in a judge's prompt: its label, and the line that fences it in."""


@dataclass(frozen=True, slots=True)
class Speech:
    """One turn: who said what in which seat."""

    index: int
    seat: str
    agent: str
    purpose: str
    text: str
    characters: int
    """Length of the whole text; more than `len(text)` where only its beginning is known."""
    finish_reason: str
    tokens: int | None
    latency_s: float | None
    failure: str
    """Kind of failure; `""`: it was answered."""
    heard: tuple[int, ...] = ()
    """Indexes of the critiques that stood in its prompt; `()`: none, or not known."""
    judged: tuple[tuple[str, int], ...] = ()
    """(label, index) of the answers that a ballot is about, as they were shown; `()`: none, or not known."""

    @property
    def is_cut(self) -> bool:
        return self.characters > len(self.text) and len(self.text) < LONGEST_TEXT


@dataclass(frozen=True, slots=True)
class Vote:
    """One judge's ballot in one order."""

    judge: str
    order: str
    prefers: str
    """`a`, `b`, `tie`, or `""` where it does not say."""
    error: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """A verdict."""

    index: int
    after: int
    """How many turns came before it."""
    edge: str
    outcome: str
    winner: str
    margin: float | None
    judging: str
    """Name of the judging play, where it is known: it says what the margin's unit is."""
    a: int
    b: int
    agents: Mapping[str, str]
    votes: tuple[Vote, ...]
    reason: str
    pair: str


@dataclass(frozen=True, slots=True)
class Stage:
    """The session that is shown."""

    session: str
    seed: str
    since: float | None
    """Epoch seconds when it started; `None`: not known yet."""
    touched: float
    """Epoch seconds of the last thing heard of it."""
    prompt: str = ""
    """What the student must answer; `""` until the transcript was fetched."""
    speeches: tuple[Speech, ...] = ()
    """In turn order."""
    rulings: tuple[Ruling, ...] = ()
    status: str = ""
    """`completed`, `failed`, `cancelled`; `""` while it runs."""
    reason: str = ""
    finished_at: float | None = None

    @property
    def left_out(self) -> int:
        """How many of its first turns are not kept."""
        return self.speeches[0].index if len(self.speeches) >= MOST_SPEECHES else 0

    @property
    def wants_telling(self) -> bool:
        """Whether the transcript knows more than is here."""
        return not self.prompt or any(speech.is_cut for speech in self.speeches)


def spoke(stage: Stage, data: Mapping[str, Any], **more: Any) -> Stage:
    """A `turn` event, or a turn of the transcript, of which `more` is known."""
    known = {speech.index: speech for speech in stage.speeches}
    speech = replace(_speech(data), **more)
    known[speech.index] = speech
    kept = tuple(known[index] for index in sorted(known))[-MOST_SPEECHES:]
    return replace(stage, speeches=kept)


def ruled(stage: Stage, data: Mapping[str, Any]) -> Stage:
    """A `verdict` event, or a verdict of the transcript."""
    known = {ruling.index: ruling for ruling in stage.rulings}
    ruling = read_ruling(data, after=max((s.index + 1 for s in stage.speeches), default=0))
    known[ruling.index] = ruling
    kept = tuple(known[index] for index in sorted(known))[-MOST_RULINGS:]
    return replace(stage, rulings=kept)


def told(stage: Stage, session: Mapping[str, Any]) -> Stage:
    """With what the session's transcript (`GET /v1/sessions/{id}`) adds; another session's adds nothing."""
    if text(session, "id") != stage.session:
        return stage
    turns = rows(session, "turns")
    critiques = [turn for turn in turns if text(turn, "purpose") == "critique"]
    for turn in turns:
        stage = spoke(stage, turn, heard=_heard(turn, critiques), judged=_judged(turn, turns))
    for verdict in rows(session, "verdicts"):
        stage = ruled(stage, verdict)
    seed, status = mapping(session, "seed"), text(session, "status")
    ended = status in ENDED
    return replace(
        stage,
        seed=text(seed, "id") or stage.seed,
        since=moment(session, "started_at") or stage.since,
        prompt=_prompt(seed) or stage.prompt or "(no prompt)",
        status=status if ended else stage.status,
        reason=text(session, "message") or text(session, "reason") if ended else stage.reason,
        finished_at=moment(session, "finished_at") if ended else stage.finished_at,
    )


def _heard(turn: Mapping[str, Any], critiques: list[Mapping[str, Any]]) -> tuple[int, ...]:
    """Indexes of the critiques whose words stand in a revision's prompt."""
    if text(turn, "purpose") != "revision":
        return ()
    prompt = _asked(turn)
    said = ((count(one, "index"), text(one, "text").strip()) for one in critiques)
    return tuple(index for index, words in said if words and words in prompt)


def _judged(turn: Mapping[str, Any], turns: list[Mapping[str, Any]]) -> tuple[tuple[str, int], ...]:
    """Label and index of each answer that stands under a label in a ballot's prompt, in that order."""
    if text(turn, "purpose") != "ballot":
        return ()
    prompt = _asked(turn)
    answers = [(text(one, "text"), count(one, "index")) for one in turns if one is not turn]
    answers = sorted((one for one in answers if one[0]), key=lambda one: -len(one[0]))
    shown = []
    for label in _LABEL.finditer(prompt):
        here = (index for words, index in answers if prompt.startswith(words, label.end()))
        shown += [(label[1], index) for index in here][:1]
    return tuple(shown)


def _asked(turn: Mapping[str, Any]) -> str:
    return "\n".join(text(message, "content") for message in rows(turn, "messages"))


def cut_at(stage: Stage, turns: int) -> Stage:
    """The stage as it was after so many of its turns: for stepping through."""
    speeches = stage.speeches[: max(0, turns)]
    if len(speeches) == len(stage.speeches):
        return stage
    spoken = max((speech.index + 1 for speech in speeches), default=0)
    rulings = tuple(ruling for ruling in stage.rulings if ruling.after <= spoken)
    return replace(stage, speeches=speeches, rulings=rulings, status="", reason="")


def _prompt(seed: Mapping[str, Any]) -> str:
    """The seed's last message; the whole chat with its roles where there is more than one."""
    if isinstance(seed.get("prompt"), str):
        return text(seed, "prompt")[:LONGEST_TEXT]
    messages = rows(seed, "prompt")
    if len(messages) == 1:
        return text(messages[0], "content")[:LONGEST_TEXT]
    shown = (f"{text(m, 'role')}: {text(m, 'content')}" for m in messages)
    return "\n".join(shown)[:LONGEST_TEXT]


def _speech(data: Mapping[str, Any]) -> Speech:
    said, failure = text(data, "text"), data.get("failure")
    tokens = number(data, "completion_tokens")
    return Speech(
        index=count(data, "index"),
        seat=text(data, "seat"),
        agent=text(data, "agent"),
        purpose=text(data, "purpose"),
        text=said[:LONGEST_TEXT],
        characters=count(data, "characters") or len(said),
        finish_reason=text(data, "finish_reason"),
        tokens=None if tokens is None else int(tokens),
        latency_s=number(data, "latency_s"),
        failure=text(failure, "kind") if isinstance(failure, dict) else str(failure or ""),
    )


def read_ruling(data: Mapping[str, Any], after: int) -> Ruling:
    """A verdict; `after` counts where it does not say how many turns came before it."""
    known_after = number(data, "after")
    return Ruling(
        index=count(data, "index"),
        after=after if known_after is None else int(known_after),
        edge=text(data, "edge"),
        outcome=text(data, "outcome"),
        winner=text(data, "winner"),
        margin=number(data, "margin"),
        judging=text(data, "judging"),
        a=count(data, "a"),
        b=count(data, "b"),
        agents={side: str(name) for side, name in mapping(data, "agents").items()},
        votes=tuple(
            Vote(text(b, "judge"), text(b, "order"), text(b, "prefers"), text(b, "error"))
            for b in rows(data, "ballots")[:32]
        ),
        reason=text(data, "reason"),
        pair=text(data, "pair"),
    )
