"""`trl-prm`: solutions in steps for TRL's PRMTrainer: `prompt`, `completions`, `labels`.

A row ends with its first wrong step, as people labelled PRM800K (2305.20050): what is "right" after an error
is not well defined, and completions that repair it would teach that errors do not matter. A step of unknown
label ends the row before it, and a solution that begins with one has no row. Left out: shares of completions
and solutions that were dropped; the session's transcript has them.
"""

from collections.abc import Iterator

from aaa.exporters import Row
from aaa.exporters._columns import Columns
from aaa.exporters._ids import row_id
from aaa.prompts import shown
from aaa.transcripts import Transcript
from aaa.types import Steps

MADE_OF = "transcripts"
COLUMNS: Columns = {"id": str, "prompt": str, "completions": [str], "labels": [bool]}


def rows(transcript: Transcript) -> Iterator[Row]:
    """`{"id", "prompt": text, "completions": [step], "labels": [bool]}` for each solution."""
    for note in transcript.recorded.notes:
        if isinstance(note, Steps):
            labels = _known(note)
            if labels:
                steps = list(note.steps[: len(labels)])
                yield {
                    "id": _id(transcript.seed.id, note, labels),
                    "prompt": shown(note.context),
                    "completions": steps,
                    "labels": labels,
                }


def _known(note: Steps) -> list[bool]:
    """Labels up to the first wrong step, and before the first unknown one."""
    found: list[bool] = []
    for label in note.labels:
        if label is None:
            break
        found.append(label)
        if not label:
            break
    return found


def _id(seed: str, note: Steps, labels: list[bool]) -> str:
    content = [note.turn, [m.model_dump() for m in note.context], list(note.steps), labels]
    return row_id("s", seed, content)
