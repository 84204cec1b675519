"""The theatre as rows: the seed's prompt, then who said what, oldest first, the newest in full.

Who speaks stands in a column at the left, in the colour of the seat; what is said at the right. An
answer that was revised fades, the words that a revision added stand out, verdicts get a line.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any

from aaa.clean import one_line
from aaa.dashboard.ink import (
    Line,
    amount,
    body,
    clock,
    cut,
    ends,
    fitted,
    line,
    revised,
    seat_style,
    to_width,
    wrapped,
)
from aaa.dashboard.known import Gate, State, Waiting
from aaa.dashboard.panels import OUTCOME_STYLES, held_up, no_call
from aaa.dashboard.theatre import Ruling, Speech, Stage, Vote

_ANSWERS = ("draft", "revision", "answer")
_REVISED = ("revision", "constitution")
"""Edges on which an answer meets a revision of it."""
_CODE = re.compile(r"^[a-z]+(?:_[a-z]+)*: ")
"""What a reason begins with where it has a code: `no_content: answer a has no content`."""
_LABEL = re.compile(r"\w+")
_SIDE = re.compile(r"\banswer ([ab])\b")
_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


@dataclass(frozen=True, slots=True)
class Block:
    """One thing on stage: what stands in the left column, and what is said."""

    left: tuple[Line, ...]
    said: tuple[Line, ...]
    short: int = 1
    """Rows it keeps when there is little room."""
    marks_cuts: bool = True
    """Whether what did not fit leaves an ellipsis."""

    def rows(self, height: int, gutter: int, width: int) -> list[Line]:
        """It in `height` rows at most; cut with an ellipsis."""
        said = list(self.said[:height])
        if len(self.said) > height and said and (self.marks_cuts or height < self.short):
            room = width - gutter
            end = said[-1].copy()
            end.truncate(max(1, room - 2))
            said[-1] = line(end, (" …", "dim"))
        count = max(len(said), min(len(self.left), height, 1))
        left, blank = [*self.left, *([line()] * count)], line()
        said += [blank] * (count - len(said))
        return [to_width(line(to_width(left[n], gutter), said[n]), width) for n in range(count)]


def stage_rows(state: State, width: int, height: int, now: float) -> list[Line]:
    """The theatre in exactly `height` rows."""
    if state.stage is None:
        empty = "" if state.is_over else "the stage is empty; the first session will be shown here"
        return _filled([to_width(line((f"  {empty}", "dim")), width)], width, height)
    gutter = 22 if width < 100 else 30
    blocks = _blocks(state, state.stage, width - gutter - 1, gutter, now)
    return _filled(_fit(blocks, gutter, width, height), width, height)


def _blocks(state: State, stage: Stage, room: int, gutter: int, now: float) -> list[Block]:
    prompt = body(stage.prompt or "…", "italic")
    blocks = [Block((line(" ", ("prompt", "bold")),), tuple(wrapped(prompt, room)), short=1)]
    counted = {
        vote
        for ruling in stage.rulings
        for vote in range(first_ballot(stage, ruling), ruling.after)
    }
    items = [
        (float(speech.index), _speech(stage, speech, room, gutter))
        for speech in stage.speeches
        if speech.purpose != "ballot" or speech.index not in counted
    ]
    items += [(ruling.after - 0.5, ruling_block(stage, ruling, room)) for ruling in stage.rulings]
    blocks += [block for _, block in sorted(items, key=lambda item: item[0])]
    running = state.running.get(stage.session)
    calls = sorted(running.calls.items()) if running else []
    blocks += waiting_blocks([call for _, call in calls], state.gates, now)
    if running and not calls:
        blocks.append(Block((line(),), (line((f"({no_call(state, running)})", "dim")),)))
    if stage.status and stage.status != "completed":
        reason = one_line(stage.reason)
        blocks.append(
            Block((line((f" session {stage.status}", "bold red")),), (line((reason, "red")),))
        )
    return blocks


def first_ballot(stage: Stage, ruling: Ruling) -> int:
    """Index of the first ballot that led to the verdict: those directly before it."""
    first = ruling.after
    ballots = {speech.index for speech in stage.speeches if speech.purpose == "ballot"}
    while first - 1 in ballots:
        first -= 1
    return first


def _speech(stage: Stage, speech: Speech, room: int, gutter: int) -> Block:
    _, style = fate(stage, speech)
    return Block(who(stage, speech, gutter), _words(stage, speech, style, room), short=2)


def who(stage: Stage, speech: Speech, gutter: int) -> tuple[Line, ...]:
    """Seat, purpose and what became of it; agent; size and time: the column at the left."""
    mark, _ = fate(stage, speech)
    facts = [] if speech.tokens is None else [f"{amount(speech.tokens)} tok"]
    facts += [] if speech.latency_s is None else [f"{speech.latency_s:.1f} s"]
    if speech.finish_reason == "length":
        facts.append("cut off")
    return (
        line(" ", (one_line(speech.seat), f"bold {seat_style(speech.seat)}"), " ",
             (one_line(speech.purpose), seat_style(speech.seat)), " ", mark),
        line("   ", (fitted(speech.agent, gutter - 4), "dim")),
        line("   ", (" · ".join(facts), "dim")),
    )  # fmt: skip


def _words(stage: Stage, speech: Speech, style: str, room: int) -> tuple[Line, ...]:
    if speech.purpose == "ballot" and not speech.failure:
        return (line((cut(one_line(ballot_words(stage, speech)), room), style)),)
    before = answer_before(stage, speech)
    return _drawn(speech, before.text if before else None, style, room)


@lru_cache(maxsize=256)
def _drawn(speech: Speech, before: str | None, style: str, room: int) -> tuple[Line, ...]:
    """What was said, in rows; what is new since the answer `before` stands out."""
    if speech.failure:
        return (line((f"✗ {one_line(speech.failure.replace('_', ' '))}", "red")),)
    text = body(speech.text, style) if before is None else revised(before, speech.text)
    if not text.plain:
        text = body("(nothing)", "dim")
    rows = wrapped(text, room)
    if speech.is_cut:
        more = amount(speech.characters - len(speech.text))
        rows.append(line((f"… {more} characters more", "dim")))
    return tuple(rows)


def ballot_words(stage: Stage, speech: Speech) -> str:
    """`draft first: better revision · it says why`: a ballot before its verdict is known.

    Labels become the names of the answers, where the transcript told which stood under them.
    """
    names = _names_of(stage, speech)
    first = f"{next(iter(names.values()))} first: " if len(names) > 1 else ""
    try:
        said = json.loads(speech.text)
        if isinstance(said, dict):
            return first + " · ".join(_facts(said, names))
    except (ValueError, RecursionError):  # no JSON, or a depth that nobody means
        pass
    return first + _named(speech.text.strip(), names)


def _facts(said: dict[str, Any], names: Mapping[str, str]) -> list[str]:
    """What a judge wrote as JSON, the short things first: `better revision`, `draft 7`, then why."""
    facts, reasons = [], []
    for key, value in said.items():
        if isinstance(value, dict):
            facts += _facts(value, names)
        elif isinstance(value, str) and (" " in value or not value):
            reasons.append(value)
        else:
            facts.append(f"{_named(key, names)} {_named(str(value), names)}")
    return [*facts, *filter(None, reasons)]


def _named(words: str, names: Mapping[str, str]) -> str:
    """`K7>Q2` as `draft>revision`."""
    return _LABEL.sub(lambda found: names.get(found[0], found[0]), words)


def _names_of(stage: Stage, speech: Speech) -> dict[str, str]:
    """Label -> what to call the answer under it: by purpose, by agent, or by which came first."""
    known = {one.index: one for one in stage.speeches}
    shown = {label: known[index] for label, index in speech.judged if index in known}
    for called in (attrgetter("purpose"), attrgetter("agent")):
        names = {label: one_line(called(one)) for label, one in shown.items()}
        if len(set(names.values())) == len(names):
            return names
    first = min(one.index for one in shown.values())
    return {
        label: "earlier answer" if one.index == first else "later answer"
        for label, one in shown.items()
    }


def answer_before(stage: Stage, speech: Speech) -> Speech | None:
    """The answer that a revision revises: its agent's latest before it."""
    if speech.purpose != "revision":
        return None
    earlier = [
        s
        for s in stage.speeches
        if s.index < speech.index and s.agent == speech.agent and s.purpose in _ANSWERS
    ]
    return earlier[-1] if earlier else None


