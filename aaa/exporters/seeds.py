"""`seeds`: the new prompts that a round made and kept, as a seeds file that another scenario can name.

Each row has its lineage: `parent` (a seed, or another row) and `operation`. The reference and the checker of
the seed are left behind, since they answer another question. Left out: what was dropped, which the session's
transcript tells with its reason, and evolved methods, which are no prompts.
"""

from collections.abc import Iterator

from aaa.exporters import Row
from aaa.exporters._columns import JSON, Columns
from aaa.protocols.auto_evol import METHOD
from aaa.transcripts import Transcript
from aaa.types import Evolved, Messages

MADE_OF = "transcripts"
COLUMNS: Columns = {
    "id": str,
    "prompt": JSON,
    "tags": [str],
    "parent": str,
    "operation": str,
    "value": float,
}


def rows(transcript: Transcript) -> Iterator[Row]:
    """`{"id", "prompt": text or messages, "tags", "parent", "operation", "value"}` for each kept prompt."""
    for note in transcript.recorded.notes:
        if isinstance(note, Evolved) and not note.dropped and note.operation != METHOD:
            yield {
                "id": note.id,
                "prompt": _prompt(note.prompt),
                "tags": list(transcript.seed.tags),
                "parent": note.parent,
                "operation": note.operation,
                "value": note.value,
            }


def _prompt(chat: Messages) -> str | list[dict[str, str]]:
    """A lone question as text, as people write it; any other chat as its messages."""
    if len(chat) == 1 and chat[0].role == "user":
        return chat[0].content
    return [{"role": m.role, "content": m.content} for m in chat]
