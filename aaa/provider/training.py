"""`python -m aaa.provider.training`: stands in for a trainer, as the stub stands in for a provider.

It reads the training data row by row, says what it was given in `OUTPUT/trained.json`, and tells how the
next generation is reached: a model behind an API as `MODEL-gN`, which a server would have to serve and
the stub does (`aaa provider --skills "*-g1=4"`); a local model, whose weights stay as they are, as itself.
Nothing is trained. It shows what a training command is given and what it must print.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

COLUMNS = {
    "sft": ("messages",),
    "dpo": ("prompt", "chosen", "rejected"),
    "rm": ("chosen", "rejected"),
}
"""Kind of data -> what a trainer needs of each row (TRL's names)."""
_GENERATION = re.compile(r"-g\d+$")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 1 with one line that says which row of which file is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m aaa.provider.training",
        description="Stands in for a trainer; trains nothing.",
    )
    for kind in COLUMNS:
        parser.add_argument(f"--{kind}", type=Path, help="a file that the stage wrote")
    parser.add_argument("--model", required=True, help="of the parent")
    parser.add_argument("--generation", required=True, type=int)
    parser.add_argument("--output", required=True, type=Path, help="folder for what is trained")
    given = parser.parse_args(arguments)
    try:
        rows = {kind: _rows(path, kind) for kind, path in _files(given)}
    except (OSError, ValueError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    model = named(given.model, given.generation)
    given.output.mkdir(parents=True, exist_ok=True)
    told = {"parent": given.model, "model": model, "generation": given.generation, "rows": rows}
    (given.output / "trained.json").write_text(json.dumps(told, indent=2) + "\n", "utf-8")
    print(
        "stand-in for a trainer:",
        ", ".join(f"{n} rows of {k}" for k, n in rows.items()) or "no rows",
    )
    print(json.dumps({"model": model}))
    return 0


def named(model: str, generation: int) -> str:
    """What the next generation of a model is called."""
    if model.startswith("local/"):
        return model
    return f"{_GENERATION.sub('', model)}-g{generation}"


def _files(given: argparse.Namespace) -> list[tuple[str, Path]]:
    return [(kind, path) for kind in COLUMNS if (path := getattr(given, kind)) is not None]


def _rows(path: Path, kind: str) -> int:
    """How many rows the file has. Raises `ValueError` for one that a trainer could not read."""
    number = 0
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            row = json.loads(line)
            missing = [column for column in COLUMNS[kind] if not row.get(column)]
            if missing:
                raise ValueError(f"{path}: line {number} has no {', '.join(missing)}")
    return number


if __name__ == "__main__":
    sys.exit(main())
