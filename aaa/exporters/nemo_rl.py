"""`nemo-rl`: pairs for NeMo-RL's PreferenceDataset: `context`, and two `completions` of which rank 0 is
better.
"""

from collections.abc import Iterator, Mapping

from aaa.exporters import Row
from aaa.exporters._columns import CHAT, Columns, answer
from aaa.records import Record

MADE_OF = "records"
COLUMNS: Columns = {
    "id": str,
    "context": CHAT,
    "completions": [{"rank": int, "completion": CHAT}],
    "related_judges": bool,
}


def rows(record: Record) -> Iterator[Row]:
    """`{"id", "context": messages, "completions": [{"rank", "completion": messages}] * 2, …}`."""
    yield {
        "id": record["id"],
        "context": record["context"],
        "completions": [
            {"rank": rank, "completion": answer(record[side]["text"])}
            for rank, side in enumerate(("chosen", "rejected"))
        ],
        "related_judges": record["judging"]["related_judges"],
    }


def beside(file: str) -> Mapping[str, str]:
    """The part of a configuration that names this file."""
    text = f"""\
data:
  train:
    dataset_name: PreferenceDataset
    data_path: {file}
"""
    return {f"{file}.nemo-rl.yaml": text}
