"""TRL's own trainers take two steps on exported files; the model is tiny and random: they need only run."""

from pathlib import Path
from typing import Any

import pytest

from tests.needed import needed
from tests.trainers.conftest import Exported

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs
STEPS = 2


def options(folder: Path, **more: Any) -> dict[str, Any]:
    return {
        "output_dir": str(folder / "out"),
        "max_steps": STEPS,
        "per_device_train_batch_size": 2,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
        **more,
    }


def loaded(path: Path, folder: Path) -> Any:
    datasets = needed("datasets")
    kind = "json" if path.suffix == ".jsonl" else "parquet"
    return datasets.load_dataset(
        kind, data_files=str(path), split="train", cache_dir=str(folder / "cache")
    )


def trained(trainer: Any) -> None:
    """It takes its steps and finds a finite loss in each."""
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert len(losses) == STEPS
    assert all(loss == loss and abs(loss) < 1e6 for loss in losses)
    assert any(not value.equal(before[name]) for name, value in trainer.model.named_parameters())


@pytest.mark.parametrize(
    ("format", "suffix"), [("trl-dpo", "jsonl"), ("trl-dpo", "parquet"), ("trl-dpo-text", "jsonl")]
)
def test_dpo(exported: Exported, tiny: Path, tmp_path: Path, format: str, suffix: str) -> None:
    trl = needed("trl")
    data = loaded(exported(format, suffix), tmp_path)
    trainer = trl.DPOTrainer(
        model=str(tiny), args=trl.DPOConfig(**options(tmp_path)), train_dataset=data
    )
    trained(trainer)


@pytest.mark.parametrize("format", ["trl-reward", "openrlhf"])
def test_reward(exported: Exported, tiny: Path, tmp_path: Path, format: str) -> None:
    trl = needed("trl")
    data = loaded(exported(format, "jsonl"), tmp_path)
    trainer = trl.RewardTrainer(
        model=str(tiny), args=trl.RewardConfig(**options(tmp_path)), train_dataset=data
    )
    trained(trainer)


def test_kto(exported: Exported, tiny: Path, tmp_path: Path) -> None:
    trl = needed("trl")
    data = loaded(exported("trl-kto", "parquet"), tmp_path)
    assert sorted(set(data["label"])) == [False, True]
    trainer = trl.KTOTrainer(
        model=str(tiny), args=trl.KTOConfig(**options(tmp_path)), train_dataset=data
    )
    trained(trainer)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_sft(exported: Exported, tiny: Path, tmp_path: Path, suffix: str) -> None:
    trl = needed("trl")
    data = loaded(exported("trl-sft", suffix), tmp_path)
    trainer = trl.SFTTrainer(
        model=str(tiny), args=trl.SFTConfig(**options(tmp_path)), train_dataset=data
    )
    trained(trainer)


def test_prm(exported: Exported, tiny: Path, tmp_path: Path) -> None:
    trl = needed("trl")
    if not hasattr(trl, "PRMTrainer"):
        pytest.skip(
            f"TRL {trl.__version__} has no PRMTrainer any more; columns are checked instead"
        )
    transformers = needed("transformers")
    data = loaded(exported("trl-prm", "jsonl"), tmp_path)
    model = transformers.AutoModelForTokenClassification.from_pretrained(tiny, num_labels=2)
    trainer = trl.PRMTrainer(
        model=model,
        processing_class=transformers.AutoTokenizer.from_pretrained(tiny),
        args=trl.PRMConfig(**options(tmp_path)),
        train_dataset=data,
    )
    trained(trainer)