def fate(stage: Stage, speech: Speech) -> tuple[Line, str]:
    """(mark, style of the words): what the verdicts and later revisions made of an answer."""
    if speech.purpose not in _ANSWERS:
        return line(), ""
    for ruling in reversed(stage.rulings):
        if ruling.edge in _REVISED and ruling.winner and speech.index in (ruling.a, ruling.b):
            won = speech.index == (ruling.a if ruling.winner == "a" else ruling.b)
            return (line(("✓", "bold green")), "") if won else (line(("✗", "red")), "dim")
    later = any(
        s.index > speech.index and s.agent == speech.agent and s.purpose == "revision"
        for s in stage.speeches
    )
    return line(), "dim" if later else ""


def ruling_block(stage: Stage, ruling: Ruling, room: int) -> Block:
    style = OUTCOME_STYLES.get(ruling.outcome, "red")
    judges = ", ".join(dict.fromkeys(vote.judge for vote in ruling.votes))
    colour = seat_style("judge")
    left = (
        line(" ", ("judge", f"bold {colour}"), " ", (one_line(ruling.edge), colour)),
        line("   ", (one_line(judges), "dim")),
    )
    said = wrapped(body(verdict_words(ruling, stage), f"bold {style}"), room)
    names = {side: side_name(ruling, stage, side) for side in "ab"}
    votes = " · ".join(_vote(vote, names) for vote in ruling.votes)
    rows = [*said, line((votes, "dim"))] if votes else said
    return Block(left, tuple(rows), short=len(said), marks_cuts=False)


