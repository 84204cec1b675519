"""`canonical`: everything known about each pair, one object a line, for audits and for other tools.

Every other format of pairs is made from it. `reference` is the seed's where it answers the context, and null
where another question was asked (a later turn, an evolved prompt, a critique). Its `round` and `session` name
where the pair was decided, so two rounds give different bytes; all else follows from what was said.
"""

from collections.abc import Iterator

from aaa.exporters._columns import CHAT, Column, Columns, MapOf
from aaa.records import Record

MADE_OF = "records"
WORDS = True
_ANSWER: Column = {
    "text": str,
    "agent": str,
    "model": str,
    "turn": int,
    "seat": str,
    "purpose": str,
    "finish_reason": str,
    "prompt_tokens": int,
    "completion_tokens": int,
    "cost_usd": float,
}
_BALLOT: Column = {
    "judge": str,
    "model": str,
    "turn": int,
    "shown": [str],
    "prefers": str,
    "scores": MapOf(float),
    "explanation": str,
    "error": str,
    "text": str,
    "choice_logprobs": MapOf(float),
    "cost_usd": float,
}
COLUMNS: Columns = {
    "id": str,
    "round": str,
    "session": int,
    "scenario": str,
    "protocol": str,
    "stage": str,
    "seed": {"id": str, "tags": [str], "reference": str, "parent": str, "family": str},
    "edge": str,
    "context": CHAT,
    "reference": str,
    "chosen": _ANSWER,
    "rejected": _ANSWER,
    "judging": {
        "play": str,
        "outcome": str,
        "margin": float,
        "related_judges": bool,
        "reason": str,
        "ballots": [_BALLOT],
    },
    "lineage": MapOf([str]),
}


def rows(record: Record) -> Iterator[Record]:
    """The record as it is."""
    yield record
