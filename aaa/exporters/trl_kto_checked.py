"""`trl-kto-checked`: answers that a program has checked, each by itself, for TRL's KTOTrainer.

These are single verdicts: an answer that passes its check is desirable whether or not it beat another, one
that fails is not. So comparisons count that made no pair because both passed, or both failed. Left out:
checks that could not tell, and judges' points, which have no line between good and bad of their own.
"""

from collections.abc import Iterator

from aaa.exporters import Row
from aaa.exporters._columns import CHAT, Columns, answer
from aaa.exporters._ids import row_id
from aaa.records import chat
from aaa.transcripts import Transcript
from aaa.types import Steps, Verdict

MADE_OF = "transcripts"
COLUMNS: Columns = {"id": str, "prompt": CHAT, "completion": CHAT, "label": bool}


def rows(transcript: Transcript) -> Iterator[Row]:
    """`{"id", "prompt": messages, "completion": messages, "label"}` for each answer that was checked."""
    seen = set()
    turns = {turn.index: turn for turn in transcript.recorded.turns}
    for note in transcript.recorded.notes:
        for index, label in _labels(note):
            if (index, label) in seen or not turns[index].text:
                continue
            seen.add((index, label))
            assert isinstance(note, Verdict | Steps)
            asked = chat(note.context)
            content = [index, asked, turns[index].text, label]
            yield {
                "id": row_id("k", transcript.seed.id, content),
                "prompt": asked,
                "completion": answer(turns[index].text),
                "label": label,
            }


def _labels(note: object) -> Iterator[tuple[int, bool]]:
    """(turn, whether it passed), for each answer that a program could tell of."""
    if isinstance(note, Verdict):
        for ballot in note.ballots:
            if ballot.by_checker and ballot.scores is not None:
                yield ballot.turn, next(iter(ballot.scores.values())) == 1
    elif isinstance(note, Steps) and note.correct is not None:
        yield note.turn, note.correct
