"""`trl-dpo`: preference pairs for TRL's DPOTrainer, explicit prompt, conversational.

Left out: nearly everything but the texts; `canonical` has it, under the same `id`. That a related judge was
allowed to judge stands in every format of pairs.
"""

from collections.abc import Iterator

from aaa.exporters import Row
from aaa.exporters._columns import CHAT, Columns, answer
from aaa.records import Record

MADE_OF = "records"
COLUMNS: Columns = {
    "id": str,
    "prompt": CHAT,
    "chosen": CHAT,
    "rejected": CHAT,
    "related_judges": bool,
}


def rows(record: Record) -> Iterator[Row]:
    """`{"id", "prompt": messages, "chosen": messages, "rejected": messages, "related_judges"}`."""
    yield {
        "id": record["id"],
        "prompt": record["context"],
        "chosen": answer(record["chosen"]["text"]),
        "rejected": answer(record["rejected"]["text"]),
        "related_judges": record["judging"]["related_judges"],
    }
