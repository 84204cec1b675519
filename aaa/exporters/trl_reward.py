"""`trl-reward`: whole conversations for TRL's RewardTrainer, with a margin.

The margin is the verdict's, in the unit of the judging play that decided (points, nats, votes), and 0 where
it has none: that is what the loss takes for "no margin". Mix plays of one unit only (`--judging`).
"""

from collections.abc import Iterator

from aaa.exporters import Row
from aaa.exporters._columns import CHAT, Columns, answer
from aaa.records import Record

MADE_OF = "records"
COLUMNS: Columns = {
    "id": str,
    "chosen": CHAT,
    "rejected": CHAT,
    "margin": float,
    "related_judges": bool,
}


def rows(record: Record) -> Iterator[Row]:
    """`{"id", "chosen": messages, "rejected": messages, "margin", "related_judges"}`."""
    context, judging = record["context"], record["judging"]
    yield {
        "id": record["id"],
        "chosen": [*context, *answer(record["chosen"]["text"])],
        "rejected": [*context, *answer(record["rejected"]["text"])],
        "margin": judging["margin"] or 0.0,
        "related_judges": judging["related_judges"],
    }
