"""What is wrong with a value that somebody wrote, in a sentence: which key, what it is, what would be right.

Left out: where the value stood (file, line), which only its reader knows.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails


def sentences(kind: type[BaseModel], error: ValidationError, called: str = "key") -> list[str]:
    """A sentence for each thing that does not fit `kind`, whose fields people know as `called`.

    Unknown keys come first: a misspelt one explains the one that is missing.
    """
    found = error.errors(include_url=False)
    found.sort(key=lambda problem: problem["type"] != "extra_forbidden")
    return [_sentence(kind, problem, called) for problem in found]


def _sentence(kind: type[BaseModel], problem: ErrorDetails, called: str) -> str:
    *parents, _last = problem["loc"] or ("(everything)",)
    key = ".".join(map(str, problem["loc"])) or "(everything)"
    here = ", ".join(_fields_at(kind, parents))
    if problem["type"] == "extra_forbidden":
        return f"unknown {called} {key!r}; valid here: {here or 'none'}"
    if problem["type"] == "missing":
        return f"{called} {key!r} is missing" + (f"; valid here: {here}" if here else "")
    said = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be", 1)
    return f"{called} {key!r}: {said}, got {problem['input']!r:.200}"


def _fields_at(kind: type[BaseModel], parents: list[Any]) -> list[str]:
    """Names of the fields, as they are written, of the model that the path leads to."""
    model: Any = kind
    for part in parents:
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            continue  # an index, or a key of a mapping
        model = next(_models_in(field.annotation), None)
        if model is None:
            return []
    return [field.alias or name for name, field in getattr(model, "model_fields", {}).items()]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that an annotation names, however deep: `tuple[InlineSeed, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _models_in(part)
