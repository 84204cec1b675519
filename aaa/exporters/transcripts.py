"""`transcripts`: whole sessions, a row each: the seed and everything that was said, in order."""

from collections.abc import Iterator

from aaa.exporters import Row
from aaa.exporters._columns import CHAT, Column, Columns
from aaa.exporters._ids import row_id
from aaa.records import chat
from aaa.transcripts import Transcript

MADE_OF = "transcripts"
_TURN: Column = {
    "index": int,
    "seat": str,
    "agent": str,
    "purpose": str,
    "messages": CHAT,
    "text": str,
    "model": str,
    "finish_reason": str,
    "prompt_tokens": int,
    "completion_tokens": int,
    "cost_usd": float,
    "failure": str,
}
COLUMNS: Columns = {
    "id": str,
    "scenario": str,
    "protocol": str,
    "status": str,
    "seed": {"id": str, "prompt": CHAT, "reference": str, "tags": [str], "parent": str},
    "turns": [_TURN],
}


def rows(transcript: Transcript) -> Iterator[Row]:
    """One row."""
    seed = transcript.seed
    turns = [
        {
            "index": turn.index,
            "seat": turn.call.seat,
            "agent": turn.call.agent,
            "purpose": turn.call.purpose,
            "messages": chat(turn.call.messages),
            "text": turn.text,
            "model": turn.reply.model,
            "finish_reason": turn.reply.finish_reason,
            "prompt_tokens": turn.reply.prompt_tokens,
            "completion_tokens": turn.reply.completion_tokens,
            "cost_usd": turn.reply.cost_usd,
            "failure": None if turn.failure is None else turn.failure.kind,
        }
        for turn in transcript.recorded.turns
    ]
    plain = {
        "scenario": transcript.scenario,
        "protocol": transcript.protocol,
        "status": transcript.status,
        "seed": {
            "id": seed.id,
            "prompt": chat(seed.prompt),
            "reference": seed.reference,
            "tags": list(seed.tags),
            "parent": seed.parent,
        },
        "turns": turns,
    }
    yield {"id": row_id("t", seed.id, plain), **plain}
