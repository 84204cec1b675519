"""LLaMA-Factory's and Axolotl's own readers on exported files, where they are installed.

They are in no group of dependencies: both pin other versions of what TRL needs. Installed beside it without
their dependencies they read, and that is what is asked here.
"""

import importlib.machinery
import importlib.util
import json
import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from aaa.exporters import exporter
from tests.needed import needed
from tests.trainers.conftest import Exported, pairs

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def without_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """LLaMA-Factory imports torchaudio, whose packages want a GPU's libraries; nothing here has sound."""
    needed("transformers")
    if importlib.util.find_spec("torchaudio") is None:
        silent = types.ModuleType("torchaudio")
        silent.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
        monkeypatch.setitem(sys.modules, "torchaudio", silent)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_llama_factory(
    exported: Exported, tmp_path: Path, without_sound: None, suffix: str
) -> None:
    needed("llamafactory")
    from llamafactory.data.loader import _load_single_dataset
    from llamafactory.data.parser import get_dataset_list

    path = exported("llama-factory", suffix)
    for name, text in exporter("llama-factory").beside(path.name).items():
        (path.parent / name).write_text(text)
    (found,) = get_dataset_list(["llama-factory"], str(path.parent))
    given = SimpleNamespace(
        dataset_dir=str(path.parent), media_dir="", streaming=False, max_samples=None,
        preprocessing_num_workers=None, overwrite_cache=True, preprocessing_batch_size=10,
        cache_dir=str(tmp_path / "cache"), hf_hub_token=None, local_process_index=0,
    )  # fmt: skip
    rows = list(_load_single_dataset(found, given, given, given))
    assert len(rows) == len(pairs())
    for row, record in zip(rows, pairs(), strict=True):
        assert row["_system"] == record["context"][0]["content"]
        assert [m["content"] for m in row["_prompt"]] == [
            m["content"] for m in record["context"][1:]
        ]
        said = [record[side]["text"] for side in ("chosen", "rejected")]
        assert [m["content"] for m in row["_response"]] == said


def test_axolotl_dpo(exported: Exported, tiny: Path) -> None:
    needed("axolotl")
    strategy = needed("axolotl.prompt_strategies.dpo.chat_template")
    transformers = needed("transformers")
    path = exported("axolotl-dpo", "jsonl")
    (text,) = exporter("axolotl-dpo").beside(path.name).values()
    transform, _ = strategy.default(yaml.safe_load(text))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    for row, record in zip(lines(path), pairs(), strict=True):
        made = transform(row, tokenizer=tokenizer)
        assert record["context"][-1]["content"] in made["prompt"]
        for side in ("chosen", "rejected"):
            assert made[side] == f"{record[side]['text']}<|end|>"


def test_axolotl_takes_the_configuration() -> None:
    """Its own schema of what a configuration may hold."""
    needed("axolotl")
    config = needed("axolotl.utils.schemas.config")
    (text,) = exporter("axolotl-dpo").beside("pairs.jsonl").values()
    found = config.AxolotlInputConfig(**yaml.safe_load(text))
    assert found.datasets[0].type == "chat_template.default"


def test_axolotl_steps(exported: Exported, tiny: Path) -> None:
    needed("axolotl")
    stepwise = needed("axolotl.prompt_strategies.stepwise_supervised")
    transformers = needed("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    strategy = stepwise.StepwiseSupervisedPromptTokenizingStrategy(tokenizer)
    row = lines(exported("trl-prm", "jsonl"))[0]
    labels = [label for label in strategy.tokenize_prompt(row)["labels"] if label >= 0]
    assert labels == [1, 1, 0]
