"""A session from its prompt to its verdicts, in full: rows of any number, for a screen that scrolls.

A revision shows the words that came and those that went; where there is room, the critique that asked
for it stands beside it. Left out: fitting into a screen (`play_view`), and scrolling (`session_screen`).
"""

from collections import Counter
from collections.abc import Iterator

from aaa.clean import one_line
from aaa.dashboard.ink import Line, body, line, revised, seat_style, to_width, wrapped
from aaa.dashboard.known import State
from aaa.dashboard.panels import OUTCOME_STYLES
from aaa.dashboard.play_view import (
    Block,
    answer_before,
    ballot_words,
    fate,
    first_ballot,
    side_name,
    verdict_words,
    waiting_blocks,
    who,
)
from aaa.dashboard.theatre import Ruling, Speech, Stage, Vote

BESIDE = 100
"""Columns of text from which a critique stands beside the revision that it led to."""


def whole_rows(
    state: State, stage: Stage, width: int, now: float, *, gone: bool = True
) -> list[Line]:
    """The session in rows of exactly `width` cells; `gone` shows the words that a revision dropped."""
    gutter = 20 if width < 100 else 30
    room = width - gutter - 1
    blank, rows = to_width(line(), width), []
    for block in _blocks(state, stage, room, gutter, now, gone):
        tall = max(len(block.said), len(block.left))
        rows += [*block.rows(tall, gutter, width), blank]
    return rows


def _blocks(
    state: State, stage: Stage, room: int, gutter: int, now: float, gone: bool
) -> Iterator[Block]:
    prompt = body(stage.prompt or "…", "italic")
    yield Block((line(" ", ("prompt", "bold")),), tuple(wrapped(prompt, room)))
    if stage.left_out:
        words = f"… {stage.left_out:,} earlier turns are not shown here; the transcript has them"
        yield Block((line(),), (line((words, "dim")),))
    beside = _critiques_beside(stage) if room >= BESIDE else {}
    hidden = {critique.index for found in beside.values() for critique in found}
    items: list[tuple[float, Block]] = [
        (speech.index, _speech(stage, speech, beside.get(speech.index, ()), room, gutter, gone))
        for speech in stage.speeches
        if speech.index not in hidden
    ]
    items += [(ruling.after - 0.5, _ruling(stage, ruling, room)) for ruling in stage.rulings]
    yield from (block for _, block in sorted(items, key=lambda item: item[0]))
    running = state.running.get(stage.session)
    if running is not None:
        calls = [call for _, call in sorted(running.calls.items())]
        yield from waiting_blocks(calls, state.gates, now)
    if stage.status:
        style = "bold green" if stage.status == "completed" else "bold red"
        why = one_line(stage.reason.replace("_", " "))
        yield Block((line((" session", style)),), (line((stage.status, style), f"  {why}"),))


def _critiques_beside(stage: Stage) -> dict[int, tuple[Speech, ...]]:
    """Index of a revision -> the critiques that led to it; a critique of several stands on its own."""
    heard = Counter(index for speech in stage.speeches for index in speech.heard)
    return {
        speech.index: tuple(s for s in stage.speeches if s.index in speech.heard)
        for speech in stage.speeches
        if speech.heard and all(heard[index] == 1 for index in speech.heard)
    }


def _speech(
    stage: Stage, speech: Speech, critiques: tuple[Speech, ...], room: int, gutter: int, gone: bool
) -> Block:
    left = who(stage, speech, gutter)
    if not critiques:
        return Block(left, tuple(_said(stage, speech, room, gone)))
    half = (room - 3) // 2
    words = _said(stage, speech, half, gone)
    beside = [row for critique in critiques for row in _critique(critique, room - half - 3)]
    tall = max(len(words), len(beside))
    words += [line()] * (tall - len(words))
    beside += [line()] * (tall - len(beside))
    bar = line(" ", ("│", "dim"), " ")
    rows = (line(to_width(a, half), bar, b) for a, b in zip(words, beside, strict=True))
    return Block(left, tuple(rows))


def _said(stage: Stage, speech: Speech, room: int, gone: bool) -> list[Line]:
    if speech.failure:
        return [line((f"✗ {one_line(speech.failure.replace('_', ' '))}", "red"))]
    before = answer_before(stage, speech)
    if speech.purpose == "ballot":
        return wrapped(body(ballot_words(stage, speech)), room)
    if before is not None:
        text = revised(before.text, speech.text, with_gone=gone)
    else:
        text = body(speech.text, fate(stage, speech)[1])
    return wrapped(text, room) if text.plain else [line(("(nothing)", "dim"))]


def _critique(critique: Speech, room: int) -> list[Line]:
    """Who criticised, then what was said."""
    style = seat_style(critique.seat)
    heading = (critique.seat, f"bold {style}"), " ", (critique.purpose, style), " "
    return [line(*heading, (critique.agent, "dim")), *wrapped(body(critique.text), room)]


def _ruling(stage: Stage, ruling: Ruling, room: int) -> Block:
    """The verdict, then a row for each ballot in its order."""
    colour, style = seat_style("judge"), OUTCOME_STYLES.get(ruling.outcome, "red")
    left = (line(" ", ("judge", f"bold {colour}"), " ", (one_line(ruling.edge), colour)),)
    said = wrapped(body(verdict_words(ruling, stage), f"bold {style}"), room)
    said += [_vote(ruling, stage, vote) for vote in ruling.votes]
    if ruling.pair:
        said.append(line(("pair ", "dim"), (one_line(ruling.pair), "bold green")))
    first = first_ballot(stage, ruling)
    turns = f"turns {first} to {ruling.after - 1}" if first < ruling.after else ""
    return Block((*left, line("   ", (turns, "dim"))), tuple(said))


def _vote(ruling: Ruling, stage: Stage, vote: Vote) -> Line:
    """`referee · draft first: prefers revision`."""
    first = vote.order[:1]
    order = f" · {side_name(ruling, stage, first)} first" if first in ("a", "b") else ""
    prefers = side_name(ruling, stage, vote.prefers) if vote.prefers in ("a", "b") else vote.prefers
    told = f"prefers {prefers}" if prefers else one_line(vote.error) or "scored"
    return line((one_line(vote.judge), "dim"), (order, "dim"), ": ", told)
