"""`verdicts`: every verdict, whatever its outcome, with its ballots: the material of judges and of audits.

Contestants are `a` and `b`, as they were compared; `pair` is the id of the pair that a win makes.
"""

from collections.abc import Iterator

from aaa.exporters import Row
from aaa.exporters._columns import CHAT, Column, Columns, MapOf
from aaa.exporters._ids import row_id
from aaa.records import chat
from aaa.transcripts import Transcript, pair_id

MADE_OF = "transcripts"
_BALLOT: Column = {
    "judge": str,
    "order": str,
    "turn": int,
    "prefers": str,
    "scores": MapOf(float),
    "explanation": str,
    "error": str,
}
COLUMNS: Columns = {
    "id": str,
    "pair": str,
    "seed": str,
    "edge": str,
    "context": CHAT,
    "a": {"turn": int, "agent": str, "text": str},
    "b": {"turn": int, "agent": str, "text": str},
    "outcome": str,
    "winner": str,
    "margin": float,
    "judging": str,
    "related_judges": bool,
    "reason": str,
    "ballots": [_BALLOT],
}


def rows(transcript: Transcript) -> Iterator[Row]:
    """A row for each verdict, in the order in which they were made."""
    turns = {turn.index: turn for turn in transcript.recorded.turns}
    for place, verdict in enumerate(transcript.recorded.verdicts):
        a, b = turns[verdict.a], turns[verdict.b]
        content = [place, verdict.edge, verdict.outcome, a.text, b.text]
        yield {
            "id": row_id("v", transcript.seed.id, content),
            "pair": pair_id(transcript.seed, verdict, a, b),
            "seed": transcript.seed.id,
            "edge": verdict.edge,
            "context": chat(verdict.context),
            "a": {"turn": a.index, "agent": a.call.agent, "text": a.text},
            "b": {"turn": b.index, "agent": b.call.agent, "text": b.text},
            "outcome": verdict.outcome,
            "winner": verdict.winner,
            "margin": verdict.margin,
            "judging": verdict.judging,
            "related_judges": verdict.related_judges,
            "reason": verdict.reason,
            "ballots": [
                {name: getattr(ballot, name) for name in _FIELDS} for ballot in verdict.ballots
            ],
        }


_FIELDS = ("judge", "order", "turn", "prefers", "scores", "explanation", "error")
