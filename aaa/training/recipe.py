"""How a student is trained: every number in one value, which is kept beside the result.

Defaults by size: what was found to work on SmolLM2-135M on two CPU cores, with lower rates for larger models.
"""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field

from aaa.errors import InputError
from aaa.types import Value
from aaa.yaml_files import override, parse, read_yaml

Method = Literal["sft", "dpo", "dpo+sft"]
LARGE_BYTES = 700_000_000
"""Of quantised weights: about a billion parameters."""


class Recipe(Value):
    """One training."""

    method: Method
    steps: int = Field(60, ge=1, le=1_000_000)
    """Optimiser steps; the data are gone through as often as that takes."""
    batch_size: int = Field(4, ge=1, le=1024)
    accumulate: int = Field(1, ge=1, le=1024)
    """Batches of one step."""
    learning_rate: float = Field(1e-4, gt=0, le=1)
    warmup_steps: int = Field(5, ge=0)
    beta: float = Field(0.1, gt=0, le=10)
    """DPO: how strongly the student is held to its parent."""
    sft_weight: float = Field(0.2, ge=0, le=100)
    """`dpo+sft`: weight of the likelihood of the chosen answer beside the preference."""
    rank: int = Field(16, ge=1, le=512)
    """Of the LoRA matrices."""
    alpha: float = Field(32, gt=0)
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
    """Layers that are adapted."""
    max_length: int = Field(512, ge=16)
    """Longest prompt and answer together, in tokens; rows that are longer are left out."""
    eval_rows: int = Field(16, ge=0)
    """Rows kept out, on which loss and margin are told."""
    eval_every: int = Field(20, ge=1)
    save_every: int = Field(20, ge=1)
    """Steps between checkpoints, from which a training that was killed goes on."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """What it computes in; weights are float32. `auto`: bfloat16 on a GPU, float32 on a CPU."""
    seed: int = 0


def usual(method: str, size_bytes: int) -> dict[str, Any]:
    """Defaults for weights of that size."""
    large = size_bytes > LARGE_BYTES
    rate = {"sft": 2e-4, "dpo": 5e-5, "dpo+sft": 1e-4}[method] * (0.25 if large else 1)
    return {"method": method, "learning_rate": rate, "rank": 32 if large else 16}


def recipe(plain: dict[str, Any], file: Path | None, changes: dict[str, Any], rows: int) -> Recipe:
    """The defaults, over them a YAML file's keys, over these single changes. Raises `InputError`.

    Its method is that of the defaults, since `rows` were read for it. Where none says how many steps: they
    are gone through about twice, in 20 to 400.
    """
    told = override(plain | (read_yaml(file) if file is not None else {}), changes)
    made = parse(Recipe, told, str(file or "recipe"))
    if made.method != (asked := plain["method"]):
        where = "--set" if "method" in changes else file
        raise InputError(
            f"{where}: `method` is {made.method!r}, but --method {asked} was asked for"
        )
    if "steps" in told:
        return made
    steps = 2 * rows // (made.batch_size * made.accumulate)
    return made.model_copy(update={"steps": max(20, min(400, steps))})


def write(made: Recipe, path: Path) -> None:
    """Keep it beside the result."""
    path.write_text(yaml.safe_dump(made.model_dump(mode="json"), sort_keys=False), "utf-8")
