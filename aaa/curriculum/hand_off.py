"""The training command in words: the blanks in it, filled when it runs and known to be right before.

Left out: running it (`cluster/training.py`).
"""

import shutil
import sys
from collections.abc import Mapping, Sequence

from aaa.errors import InputError
from aaa.scenario import Scenario

BLANKS = (
    "sft", "dpo", "rm", "data", "output", "student", "parent", "model", "generation", "stage",
    "here", "python",
)  # fmt: skip
"""What a command may hold in braces."""


def filled(command: Sequence[str], blanks: Mapping[str, str]) -> list[str]:
    """The command with its `{blanks}` filled. Raises `InputError` for one that there is not."""
    found = []
    for word in command:
        try:
            found.append(word.format_map({"python": sys.executable, **blanks}))
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            known = ", ".join(f"{{{name}}}" for name in BLANKS)
            raise InputError(
                f"train.command: {word!r} has a blank that is not known ({error}); there are: {known}; "
                "a brace of your own is written twice"
            ) from error
    return found


def check_blanks(scenario: Scenario) -> None:
    """Every stage's command can be filled, and asks for no data that is not written. Raises `InputError`."""
    for stage in scenario.stages:
        if stage.train is None:
            continue
        where = f"scenario {scenario.name!r}: stage {stage.name!r}"
        try:
            words = filled(stage.train.command, {name: f"\0{name}\0" for name in BLANKS})
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        for kind in ("sft", "dpo", "rm"):
            if kind not in stage.data and any(f"\0{kind}\0" in word for word in words):
                written = ", ".join(stage.data) or "nothing"
                raise InputError(
                    f"{where}: `train` asks for {{{kind}}}, but its `data` writes {written}"
                )


def check_commands(scenario: Scenario, folder: str) -> None:
    """Every stage's command names a program of this machine; it runs in a folder of its own.

    `folder`: the scenario's. Raises `InputError`.
    """
    blanks = dict.fromkeys(BLANKS, "") | {"here": folder}
    del blanks["python"]
    for stage in scenario.stages:
        if stage.train is None:
            continue
        program = filled(stage.train.command, blanks)[0]
        if ("/" in program and not program.startswith("/")) or shutil.which(program) is None:
            raise InputError(
                f"scenario {scenario.name!r}: stage {stage.name!r}: train.command: there is no program "
                f"{program!r} on this machine: name one on the PATH, or by its whole path, or by "
                "{here}/…, from the scenario's folder"
            )
