"""Readers that most trainers are built on: every format, as JSONL and as Parquet."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from aaa.commands.export_files import Parts, papers, write_papers
from aaa.corpus.audit import Audit
from aaa.corpus.families import part_of
from aaa.corpus.sieve import Sifted
from aaa.exporters import FORMATS, exporter, rows
from tests.needed import needed
from tests.trainers.conftest import Exported, pairs, solution

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
    datasets = needed("datasets")
    path, kind = exported(format, suffix), "json" if suffix == "jsonl" else "parquet"
    found = datasets.load_dataset(
        kind, data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert list(found) == lines(exported(format, "jsonl"))
    streamed = datasets.load_dataset(kind, data_files=str(path), split="train", streaming=True)
    assert list(streamed) == list(found)


@pytest.mark.parametrize("format", READ)
def test_polars(exported: Exported, format: str) -> None:
    polars = needed("polars")
    found = polars.read_parquet(exported(format, "parquet")).to_dicts()
    assert found == pq.read_table(exported(format, "parquet")).to_pylist()
    assert [row["id"] for row in found] == [row["id"] for row in lines(exported(format, "jsonl"))]
    if format not in DICTIONARIES:
        assert found == lines(exported(format, "jsonl"))
    assert polars.read_ndjson(exported(format, "jsonl")).height == len(found)


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


def test_a_folder_of_the_hubs_layout(tmp_path: Path) -> None:
    """`datasets.load_dataset` on the folder itself, by its card, without a network."""
    datasets = needed("datasets")
    folder, records = tmp_path / "set", pairs(40)
    made, configs = exporter("trl-dpo"), {}
    folder.mkdir()
    parts = Parts(folder, "pairs", made, "parquet")
    audit = Audit()
    for record in records:
        audit.take(Sifted(record, None))
        for row in made.rows(record):
            parts.write(part_of(record["seed"]["family"], 0.3), row)
    configs["pairs"] = parts.close()
    transcripts = Parts(folder, "transcripts", exporter("transcripts"), "parquet")
    for row in rows(solution(), "transcripts"):
        transcripts.write("train", row)
    configs["transcripts"] = transcripts.close()
    told = {
        **audit.report({"win": 40}, 0), "format": "trl-dpo", "selection": "", "calibrations": {},
        "rounds": [], "versions": {},
    }  # fmt: skip
    write_papers(folder, papers(told, configs, ""))
    cache = str(tmp_path / "cache")
    assert set(datasets.get_dataset_config_names(str(folder))) == {"pairs", "transcripts"}
    found = datasets.load_dataset(str(folder), "pairs", cache_dir=cache)
    assert set(found) == {"train", "test"}
    assert sorted(row["id"] for part in found.values() for row in part) == sorted(
        r["id"] for r in records
    )
    assert len(datasets.load_dataset(str(folder), "transcripts", cache_dir=cache)["train"]) == 1