def _vote(vote: Vote, names: dict[str, str]) -> str:
    """`draft first: revision`: what was shown first, and what was preferred."""
    order = (
        f"{names[vote.order[0]]} first" if vote.order in ("ab", "ba") else names.get(vote.order, "")
    )
    return f"{order}: {names.get(vote.prefers, vote.prefers) or one_line(vote.error) or 'scored'}"


def verdict_words(ruling: Ruling, stage: Stage | None = None) -> str:
    """`verdict: revision wins (margin 1.9 nats, both orders)`, and what the other outcomes read like."""
    unit = " nats" if ruling.judging == "logprob" else ""
    margin = "" if ruling.margin is None else f"margin {ruling.margin:.1f}{unit}"
    if ruling.outcome == "win":
        both = "both orders" if {"ab", "ba"} <= {vote.order for vote in ruling.votes} else ""
        facts = ", ".join(fact for fact in (margin, both) if fact)
        return f"verdict: {side_name(ruling, stage, ruling.winner)} wins" + (
            f" ({facts})" if facts else ""
        )
    if ruling.outcome == "abstain":
        return f"verdict: none, {_abstained(ruling, stage)}"
    why = {
        "tie": f"tie ({margin})" if margin else "tie",
        "flip": "flip: the preference changed with the order",
        "error": "none, a ballot could not be read",
    }.get(ruling.outcome, one_line(ruling.outcome))
    return f"verdict: {why}" + (f" · {one_line(ruling.reason)}" if ruling.reason else "")


def _abstained(ruling: Ruling, stage: Stage | None) -> str:
    """Why there is no verdict: the reason on record without its code, else what the ballots say."""
    if ruling.reason:
        words = _CODE.sub("", one_line(ruling.reason))
        return _SIDE.sub(lambda found: side_name(ruling, stage, found[1]), words)
    if not ruling.votes:
        return "nobody was asked"
    undecided = sum(not vote.prefers for vote in ruling.votes)
    return f"{undecided} of {len(ruling.votes)} ballots preferred neither"


