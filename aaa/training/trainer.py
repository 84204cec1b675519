"""One training run: weights from GGUF, LoRA by TRL, checkpoints, and what it leaves behind.

What is left in the output folder: `lora/` (PEFT), `adapter.gguf` (llama.cpp, its ancestors included),
`recipe.yaml`, `metrics.jsonl`, `curves.png|svg`, `README.md`, and `trained.json`, written last: a folder that
has it is finished.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aaa
from aaa.errors import InputError, SetupError
from aaa.training.progress import METRICS
from aaa.training.recipe import Recipe, write


class Base(NamedTuple):
    """What is trained further."""

    weights: Path
    """GGUF file."""
    chain: tuple[Path, ...]
    """PEFT folders of the generations since, oldest first."""


def rows(path: Path, method: str) -> list[dict[str, Any]]:
    """The rows of an export. Raises `InputError` for a file without any, or a row that lacks a column."""
    columns = ("messages",) if method == "sft" else ("prompt", "chosen", "rejected")
    found = []
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}: line {number} is no JSON: {error}") from error
        missing = [column for column in columns if column not in row]
        if missing:
            raise InputError(
                f"{path}: line {number} has no {', '.join(missing)}; {method} needs {', '.join(columns)}"
            )
        found.append({column: row[column] for column in columns})
    if not found:
        raise InputError(f"{path}: there are no rows in it")
    return found


def train(base: Base, recipe: Recipe, data: list[dict[str, Any]], output: Path) -> dict[str, Any]:
    """Train, or go on where a killed training was; what `trained.json` says. Raises `SetupError`."""
    done = output / "trained.json"
    if done.exists():
        told: dict[str, Any] = json.loads(done.read_text("utf-8"))
        return told
    torch, transformers = _libraries()
    transformers.set_seed(recipe.seed)
    torch.set_num_threads(os.cpu_count() or 1)
    output.mkdir(parents=True, exist_ok=True)
    write(recipe, output / "recipe.yaml")
    model, tokenizer = load(base)
    trainer = _trainer(model, tokenizer, recipe, data, output)
    trainer.add_callback(_told(output))
    checkpoints = sorted(output.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]))
    trainer.train(resume_from_checkpoint=str(checkpoints[-1]) if checkpoints else None)
    trainer.model.save_pretrained(output / "lora")
    history = trainer.state.log_history
    _write_metrics(history, output)
    from aaa.training.adapter import write_adapter
    from aaa.training.report import write_card, write_curves

    chain = (*base.chain, output / "lora")
    write_adapter(chain, base.weights, output / "adapter.gguf")
    write_curves(history, output)
    result = {
        "base": str(base.weights),
        "chain": [str(path) for path in chain],
        "adapter": str(output / "adapter.gguf"),
        "rows": len(data),
        "recipe": recipe.model_dump(mode="json"),
        "last": history[-1] if history else {},
        "aaa": aaa.__version__,
    }
    write_card(result, history, output)
    draft = done.with_suffix(".part")
    draft.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    draft.replace(done)
    return result


def _told(output: Path) -> Any:
    """Has everything logged so far written at each step, for whoever watches."""
    import transformers

    class Told(transformers.TrainerCallback):  # type: ignore[misc]
        def on_log(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            _write_metrics(state.log_history, output)

    return Told()


def _write_metrics(history: Sequence[dict[str, Any]], output: Path) -> None:
    """Whole or not at all: a training that goes on from a checkpoint tells again what came after it."""
    draft = output / f"{METRICS}.part"
    draft.write_text("".join(json.dumps(row) + "\n" for row in history), "utf-8")
    draft.replace(output / METRICS)


def _libraries() -> tuple[Any, Any]:
    try:
        import peft  # noqa: F401
        import torch
        import transformers
        import trl  # noqa: F401
    except ImportError as error:
        raise SetupError(
            f"training needs the extra `train` ({error.name} is missing): "
            "pip install 'aaa-orchestrator[train]'; for a CPU, PyTorch's CPU build is enough"
        ) from error
    return torch, transformers


def load(base: Base) -> tuple[Any, Any]:
    """(model in float32 with its ancestors merged in, tokenizer)."""
    torch, transformers = _libraries()
    from peft import PeftModel

    folder, file = base.weights.parent, base.weights.name
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=file)
    read = transformers.AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=file, dtype=torch.float32
    )
    config = read.config
    del config.quantization_config  # they are plain numbers now, and may be trained
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(read.state_dict())
    for adapter in base.chain:
        model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def _halves(recipe: Recipe, torch: Any) -> bool:
    """Whether it computes in bfloat16."""
    if recipe.precision != "auto":
        return recipe.precision == "bfloat16"
    return bool(torch.cuda.is_available())


def _completed(row: dict[str, Any]) -> dict[str, Any]:
    """A row of `trl-sft` such that its last answer alone is learnt, not the questions before it."""
    *before, last = row["messages"]
    return {"prompt": before, "completion": [last]}


def _trainer(
    model: Any, tokenizer: Any, recipe: Recipe, data: Sequence[dict[str, Any]], output: Path
) -> Any:
    import datasets
    import torch
    import trl
    from peft import LoraConfig

    kept_out = min(recipe.eval_rows, len(data) // 5)
    told = [_completed(row) for row in data] if recipe.method == "sft" else list(data)
    everything = datasets.Dataset.from_list(told).shuffle(seed=recipe.seed)
    held, taught = everything.select(range(kept_out)), everything.select(range(kept_out, len(data)))
    lora = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=list(recipe.targets),
        task_type="CAUSAL_LM",
    )
    shared = {
        "output_dir": str(output),
        "max_steps": recipe.steps,
        "per_device_train_batch_size": recipe.batch_size,
        "per_device_eval_batch_size": recipe.batch_size,
        "gradient_accumulation_steps": recipe.accumulate,
        "learning_rate": recipe.learning_rate,
        "warmup_steps": recipe.warmup_steps,
        "lr_scheduler_type": "cosine",
        "max_length": recipe.max_length,
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "logging_steps": 1,
        "save_steps": recipe.save_every,
        "save_total_limit": 1,
        "eval_strategy": "steps" if kept_out else "no",
        "eval_steps": recipe.eval_every,
        "report_to": [],
        "gradient_checkpointing": False,
        "bf16": _halves(recipe, torch),
        "use_cpu": not torch.cuda.is_available(),
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }
    common = {
        "model": model,
        "train_dataset": taught,
        "eval_dataset": held if kept_out else None,
        "processing_class": tokenizer,
        "peft_config": lora,
    }
    if recipe.method == "sft":
        return trl.SFTTrainer(args=trl.SFTConfig(**shared, completion_only_loss=True), **common)
    loss = ["sigmoid"] if recipe.method == "dpo" else ["sigmoid", "sft"]
    weights = None if recipe.method == "dpo" else [1.0, recipe.sft_weight]
    arguments = trl.DPOConfig(**shared, beta=recipe.beta, loss_type=loss, loss_weights=weights)
    return trl.DPOTrainer(args=arguments, **common)
