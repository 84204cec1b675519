"""A generation's training as it told itself: loss, margin and accuracy by step.

Read from `metrics.jsonl`, as `aaa train` leaves it beside the adapter. A trainer of somebody else's leaves
nothing that can be read; the page then says so.
"""

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aaa.types import Value

LARGEST_BYTES = 50_000_000
CURVES = {
    "loss": "loss",
    "eval_loss": "loss, kept out",
    "rewards/margins": "reward margin",
    "eval_rewards/margins": "reward margin, kept out",
    "rewards/accuracies": "accuracy",
    "eval_rewards/accuracies": "accuracy, kept out",
}
"""Key of a line -> what it is."""


class Point(Value):
    step: float
    value: float


class Training(Value):
    """How one generation was trained."""

    agent: str
    seconds: float | None = None
    """`None`: unknown."""
    method: str | None = None
    rows: int | None = None
    curves: Mapping[str, tuple[Point, ...]] = {}
    """What it is -> its points, by step."""
    absent: str = ""
    """Why there are no curves; empty where there are."""


def curves_of(lines: Iterable[str]) -> dict[str, tuple[Point, ...]]:
    """The curves in a `metrics.jsonl`; lines and values that cannot be read are passed over."""
    found: dict[str, list[Point]] = {}
    for line in lines:
        row = _row(line)
        step = _number(row.get("step"))
        for key, name in CURVES.items():
            value = _number(row.get(key))
            if step is not None and value is not None:
                found.setdefault(name, []).append(Point(step=step, value=value))
    return {name: tuple(points) for name, points in found.items()}


def _row(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _number(value: object) -> float | None:
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def training(agent: str, folder: Path | None, seconds: float | None) -> Training:
    """What the folder of a trained student tells; never an error."""
    if folder is None:
        return Training(agent=agent, seconds=seconds, absent="nobody knows where it was trained")
    path = folder / "metrics.jsonl"
    try:
        if path.stat().st_size > LARGEST_BYTES:
            return Training(agent=agent, seconds=seconds, absent="its metrics.jsonl is too large")
        curves = curves_of(path.read_text("utf-8", "replace").splitlines())
    except OSError:
        absent = "its metrics.jsonl cannot be read from here"
        return Training(agent=agent, seconds=seconds, absent=absent)
    told = _told(folder / "trained.json")
    rows = _number(told.get("rows"))
    recipe = told.get("recipe")
    method = recipe.get("method") if isinstance(recipe, dict) else None
    return Training(
        agent=agent,
        seconds=seconds,
        method=str(method) if method is not None else None,
        rows=None if rows is None else int(rows),
        curves=curves,
        absent="" if curves else "its metrics.jsonl holds no figures",
    )


def _told(path: Path) -> dict[str, Any]:
    try:
        return _row(path.read_text("utf-8", "replace"))
    except OSError:
        return {}