def latest_rows(state: State, width: int, height: int, now: float) -> list[Line]:
    """The latest verdicts of all sessions, newest first."""
    rows = []
    for told in reversed(state.latest[-height:] if height > 0 else ()):
        words = verdict_words(told.ruling).removeprefix("verdict: ")
        style = OUTCOME_STYLES.get(told.ruling.outcome, "red")
        left = line(" ", fitted(told.seed, max(10, width // 5)), " ", (words, style))
        rows.append(
            ends(left, line((f" {clock((state.ended_at or now) - told.at)} ago ", "dim")), width)
        )
    return rows


def side_name(ruling: Ruling, stage: Stage | None, side: str) -> str:
    """In a word: `revision` or `draft` where an answer meets its revision, else the agent.

    Two other answers of one agent are told apart by which came first.
    """
    if ruling.edge in _REVISED:
        purposes = {s.index: s.purpose for s in stage.speeches} if stage else {}
        if purposes.get(ruling.a) == "revision":
            return "later revision" if side == "b" else "earlier revision"
        return "revision" if side == "b" else "draft"
    if ruling.agents.get("a", "a") == ruling.agents.get("b", "b"):
        own = {"a": ruling.a, "b": ruling.b}.get(side)
        return "earlier answer" if own == min(ruling.a, ruling.b) else "later answer"
    return one_line(ruling.agents.get(side, side))


def waiting_blocks(calls: list[Waiting], gates: Mapping[str, Gate], now: float) -> list[Block]:
    """A row for each kind of call under way; equal ones share it."""
    groups: dict[tuple[str, str, str, bool, bool], list[Waiting]] = {}
    for call in calls:
        key = (call.seat, call.purpose, call.agent, call.retry_at is None, not call.gate)
        groups.setdefault(key, []).append(call)
    return [_waiting_row(group, gates, now) for group in list(groups.values())[:4]]


def _waiting_row(group: list[Waiting], gates: Mapping[str, Gate], now: float) -> Block:
    call = min(group, key=lambda each: each.since)
    style = seat_style(call.seat)
    left = line(" ", (one_line(call.seat), f"bold {style}"), " ", (one_line(call.purpose), style))
    spin = _SPINNER[int(now * 8) % len(_SPINNER)] if call.in_flight else "·"
    many = f" ×{len(group)}" if len(group) > 1 else ""
    said = line(
        (f"{spin} {one_line(call.agent)}{many} ", style),
        (clock(now - call.since), "dim"),
        held_up(call, gates, now),
    )
    return Block((left,), (said,))


def _fit(blocks: list[Block], gutter: int, width: int, height: int) -> list[Line]:
    """The prompt, then as many of the latest blocks as fit; the newer the fuller."""
    prompt, rest = blocks[0], blocks[1:]
    prompt_rows = prompt.rows(max(1, min(len(prompt.said), height // 5)), gutter, width)
    room, chosen = height - len(prompt_rows), []
    for block in reversed(rest):
        if room < 1:
            break
        least = max(1, min(block.short, len(block.said)))
        chosen.append((block, least))
        room -= least
    heights = [least for _, least in chosen]
    for most in (
        max(3, height // 5),
        height,
    ):  # a fair share for each first, then the newest in full
        for place, (block, _) in enumerate(chosen):
            full = max(len(block.said), min(len(block.left), 2 if len(block.said) > 1 else 1))
            extra = min(max(room, 0), max(0, min(full, most) - heights[place]))
            heights[place] += extra
            room -= extra
    over = sum(heights) + len(prompt_rows) - height
    if over > 0 and heights:
        heights[-1] = max(0, heights[-1] - over)
    airy = len(chosen) == len(rest) and room >= len(rest) > 0
    rows = prompt_rows
    for (block, _), tall in zip(reversed(chosen), reversed(heights), strict=True):
        rows += [to_width(line(), width)] if airy else []
        rows += block.rows(tall, gutter, width)
    return rows[:height]


def _filled(rows: list[Line], width: int, height: int) -> list[Line]:
    blank = to_width(line(), width)
    return rows[:height] + [blank] * (height - len(rows))
