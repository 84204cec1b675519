"""What a caller may start: a request's scenario, checked, as a script with its seeds.

A caller names agents and scenarios of the operator's catalogue or sends a scenario that uses them. What
is the operator's own stays theirs: folders, modules, addresses and keys cannot be named in a request.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import Field

from aaa.catalogue import Catalogue, Script
from aaa.errors import InputError, NotFound
from aaa.preflight import check_prices
from aaa.scenario import MOST_USD, Scenario, names_a_file
from aaa.types import Seed, Value, fingerprint
from aaa.yaml_files import override, parse

RUNS_CODE = ("python_tests",)
"""Checkers that run what a seed and an answer hold."""
DEEPEST = 50
"""Levels of nesting in a request."""


class StartRound(Value):
    """A round to start."""

    scenario: str | dict[str, Any] = Field(examples=["quickstart"])
    """Name of a scenario, or a whole one (`aaa scenarios schema`) that names agents of the catalogue."""
    overrides: dict[str, Any] = Field({}, examples=[{"protocol.options.rounds": 2}])
    """Dotted key -> value, in place of what the scenario says."""
    budget_usd: float | None = Field(None, ge=0, le=MOST_USD, allow_inf_nan=False)
    """The round pauses before it would spend more; `None`: as the scenario says."""


def request_hash(asked: Value, *of: str) -> str:
    """What an Idempotency-Key stands for: a request to the thing `of`. Raises `InputError`."""
    for name in type(asked).model_fields:
        check_plain(getattr(asked, name), name)
    return fingerprint([*of, fingerprint(asked)] if of else asked)


def prepare(catalogue: Catalogue, asked: StartRound) -> tuple[Script, tuple[Seed, ...]]:
    """What to play, and the seeds. Reads files and loads plug-ins. Raises `InputError`."""
    check_plain(asked.scenario, "scenario")
    check_plain(asked.overrides, "overrides")
    try:
        scenario, folder = _scenario(catalogue, asked)
        script, seeds = catalogue.prepare(scenario, folder)
        check_prices(script)
    except NotFound as error:  # a name inside the request, not the thing that was requested
        raise InputError(str(error)) from error
    return script, seeds


def _scenario(catalogue: Catalogue, asked: StartRound) -> tuple[Scenario, Path]:
    if isinstance(asked.scenario, str):
        theirs, folder = catalogue.scenario(asked.scenario)
        scenario, _ = catalogue.scenario(asked.scenario, asked.overrides)
    else:
        theirs, folder = None, Path()
        scenario = parse(Scenario, override(asked.scenario, asked.overrides), "scenario")
    check_changes(scenario, theirs)
    files = scenario.seeds.files
    if files and (theirs is None or files != theirs.seeds.files):
        folder = folder_of_seeds(files, catalogue.scenario_folders)
    if asked.budget_usd is not None:
        scenario = scenario.model_copy(update={"budget_usd": asked.budget_usd})
    return scenario, folder


def check_changes(scenario: Scenario, theirs: Scenario | None) -> None:
    """Refuse what runs code or reads files and is not in the operator's own. Raises `InputError`."""
    _check_modules(scenario, theirs)
    _check_checkers(scenario, theirs)
    _check_options(scenario, theirs)


def _check_modules(scenario: Scenario, theirs: Scenario | None) -> None:
    """Loading a module runs it, so only the operator's own files may name one."""
    named = {"protocol.id": scenario.protocol.id, "judging.play": scenario.judging.play}
    known = () if theirs is None else (theirs.protocol.id, theirs.judging.play)
    for key, id in named.items():
        if "." in id and id not in known:
            raise InputError(
                f"scenario: key {key!r}: {id!r} is a module, which only a scenario file of the "
                "operator may name; name a shipped one"
            )


def _check_options(scenario: Scenario, theirs: Scenario | None) -> None:
    """An option may name a file to read, so what does stands in the operator's own files only."""
    own = {} if theirs is None else theirs.protocol.options
    for key, value in scenario.protocol.options.items():
        if names_a_file(value) and value != own.get(key):
            raise InputError(
                f"scenario: key 'protocol.options.{key}': only a scenario file of the operator may name "
                "a file; send the lines themselves, as a list"
            )


def _check_checkers(scenario: Scenario, theirs: Scenario | None) -> None:
    """A checker may run code or load a module, so what does stands in the operator's own files only."""
    if theirs is not None and scenario.seeds.inline == theirs.seeds.inline:
        return
    for number, seed in enumerate(scenario.seeds.inline or ()):
        for kind in _kinds(seed.checker):
            if "." in kind or kind in RUNS_CODE:
                raise InputError(
                    f"seeds.inline[{number}]: checker {kind!r} runs code, which only a seeds file or "
                    "scenario of the operator may ask for; name one in their scenario folders"
                )


def _kinds(spec: object) -> Iterator[str]:
    """Every `kind` in a checker, however deep."""
    if isinstance(spec, Mapping):
        if isinstance(spec.get("kind"), str):
            yield spec["kind"]
        for value in spec.values():
            yield from _kinds(value)
    elif isinstance(spec, Sequence) and not isinstance(spec, str):
        for value in spec:
            yield from _kinds(value)


def folder_of_seeds(files: Sequence[str], folders: Sequence[Path]) -> Path:
    """The folder among `folders` that really holds those files. Raises `InputError`.

    Links are followed before the check, so nothing outside a folder is reached by its name.
    """
    for file in files:
        parts = PurePosixPath(file)
        if "\0" in file or "\\" in file or parts.is_absolute() or ".." in parts.parts:
            raise InputError(f"seeds.file: {file!r} must be a plain path inside a scenario folder")
    for folder in folders:
        if all(_is_inside(folder, file) for file in files):
            return folder.resolve()
    names = " and ".join(repr(file) for file in files)
    raise InputError(f"seeds.file: there is no {names} in the scenario folders")


def _is_inside(folder: Path, file: str) -> bool:
    try:
        root = folder.resolve()
        path = (root / file).resolve()
        return path.is_relative_to(root) and path.is_file()
    except (OSError, RuntimeError):  # too long a name, a loop of links
        return False


def check_plain(value: object, where: str) -> None:
    """Refuse what JSON can say but the database cannot hold. Raises `InputError`."""
    level: list[object] = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inside(outer, where)]
        if not level:
            return
    raise InputError(f"{where}: nested deeper than {DEEPEST} levels")


def _inside(value: object, where: str) -> Sequence[object]:
    if isinstance(value, str):
        _check_text(value, where)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where}: {value} is no number that can be kept")
    elif isinstance(value, int) and abs(value) >= 2**63:
        raise InputError(f"{where}: a number is too large")
    elif isinstance(value, Mapping):
        return [*value, *value.values()]
    elif isinstance(value, list):
        return value
    return ()


def _check_text(text: str, where: str) -> None:
    if "\0" in text:
        raise InputError(f"{where}: a text holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where}: a text holds half of a surrogate pair") from error
