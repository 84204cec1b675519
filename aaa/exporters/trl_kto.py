"""`trl-kto`: each answer by itself, desirable or not, for TRL's KTOTrainer; two rows for a pair.

An answer that met several others is written once for each label: more often would only weigh it more. One
that beat some and lost to others has a row of each label, which is what is known of it. The ids are the
pair's with `-chosen` and `-rejected`. Desirable and undesirable rows are about as many, so the weights may
stay 1:1.
"""

from collections.abc import Hashable, Iterator

from aaa.exporters import Row
from aaa.exporters._columns import CHAT, Columns, answer
from aaa.exporters._text import as_text
from aaa.records import Record

MADE_OF = "records"
COLUMNS: Columns = {
    "id": str,
    "prompt": CHAT,
    "completion": CHAT,
    "label": bool,
    "related_judges": bool,
}


def key(row: Row) -> Hashable:
    """What makes an answer the same: its context, its words, its label."""
    return as_text(row["prompt"]), as_text(row["completion"]), row["label"]


def rows(record: Record) -> Iterator[Row]:
    """`{"id", "prompt": messages, "completion": messages, "label", "related_judges"}`, twice."""
    for side, label in (("chosen", True), ("rejected", False)):
        yield {
            "id": f"{record['id']}-{side}",
            "prompt": record["context"],
            "completion": answer(record[side]["text"]),
            "label": label,
            "related_judges": record["judging"]["related_judges"],
        }
