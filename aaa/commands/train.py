"""`aaa train`: a student is trained on an export, and its next generation can be served."""

import asyncio
import json
from pathlib import Path
from typing import Any

from aaa.commands.opening import say
from aaa.errors import InputError
from aaa.models.weights import adapter_of, locate
from aaa.settings import Settings
from aaa.training.recipe import recipe, usual
from aaa.training.trainer import Base, rows, train


async def run(
    settings: Settings,
    method: str,
    data: Path,
    model: str,
    output: Path,
    file: Path | None,
    changes: dict[str, Any],
) -> int:
    """Train it; the last line printed says how the result is reached. Raises `InputError`, `SetupError`."""
    base = base_of(model, settings)
    found = rows(data, method)
    made = recipe(usual(method, base.weights.stat().st_size), file, changes, len(found))
    say(f"{method} on {len(found)} rows, {made.steps} steps of {made.batch_size * made.accumulate}; "
        f"generation {len(base.chain) + 1} of {base.weights.name}, in {output}")  # fmt: skip
    told = await asyncio.to_thread(train, base, made, found, output)
    if told.get("too_long"):
        say(
            f"{told['too_long']} rows with more than {made.max_length} tokens (`max_length`) were left out"
        )
    name, _ = adapter_of(model)
    print(json.dumps({"model": f"{name}@{told['adapter']}"}))
    return 0


def base_of(model: str, settings: Settings) -> Base:
    """A `local/…` model's weights, and its ancestors' adapters. Raises `InputError`, `SetupError`."""
    if not model.startswith("local/"):
        raise InputError(
            f"--model {model!r}: only local weights are trained here, local/NAME or local/PATH.gguf; for "
            "others name a trainer of yours in the stage's `train`"
        )
    weights = locate(model, settings.models)
    _, adapter = adapter_of(model)
    if adapter is None:
        return Base(weights, ())
    record = adapter.parent / "trained.json"
    try:
        told = json.loads(record.read_text("utf-8"))
        return Base(weights, tuple(Path(folder) for folder in told["chain"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"--model {model!r}: {record} does not tell how the adapter was trained ({error}); only what "
            "`aaa train` made can be trained further"
        ) from error
