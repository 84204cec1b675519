"""`trl-dpo-text`: preference pairs as plain strings, for trainers and base models without a chat template.

A lone question is its own text; a longer chat is written with its roles, as judges are shown one. It is also
what verl's reward-model data set reads (`prompt`, `chosen`, `rejected` as strings).
"""

from collections.abc import Iterator

from aaa.exporters import Row
from aaa.exporters._columns import Columns
from aaa.exporters._text import as_text
from aaa.records import Record

MADE_OF = "records"
COLUMNS: Columns = {
    "id": str,
    "prompt": str,
    "chosen": str,
    "rejected": str,
    "related_judges": bool,
}


def rows(record: Record) -> Iterator[Row]:
    """`{"id", "prompt": text, "chosen": text, "rejected": text, "related_judges"}`."""
    yield {
        "id": record["id"],
        "prompt": as_text(record["context"]),
        "chosen": record["chosen"]["text"],
        "rejected": record["rejected"]["text"],
        "related_judges": record["judging"]["related_judges"],
    }
