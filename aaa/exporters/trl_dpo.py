"""`trl-dpo`: preference pairs for TRL's DPOTrainer, explicit prompt, conversational.

Left out: nearly everything but the texts; `canonical` has it, under the same `id`. That a related judge was
allowed to judge stands in every format.
"""

from collections.abc import Iterator
from typing import Any

from aaa.transcripts import Transcript, pairs
from aaa.types import Turn


def rows(transcript: Transcript) -> Iterator[dict[str, Any]]:
    """`{"id", "prompt": messages, "chosen": messages, "rejected": messages, "related_judges"}` a pair."""
    for pair in pairs(transcript):
        yield {
            "id": pair.id,
            "prompt": [{"role": m.role, "content": m.content} for m in pair.context],
            "chosen": _answer(pair.chosen),
            "rejected": _answer(pair.rejected),
            "related_judges": pair.verdict.related_judges,
        }


def _answer(turn: Turn) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": turn.text}]
