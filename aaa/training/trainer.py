"""One training run: weights from GGUF, LoRA by TRL, checkpoints, and what it leaves behind.

What is left in the output folder: `lora/` (PEFT), `adapter.gguf` (llama.cpp, its ancestors included),
`recipe.yaml`, `metrics.jsonl`, `curves.png|svg`, `README.md`, and `trained.json`, written last: a folder that
has it is finished. One training at a time is in a folder, and never another than the one that began there.
"""

import fcntl
import json
import logging
import os
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import aaa
from aaa.errors import InputError, SetupError
from aaa.training.progress import METRICS
from aaa.training.recipe import Recipe, write
from aaa.types import fingerprint

log = logging.getLogger(__name__)


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
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    for number, line in enumerate(text.removesuffix("\n").split("\n") if text else (), 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}: line {number} is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}: line {number} is no JSON object")
        missing = [column for column in columns if not row.get(column)]
        if missing:
            raise InputError(
                f"{path}: line {number} has no {', '.join(missing)}; {method} needs {', '.join(columns)}"
            )
        found.append({column: row[column] for column in columns})
    if not found:
        raise InputError(f"{path}: there are no rows in it")
    return found


def train(base: Base, recipe: Recipe, data: list[dict[str, Any]], output: Path) -> dict[str, Any]:
    """Train, or go on where a killed training was; what `trained.json` says. Waits for one that is at it.

    Raises `SetupError`, and `InputError` where the folder is another training's or every row is too long.
    """
    output.mkdir(parents=True, exist_ok=True)
    with (output / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it dies with its holder
        except BlockingIOError:
            log.warning("another training is at work in %s; waiting for it", output)
            fcntl.flock(lock, fcntl.LOCK_EX)
        _begin(base, recipe, data, output)
        done = output / "trained.json"
        if done.exists():
            told: dict[str, Any] = json.loads(done.read_text("utf-8"))
            return told
        return _train(base, recipe, data, output, done)


def _begin(base: Base, recipe: Recipe, data: list[dict[str, Any]], output: Path) -> None:
    """Mark the folder as this training's. Raises `InputError` where it is another's."""
    parents = [base.weights.name, *("/".join(folder.parts[-2:]) for folder in base.chain)]
    mine, mark = fingerprint([parents, recipe.model_dump(mode="json"), data]), output / "training"
    if not mark.exists():
        draft = mark.with_suffix(".part")
        draft.write_text(mine, "utf-8")
        draft.replace(mark)
    elif mark.read_text("utf-8") != mine:
        raise InputError(
            f"{output} is of a training with other data, another recipe or another parent: name another "
            "folder, or move that one away"
        )


def whole_checkpoint(output: Path) -> Path | None:
    """The newest that was written to its end; halves, of a kill or a full disk, are removed."""
    found = sorted(output.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]))
    for folder in reversed(found):
        try:
            json.loads((folder / "trainer_state.json").read_text("utf-8"))  # written last
            return folder
        except (OSError, ValueError):
            shutil.rmtree(folder)
    return None


def _train(
    base: Base, recipe: Recipe, data: list[dict[str, Any]], output: Path, done: Path
) -> dict[str, Any]:
    torch, transformers = _libraries()
    transformers.set_seed(recipe.seed)
    torch.set_num_threads(os.cpu_count() or 1)
    write(recipe, output / "recipe.yaml")
    model, tokenizer = load(base)
    taught = [row for row in data if longest(row, tokenizer) <= recipe.max_length]
    if not taught:
        raise InputError(
            f"none of the {len(data)} rows has at most {recipe.max_length} tokens (`max_length`)"
        )
    trainer = _trainer(model, tokenizer, recipe, taught, output)
    trainer.add_callback(_told(output))
    checkpoint = whole_checkpoint(output)
    trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
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
        "rows": len(taught),
        "too_long": len(data) - len(taught),
        "recipe": recipe.model_dump(mode="json"),
        "last": history[-1] if history else {},
        "aaa": aaa.__version__,
    }
    write_card(result, history, output)
    draft = done.with_suffix(".part")
    draft.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    draft.replace(done)
    return result


def longest(row: dict[str, Any], tokenizer: Any) -> int:
    """Tokens of a row's longest conversation."""

    def tokens(*parts: Any) -> int:
        if isinstance(parts[0], str):
            return len(tokenizer("".join(parts))["input_ids"])
        chat = [message for part in parts for message in part]
        return len(tokenizer.apply_chat_template(chat, return_dict=True)["input_ids"])

    if "messages" in row:
        return tokens(row["messages"])
    return max(tokens(row["prompt"], row[side]) for side in ("chosen", "rejected"))


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
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # TRL refuses several in one process
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


CHUNK = 50
"""Batches that are put together from one draw of rows."""


def order(lengths: Sequence[int], batch: int, rows: int, seed: int) -> list[int]:
    """Which row comes when, for so many in all: rows of like length share a batch, as little is padded.

    Every pass through the data is shuffled anew and cut into draws of `CHUNK` batches, which are sorted by
    length; then its batches are shuffled. What fills no batch is left out of that pass. `batch`: at most
    `len(lengths)`.
    """
    chance = random.Random(seed)
    found: list[int] = []
    while len(found) < rows:
        one_pass = chance.sample(range(len(lengths)), len(lengths) // batch * batch)
        batches = []
        for draw in _cut(one_pass, CHUNK * batch):
            batches += _cut(sorted(draw, key=lengths.__getitem__), batch)
        chance.shuffle(batches)
        found += [row for one in batches for row in one]
    return found[:rows]


def _cut(rows: Sequence[int], size: int) -> list[Sequence[int]]:
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def _trainer(
    model: Any, tokenizer: Any, recipe: Recipe, data: Sequence[dict[str, Any]], output: Path
) -> Any:
    """TRL's trainer, its rows in the order in which they are taught."""
    trainer = _tokenised(model, tokenizer, recipe, data, output)
    rows = trainer.train_dataset
    lengths = [_tokens(row) for row in rows]
    batch = trainer.args.per_device_train_batch_size
    taught = batch * recipe.accumulate * recipe.steps
    trainer.train_dataset = rows.select(order(lengths, batch, taught, recipe.seed))
    return trainer


def _tokens(row: dict[str, Any]) -> int:
    """Of the longest of its conversations, as TRL made them of its texts."""
    if "input_ids" in row:
        return len(row["input_ids"])
    return len(row["prompt_ids"]) + max(len(row["chosen_ids"]), len(row["rejected_ids"]))


def _tokenised(
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
        "per_device_train_batch_size": min(recipe.batch_size, len(taught)),
        "train_sampling_strategy": "sequential",
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
    arguments = trl.DPOConfig(
        **shared,
        beta=recipe.beta,
        loss_type=loss,
        loss_weights=weights,
        disable_dropout=recipe.dropout == 0,
        # what the parent says of each row, once; it costs about a third of a step
        precompute_ref_log_probs=len(taught) < recipe.steps * recipe.batch_size * recipe.accumulate,
    )
    return trl.DPOTrainer(args=arguments, **common)
