"""The whole screen, from 80x24 to 200x60: `render(state, width, height, now)`.

Narrow screens stack the parts, wide ones (from 140 columns) put the theatre beside them. Left out:
where the state comes from, and when to draw (`live`).
"""

from rich.console import Group

from aaa.clean import one_line
from aaa.dashboard.ink import Line, clock, ends, line, to_width
from aaa.dashboard.known import State
from aaa.dashboard.panels import failures, header, ratings, ratings_row, rule, seats, under_way_rows
from aaa.dashboard.play_view import latest_rows, stage_rows

WIDE = 140
"""Columns from which the theatre stands beside the rest."""
_ROOM = 16
"""Rows below the head from which ratings and the latest verdict get a row each."""
SMALLEST = (40, 12)
"""Columns and rows below which parts are cut off."""


def render(state: State, width: int, height: int, now: float) -> Group:
    """The screen as a Rich renderable: `height` rows at most, one column left free at the right.

    `now` is in epoch seconds, on the events' clock.
    """
    return Group(*rows(state, width, height, now))


def rows(state: State, width: int, height: int, now: float) -> list[Line]:
    """The screen row by row; the last column stays free, as terminals disagree about filling it."""
    width, now = max(width, SMALLEST[0]) - 1, max(now, state.last_at)
    tall = max(height, SMALLEST[1]) - 1
    top = header(state, width, now)
    if width + 1 >= WIDE:
        screen = top + _beside(state, width, tall - len(top), now)
    else:
        screen = top + _stacked(state, width, tall - len(top), now)
    return [*screen[:tall], _footer(state, width)][:height]


def _stacked(state: State, width: int, height: int, now: float) -> list[Line]:
    """Seats, theatre, sessions, failures, one under the other."""
    lanes = seats(state, width, min(max(3, height // 3), 9), now)
    troubles = failures(state, width, 1 if height < 30 else 3, now)
    most = 1 if height < 14 else max(2, height // 8)
    under = [] if state.is_over else under_way_rows(state, width, most, now)
    below = [_under_way_rule(state, width), *under] if under else []
    below += _summary(state, width, now) if height >= _ROOM else []
    below += [rule("failures", width), *troubles] if troubles and height >= 24 else troubles
    room = height - len(lanes) - len(below) - 1
    return [
        *lanes,
        _stage_rule(state, width, now),
        *stage_rows(state, width, max(1, room), now),
        *below,
    ]


def _summary(state: State, width: int, now: float) -> list[Line]:
    """Ratings and the latest verdict, a row each, for screens that have no room for lists of them."""
    return [*ratings_row(state, width), *latest_rows(state, width, 1, now)]


def _beside(state: State, width: int, height: int, now: float) -> list[Line]:
    """Two columns: the machinery at the left, the theatre at the right."""
    left_width = max(66, min(86, width * 2 // 5))
    right_width = width - left_width - 3
    blank = to_width(line(), left_width)
    lanes = seats(state, left_width, max(2, height // 3), now)
    under = under_way_rows(state, left_width, max(2, height // 4), now)
    troubles = failures(state, left_width, max(1, height // 8), now)
    tail = [blank, rule("failures", left_width), *troubles] if troubles else []
    left = [*lanes, blank, _under_way_rule(state, left_width), *under]
    board = ratings(state, left_width, max(2, height // 8))
    if board:
        left += [blank, rule("ratings", left_width, "of this round"), *board]
    room = height - len(left) - len(tail) - 2
    if room > 0 and state.latest:
        left += [blank, rule("verdicts", left_width, "newest first")]
        left += latest_rows(state, left_width, room, now)
    left += tail
    left += [blank] * (height - len(left))
    right = [_stage_rule(state, right_width, now), *stage_rows(state, right_width, height - 1, now)]
    bar = ("│", "dim")
    return [line(a, " ", bar, " ", b) for a, b in zip(left[:height], right, strict=True)]


def _under_way_rule(state: State, width: int) -> Line:
    number = len(state.running)
    return rule("under way", width, f"{number} sessions, longest wait first" if number > 1 else "")


def _stage_rule(state: State, width: int, now: float) -> Line:
    stage = state.stage
    if stage is None:
        return rule("theatre", width)
    end = stage.finished_at or state.ended_at or now
    since = "" if stage.since is None else f" · {clock(end - stage.since)}"
    seed = one_line(stage.seed)
    return rule(f"theatre {seed}".rstrip(), width, f"session {one_line(stage.session)}{since}")


def _footer(state: State, width: int) -> Line:
    if state.connection:
        return to_width(line((f" ⚠ {one_line(state.connection)}", "bold yellow")), width)
    if state.last_id < state.known_id and not state.is_over:
        share = f" catching up: event {state.last_id:,} of {state.known_id:,}"
        return to_width(line((share, "yellow")), width)
    if state.is_over:
        return to_width(line((f" event {state.last_id:,}, the last", "dim")), width)
    hint = line((f" {one_line(state.hint)}", "dim"))
    return ends(hint, line((f"event {state.last_id:,} ", "dim")), width)
