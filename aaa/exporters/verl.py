"""`verl`: prompts for verl's RL trainers, a row for each prompt that made a pair.

Where the seed has a reference that answers the prompt, it is the ground truth of a rule (`reward_model.style`
is `rule`); where not, a reward model must score (`model`). verl scores `rule` by `data_source`, knows those
of its own examples only and raises `NotImplementedError` for any other, so a function of yours must be named.
verl reads Parquet. Its SFT data set reads `trl-sft`, its reward-model data set `trl-dpo-text`; preference
training is an extension there. Left out: `extra_info.split`, which is the file's to tell.
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
    "extra_info": {"index": str},
}


def key(row: Row) -> Hashable:
    """A prompt is asked once, however many answers to it were compared."""
    return as_text(row["prompt"])


def rows(record: Record) -> Iterator[Row]:
    """`{"id", "data_source", "prompt": messages, "ability", "reward_model", "extra_info"}`."""
    seed = record["seed"]
    truth = record["reference"]
    yield {
        "id": record["id"],
        "data_source": f"aaa/{record['scenario']}",
        "prompt": record["context"],
        "ability": seed["tags"][0] if seed["tags"] else "general",
        "reward_model": {
            "style": "model" if truth is None else "rule",
            "ground_truth": truth or "",
        },
        "extra_info": {"index": seed["id"]},
    }


def beside(file: str) -> Mapping[str, str]:
    """The options that name this file, and what verl lacks beside them."""
    text = f"""\
# python3 -m verl.trainer.main_ppo with:
data.train_files={file} data.prompt_key=prompt data.reward_fn_key=data_source
# verl has no score for this data_source: without a function of yours it raises NotImplementedError.
# Rows of style `rule` have a ground_truth, those of style `model` an empty one. Put your own in:
# custom_reward_function.path=FILE.py custom_reward_function.name=compute_score
# where FILE.py has compute_score(data_source, solution_str, ground_truth, extra_info) -> float;
# newer versions of verl have the two options under `reward.`
"""
    return {f"{file}.verl.args": text}
