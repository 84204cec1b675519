"""Exported files, and a tiny model with random weights, made on the spot: nothing is fetched."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aaa.corpus.files import open_sink
from aaa.exporters import exporter, fresh_rows, rows
from aaa.records import Record
from aaa.transcripts import Transcript
from aaa.types import Message, Recorded, Seed, Steps
from tests.classroom import turn
from tests.needed import needed
from tests.records import made

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
Exported = Callable[[str, str], Path]
"""(format, suffix) -> a file of it."""


def pairs(n: int = 12) -> list[Record]:
    """Pairs with a system prompt and an earlier turn, in two languages."""
    before = [
        {"role": "system", "content": "Be brief. 简短。"},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello!"},
    ]
    return [
        made(
            n,
            chosen=f"It is {n}, since {n} follows {n - 1}. \N{GRINNING FACE}",
            rejected=f"It is {n + 1}.\n\n- perhaps",
            context=[*before, {"role": "user", "content": f"What follows {n - 1}?"}],
            margin=None if n % 3 == 0 else n / 2,
            seed={"reference": str(n) if n % 2 else None, "tags": ["counting"]},
        )
        for n in range(n)
    ]


def solution() -> Transcript:
    """A session with a solution in three steps, the last of them wrong."""
    asked = (Message(role="user", content="What is 2 + 2 + 2?"),)
    steps = Steps(
        turn=0, context=asked, steps=("2 + 2 is 4.", "4 + 2 is 6.", "So 7."),
        labels=(True, True, False), values=(1.0, 1.0, 0.0), by="rollouts", correct=False,
    )  # fmt: skip
    return Transcript(
        round="r", session=1, scenario="s", protocol="process", status="completed",
        seed=Seed(id="s", prompt=asked),
        recorded=Recorded(turns=(turn(0, "2 + 2 is 4. 4 + 2 is 6. So 7."),), notes=(steps,)),
    )  # fmt: skip


@pytest.fixture
def exported(tmp_path: Path) -> Exported:
    """Writes a format's file as `aaa export` does."""

    def write(format: str, suffix: str = "jsonl") -> Path:
        made_, path = exporter(format), tmp_path / f"{format}.{suffix}"
        sink = open_sink(path, made_.columns, suffix)
        found: list[dict[str, Any]] = []
        if made_.made_of == "records":
            found = [row for _, row in fresh_rows(made_, pairs())]
        else:
            found = list(rows(solution(), format)) * 4
        for row in found:
            sink.write(row)
        sink.close()
        return path

    return write


TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Llama of some thousand weights, and a tokenizer of bytes with a chat template."""
    needed("torch")
    transformers = needed("transformers")
    tokenizers = needed("tokenizers")
    folder = tmp_path_factory.mktemp("tiny")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    special = ["<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    vocabulary = {token: place for place, token in enumerate([*special, *alphabet])}
    bare = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    bare.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bare.decoder = tokenizers.decoders.ByteLevel()
    bare.add_special_tokens(special)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bare, pad_token="<|pad|>", eos_token="<|end|>", bos_token="<|system|>"
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    config = transformers.LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, pad_token_id=0, eos_token_id=1, bos_token_id=2,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder
