"""`verl`: prompts for verl's RL trainers, a row for each prompt that made a pair.

Where the seed has a reference it is the ground truth of a rule (`reward_model.style` is `rule`); where not, a
reward model must score (`model`). verl reads Parquet. Its SFT data set reads `trl-sft`, its reward-model data
set `trl-dpo-text`; preference training is an extension there.
"""

from collections.abc import Hashable, Iterator, Mapping

from aaa.exporters import Row
from aaa.exporters._columns import CHAT, Columns
from aaa.exporters._text import as_text
from aaa.records import Record

MADE_OF = "records"
COLUMNS: Columns = {
    "id": str,
    "data_source": str,
    "prompt": CHAT,
    "ability": str,
    "reward_model": {"style": str, "ground_truth": str},
    "extra_info": {"split": str, "index": str},
}


def key(row: Row) -> Hashable:
    """A prompt is asked once, however many answers to it were compared."""
    return as_text(row["prompt"])


def rows(record: Record) -> Iterator[Row]:
    """`{"id", "data_source", "prompt": messages, "ability", "reward_model", "extra_info"}`."""
    seed = record["seed"]
    truth = seed["reference"]
    yield {
        "id": record["id"],
        "data_source": f"aaa/{record['scenario']}",
        "prompt": record["context"],
        "ability": seed["tags"][0] if seed["tags"] else "general",
        "reward_model": {
            "style": "model" if truth is None else "rule",
            "ground_truth": truth or "",
        },
        "extra_info": {"split": "train", "index": seed["id"]},
    }


def beside(file: str) -> Mapping[str, str]:
    """The options that name this file."""
    text = f"""\
# python3 -m verl.trainer.main_ppo with:
data.train_files={file} data.prompt_key=prompt data.reward_fn_key=data_source
"""
    return {f"{file}.verl.args": text}
