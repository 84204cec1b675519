"""`trl-sft`: chosen answers as whole conversations, for TRL's SFTTrainer; an answer that won often is there
once.

What another verdict rejected in the same context is no answer to imitate: of A over B over C only A is one.
Left out: critiques (`trl-sft-critiques`), and answers that only a program has checked (`trl-kto-checked`).
"""

from collections.abc import Hashable, Iterator

from aaa.exporters import Row
from aaa.exporters._columns import CHAT, Columns, answer
from aaa.exporters._text import as_text
from aaa.records import Record

MADE_OF = "records"
COLUMNS: Columns = {"id": str, "messages": CHAT, "related_judges": bool}


def key(row: Row) -> Hashable:
    """What makes an answer the same: its context and its words."""
    return as_text(row["messages"])


def lost(record: Record) -> Hashable:
    """The rejected answer, as `key` has it."""
    return as_text([*record["context"], *answer(record["rejected"]["text"])])


def rows(record: Record) -> Iterator[Row]:
    """`{"id", "messages", "related_judges"}`."""
    yield {
        "id": record["id"],
        "messages": [*record["context"], *answer(record["chosen"]["text"])],
        "related_judges": record["judging"]["related_judges"],
    }
