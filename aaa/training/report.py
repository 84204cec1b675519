"""What a training tells: its curves as pictures, and a model card."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

History = Sequence[Mapping[str, Any]]
CURVES = {
    "loss": ("loss", "eval_loss"),
    "reward margin": ("rewards/margins", "eval_rewards/margins"),
    "accuracy": ("rewards/accuracies", "eval_rewards/accuracies"),
}
"""Panel -> what is drawn in it: in training, on rows kept out."""


def write_curves(history: History, folder: Path) -> None:
    """`curves.png` and `curves.svg`: loss, and for preferences margin and accuracy, by step."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    panels = {name: keys for name, keys in CURVES.items() if any(keys[0] in row for row in history)}
    figure, axes = pyplot.subplots(1, max(1, len(panels)), figsize=(4 * max(1, len(panels)), 3))
    for place, (name, keys) in zip(
        [axes] if len(panels) < 2 else axes, panels.items(), strict=False
    ):
        for key, style in zip(keys, ("-", "o--"), strict=True):
            points = [(row["step"], float(row[key])) for row in history if key in row]
            points = [(x, y) for x, y in points if math.isfinite(y)]
            if points:
                label = "kept out" if key.startswith("eval") else "training"
                place.plot(
                    *zip(*points, strict=True), style, label=label, markersize=3, linewidth=1
                )
        place.set_title(name, loc="left", fontsize=10)
        place.set_xlabel("step")
        place.spines[["top", "right"]].set_visible(False)
        place.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    for suffix in ("png", "svg"):
        figure.savefig(
            folder / f"curves.{suffix}",
            dpi=150,
            metadata={"Date": None} if suffix == "svg" else None,
        )
    pyplot.close(figure)


def write_card(result: Mapping[str, Any], history: History, folder: Path) -> None:
    """`README.md` in the Hub's form."""
    recipe = result["recipe"]
    base = Path(result["base"]).name
    evaluated = [row for row in history if "eval_loss" in row]
    lines = [
        "---",
        "library_name: peft",
        f"tags: [aaa, lora, {recipe['method'].replace('+', ', ')}]",
        "---",
        f"# A student trained by AAA: {folder.name}",
        "",
        f"LoRA over `{base}`, generation {len(result['chain'])}, by {recipe['method']} on "
        f"{result['rows']} rows, {result['too_long']} longer ones left out. `adapter.gguf` is for "
        "llama.cpp and holds the adapters of all generations so far; `lora/` is this generation's "
        "alone, for PEFT.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {key} | {value} |" for key, value in recipe.items()),
    ]
    if evaluated:
        last = evaluated[-1]
        told = ", ".join(
            f"{key.removeprefix('eval_')} {value:.4g}"
            for key, value in last.items()
            if key in ("eval_loss", "eval_rewards/margins", "eval_rewards/accuracies")
        )
        lines += ["", f"On rows kept out, at step {last['step']}: {told}."]
    lines += ["", "![curves](curves.png)", ""]
    (folder / "README.md").write_text("\n".join(lines), "utf-8")
