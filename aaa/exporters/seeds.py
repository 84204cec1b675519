"""`seeds`: the new prompts that a round made and kept, as a seeds file that another scenario can name.

Each row has its lineage: `parent` (a seed, or another row) and `operation`. The reference and the checker of
the seed are left behind, since they answer another question. A seed that was annotated comes out as it is,
with the tags that were found and its difficulty, as `value` and as a tag of three bands. Left out: what was
dropped, which the session's transcript tells with its reason, and evolved methods, which are no prompts.
"""

from collections.abc import Iterator

from aaa.exporters import Row
from aaa.exporters._columns import CHAT, JSON, Columns
from aaa.protocols.auto_evol import METHOD
from aaa.records import chat
from aaa.transcripts import Transcript
from aaa.types import Evolved, Labels, Seed

MADE_OF = "transcripts"
COLUMNS: Columns = {
    "id": str,
    "prompt": CHAT,
    "tags": [str],
    "parent": str,
    "operation": str,
    "value": float,
    "reference": str,
    "checker": JSON,
}


def rows(transcript: Transcript) -> Iterator[Row]:
    """A row for each kept prompt; `prompt` is messages."""
    for note in transcript.recorded.notes:
        if isinstance(note, Evolved) and not note.dropped and note.operation != METHOD:
            yield {
                "id": note.id,
                "prompt": chat(note.prompt),
                "tags": list(transcript.seed.tags),
                "parent": note.parent,
                "operation": note.operation,
                "value": note.value,
                "reference": None,
                "checker": None,
            }
        elif isinstance(note, Labels):
            yield _annotated(transcript.seed, note)


def _annotated(seed: Seed, labels: Labels) -> Row:
    """The seed with its tags, those of the same attributes replaced."""
    hard = labels.difficulty
    found = (*labels.tags, *(() if hard is None else (f"difficulty:{band(hard)}",)))
    said = {tag.partition(":")[0] for tag in found}
    own = [tag for tag in seed.tags if ":" not in tag or tag.partition(":")[0] not in said]
    return {
        "id": seed.id,
        "prompt": chat(seed.prompt),
        "tags": [*own, *found],
        "parent": seed.parent,
        "operation": seed.operation,
        "value": hard,
        "reference": seed.reference,
        "checker": seed.checker,
    }


def band(difficulty: float) -> str:
    """The third of the scale from 1 to 10 that a difficulty lies in."""
    return ("easy", "middle", "hard")[min(2, int((difficulty - 1) / 3))]
