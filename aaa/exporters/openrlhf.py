"""`openrlhf`: whole conversations for OpenRLHF's DPO and reward-model trainers, with a margin.

`chosen` and `rejected` are its default keys, lists of messages want `--data.apply_chat_template`. Its KTO and
process-reward trainers are gone. The margin is as in `trl-reward`.
"""

from collections.abc import Iterator, Mapping

from aaa.exporters import Row
from aaa.exporters import trl_reward as reward
from aaa.records import Record

MADE_OF = "records"
COLUMNS = reward.COLUMNS


def rows(record: Record) -> Iterator[Row]:
    """`{"id", "chosen": messages, "rejected": messages, "margin", "related_judges"}`."""
    return reward.rows(record)


def beside(file: str) -> Mapping[str, str]:
    """The options that name this file."""
    text = f"""\
# python3 -m openrlhf.cli.train_dpo --model.model_name_or_path MODEL with:
--data.dataset {file} --data.chosen_key chosen --data.rejected_key rejected --data.apply_chat_template
"""
    return {f"{file}.openrlhf.args": text}
