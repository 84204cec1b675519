"""`axolotl-dpo`: pairs for Axolotl's `chat_template.default` of `rl: dpo`: `messages`, `chosen`,
`rejected`.
"""

from collections.abc import Iterator, Mapping
from textwrap import dedent

from aaa.exporters import Row
from aaa.exporters._columns import CHAT, MESSAGE, Columns
from aaa.records import Record

MADE_OF = "records"
COLUMNS: Columns = {
    "id": str,
    "messages": CHAT,
    "chosen": MESSAGE,
    "rejected": MESSAGE,
    "related_judges": bool,
}


def rows(record: Record) -> Iterator[Row]:
    """`{"id", "messages", "chosen": message, "rejected": message, "related_judges"}`."""
    yield {
        "id": record["id"],
        "messages": record["context"],
        "chosen": {"role": "assistant", "content": record["chosen"]["text"]},
        "rejected": {"role": "assistant", "content": record["rejected"]["text"]},
        "related_judges": record["judging"]["related_judges"],
    }


def beside(file: str) -> Mapping[str, str]:
    """A configuration that trains as it stands; start it in the folder of the file."""
    kind = "parquet" if file.endswith(".parquet") else "json"
    text = f"""\
        base_model: HuggingFaceTB/SmolLM2-135M-Instruct
        rl: dpo
        rl_beta: 0.1
        chat_template: tokenizer_default
        datasets:
          - path: {file}
            ds_type: {kind}
            split: train
            type: chat_template.default
            field_messages: messages
            field_chosen: chosen
            field_rejected: rejected
            message_property_mappings:
              role: role
              content: content
            roles:
              system: [system]
              user: [user]
              assistant: [assistant]
        output_dir: ./out
        sequence_len: 2048
        micro_batch_size: 1
        gradient_accumulation_steps: 8
        num_epochs: 1
        learning_rate: 5.0e-7
        optimizer: adamw_torch
        lr_scheduler: cosine
        bf16: auto
        """
    return {f"{file}.axolotl.yaml": dedent(text)}
