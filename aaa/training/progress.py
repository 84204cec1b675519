"""How a training stands, read from what it writes as it goes: `metrics.jsonl` in its output folder.

A line is one JSON object with a `step`, as TRL logs it; a trainer of yours that writes such lines is followed
too. Left out: the whole history (`curves.png` shows it).
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"
TOLD = {
    "loss": "loss",
    "rewards/margins": "margin",
    "rewards/accuracies": "accuracy",
    "eval_loss": "held_out_loss",
    "eval_rewards/margins": "held_out_margin",
    "eval_rewards/accuracies": "held_out_accuracy",
}
"""A logged name -> what it is told as. Held out: rows of the training data that it does not see."""


def progress(output: Path) -> dict[str, float]:
    """`step` and the latest of each known figure; `{}` where nothing was written yet, or nothing readable."""
    found: dict[str, float] = {}
    for row in _rows(output / METRICS):
        step = row.get("step")
        if not isinstance(step, int):
            continue
        figures = {to: row[name] for name, to in TOLD.items() if _is_number(row.get(name))}
        found |= {"step": step} | figures
    return found


def words(told: dict[str, Any]) -> str:
    """`step 12, loss 0.512, margin 1.31`, in this order however they come; `""` where nothing is known."""
    found = {name: told[name] for name in ("step", *TOLD.values()) if name in told}
    return ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in found.items())


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    """Of the lines that are whole; one may be half written."""
    with contextlib.suppress(OSError), path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with contextlib.suppress(ValueError):
                row = json.loads(line)
                if isinstance(row, dict):
                    yield row


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and value == value and abs(value) < 1e12
