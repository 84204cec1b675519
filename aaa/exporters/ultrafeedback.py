"""`ultrafeedback`: the layout of the binarized UltraFeedback set, which many recipes read as it is.

Scores are the mean of what ballots gave each answer, in the judging play's unit; null where it gives none.
"""

from collections.abc import Iterator

from aaa.exporters import Row
from aaa.exporters._columns import CHAT, Columns, answer
from aaa.exporters._text import as_text
from aaa.records import Record, score

MADE_OF = "records"
COLUMNS: Columns = {
    "id": str,
    "prompt": str,
    "prompt_id": str,
    "chosen": CHAT,
    "rejected": CHAT,
    "messages": CHAT,
    "score_chosen": float,
    "score_rejected": float,
    "related_judges": bool,
}


def rows(record: Record) -> Iterator[Row]:
    """`{"id", "prompt", "prompt_id", "chosen", "rejected", "messages", "score_chosen", …}`."""
    context = record["context"]
    chosen = [*context, *answer(record["chosen"]["text"])]
    yield {
        "id": record["id"],
        "prompt": as_text(context),
        "prompt_id": record["seed"]["id"],
        "chosen": chosen,
        "rejected": [*context, *answer(record["rejected"]["text"])],
        "messages": chosen,
        "score_chosen": score(record, "chosen"),
        "score_rejected": score(record, "rejected"),
        "related_judges": record["judging"]["related_judges"],
    }
