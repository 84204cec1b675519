"""Readers that most trainers are built on: every format, as JSONL and as Parquet."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from aaa.exporters import FORMATS, exporter
from tests.trainers.conftest import Exported

DICTIONARIES = ("canonical", "verdicts")
"""Formats with dictionaries of anybody's keys: `datasets` would give every row every key."""
NOT_HERE = ("seeds", "trl-sft-critiques", "transcripts", "verdicts")
"""Formats of whole sessions of which this fixture has no rows worth reading."""
READ = sorted(set(FORMATS) - set(NOT_HERE))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.mark.parametrize("format", sorted(set(READ) - set(DICTIONARIES)))
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_datasets(exported: Exported, tmp_path: Path, format: str, suffix: str) -> None:
    datasets = pytest.importorskip("datasets", reason="group `trainers` is not installed")
    path, kind = exported(format, suffix), "json" if suffix == "jsonl" else "parquet"
    found = datasets.load_dataset(
        kind, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert list(found) == lines(exported(format, "jsonl"))
    streamed = datasets.load_dataset(kind, data_files=str(path), split="train", streaming=True)
    assert list(streamed) == list(found)


@pytest.mark.parametrize("format", READ)
def test_polars(exported: Exported, format: str) -> None:
    polars = pytest.importorskip("polars", reason="group `trainers` is not installed")
    rows = polars.read_parquet(exported(format, "parquet")).to_dicts()
    assert rows == pq.read_table(exported(format, "parquet")).to_pylist()
    assert [row["id"] for row in rows] == [row["id"] for row in lines(exported(format, "jsonl"))]
    if format not in DICTIONARIES:
        assert rows == lines(exported(format, "jsonl"))
    assert polars.read_ndjson(exported(format, "jsonl")).height == len(rows)


COLUMNS = {
    "trl-dpo": "prompt chosen rejected",
    "trl-reward": "chosen rejected margin",
    "trl-kto": "prompt completion label",
    "trl-sft": "messages",
    "trl-prm": "prompt completions labels",
    "axolotl-dpo": "messages chosen rejected",
    "llama-factory": "conversations chosen rejected",
    "openrlhf": "chosen rejected margin",
    "nemo-rl": "context completions",
    "verl": "data_source prompt ability reward_model extra_info",
    "ultrafeedback": "prompt chosen rejected messages score_chosen score_rejected",
}
"""As each trainer's documents and sources have them."""


@pytest.mark.parametrize("format", COLUMNS)
def test_columns(format: str) -> None:
    assert set(COLUMNS[format].split()) <= set(exporter(format).columns)
