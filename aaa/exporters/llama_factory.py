"""`llama-factory`: pairs in LLaMA-Factory's `sharegpt` layout, with the entry of `dataset_info.json` beside
them.

`from` is `human`, `gpt` or `system`: its defaults, so the entry needs no tags. `file_name` is relative to the
folder that `--dataset_dir` names.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePath

from aaa.exporters import Row
from aaa.exporters._columns import Column, Columns
from aaa.records import Record

MADE_OF = "records"
_SAID: Column = {"from": str, "value": str}
COLUMNS: Columns = {
    "id": str,
    "conversations": [_SAID],
    "chosen": _SAID,
    "rejected": _SAID,
    "related_judges": bool,
}
SPEAKERS = {"system": "system", "user": "human", "assistant": "gpt"}


def rows(record: Record) -> Iterator[Row]:
    """`{"id", "conversations", "chosen", "rejected", "related_judges"}`; messages are `{"from", "value"}`."""
    yield {
        "id": record["id"],
        "conversations": [
            {"from": SPEAKERS[m["role"]], "value": m["content"]} for m in record["context"]
        ],
        "chosen": {"from": "gpt", "value": record["chosen"]["text"]},
        "rejected": {"from": "gpt", "value": record["rejected"]["text"]},
        "related_judges": record["judging"]["related_judges"],
    }


def beside(file: str) -> Mapping[str, str]:
    """`dataset_info.json` with this file's entry; one that is there already keeps its others."""
    entry = {
        "file_name": file,
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
    }
    return {"dataset_info.json": json.dumps({PurePath(file).stem: entry}, indent=2) + "\n"}
