"""Seeds files: JSONL, CSV or Parquet rows become `Seed` values.

A row has its prompt as text or as a message list, and optionally `id` (else a hash of its content),
`reference`, `checker`, `tags`, and `parent` and `operation` where it was evolved. A row of a labelled set
also has `answer_a`, `answer_b`, `label` (`a`, `b`, `tie`) and optionally `labeller`; its prompt may be
called `context`. Other columns are left alone. Errors name file and line.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from aaa.checkers import read_checker
from aaa.errors import InputError
from aaa.scenario import InlineSeed, Seeds
from aaa.types import Seed, fingerprint
from aaa.wording import sentences

FIELDS = ("reference", "checker", "tags", "parent", "operation")
"""Of a seed, besides its id, its prompt and what it compares."""
LONGEST_CELL = 2**31 - 1
"""Characters of a CSV's cell."""
Row = tuple[str, Mapping[str, Any]]
"""(where it stands, for errors; the row)."""


def load_seeds(seeds: Seeds, folder: Path) -> tuple[Seed, ...]:
    """All seeds in their order. Raises `InputError`: unreadable row, empty file, an id twice."""
    if seeds.inline is not None:
        rows = _inline(seeds.inline)
        prompt_field = "prompt"
    else:
        rows = chain.from_iterable(_rows(folder / file) for file in seeds.files)
        prompt_field = seeds.prompt_field
    loaded: dict[str, str] = {}
    result = []
    for where, row in islice(rows, seeds.limit):
        seed = _seed(where, row, prompt_field)
        if seed.id in loaded:
            raise InputError(f"{where}: seed id {seed.id!r} stands already at {loaded[seed.id]}")
        loaded[seed.id] = where
        result.append(seed)
    if not result:
        raise InputError(f"{' '.join(seeds.files) or 'seeds.inline'}: there are no seeds in it")
    return tuple(result)


def _seed(where: str, row: Mapping[str, Any], prompt_field: str) -> Seed:
    prompt = row.get(prompt_field)
    if prompt is None and "answer_a" in row:
        prompt = row.get("context")
    if prompt is None:
        fields = ", ".join(sorted(map(str, row))) or "none"
        raise InputError(f"{where}: no field {prompt_field!r} (the prompt); its fields: {fields}")
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    optional = _optional(where, row)
    given = row.get("id")
    _check_kept(where, {"prompt": messages, "id": str(given), **optional})
    id = str(given) if given not in (None, "") else fingerprint([messages, optional])[:16]
    try:
        seed = Seed.model_validate({"id": id, "prompt": messages, **optional})
    except ValidationError as error:
        raise InputError(
            f"{where}: {_as_written(row, sentences(Seed, error, 'field')[0])}"
        ) from error
    if seed.checker is not None:
        _check_checker(where, seed.checker)
    if not seed.prompt[-1].content.strip():
        raise InputError(f"{where}: the prompt is empty")
    return seed


def _check_kept(where: str, fields: Mapping[str, Any]) -> None:
    """Refuse what the database cannot hold: a Parquet file's bytes and dates, NaN, NUL."""
    for name, value in fields.items():
        try:
            json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(f"{where}: field {name!r} cannot be kept: {error}") from error
        if _has_nul(value):
            part = {"prompt": "the prompt", "comparison": "an answer"}.get(name, f"field {name!r}")
            raise InputError(f"{where}: {part} holds a NUL character")


def _has_nul(value: Any) -> bool:
    if isinstance(value, Mapping):
        value = [*value, *value.values()]
    if isinstance(value, list | tuple):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value


def _optional(where: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields besides prompt and id that the row has, tags and checker also where they are text."""
    found = {k: row[k] for k in FIELDS if row.get(k) not in (None, "")}
    if isinstance(found.get("tags"), str):
        found["tags"] = [tag for tag in found["tags"].split(";") if tag]
    checker = found.get("checker", {})
    if isinstance(checker, str) and checker.lstrip().startswith("{"):
        checker = found["checker"] = _json(f"{where}: field 'checker'", checker)
    if not isinstance(checker, dict):
        example = '{"kind": "number", "value": 42}'
        raise InputError(
            f"{where}: field 'checker' must be an object that names its kind, such as {example}, "
            f"got {checker!r:.200}"
        )
    return found | _comparison(row)


def _as_written(row: Mapping[str, Any], sentence: str) -> str:
    """The sentence with the names of the columns that the row has, where it has no `comparison`."""
    if row.get("comparison") is None:
        for column in ("answer_a", "answer_b", "label", "labeller"):
            key = f"comparison.{column[-1]}.text" if "_" in column else f"comparison.{column}"
            sentence = sentence.replace(f"field {key!r}", f"field {column!r}", 1)
    return sentence


def _check_checker(where: str, spec: dict[str, Any]) -> None:
    try:
        read_checker(spec)
    except InputError as error:
        raise InputError(f"{where}: field 'checker': {error}") from error


def _comparison(row: Mapping[str, Any]) -> dict[str, Any]:
    """Field `comparison` of a row that has one, or that gives its parts as columns."""
    if row.get("comparison") is not None:
        return {"comparison": row["comparison"]}
    if "answer_a" not in row and "answer_b" not in row:
        return {}
    answers = {side: {"text": row.get(f"answer_{side}")} for side in ("a", "b")}
    said = {key: row[key] for key in ("label", "labeller") if row.get(key) not in (None, "")}
    return {"comparison": answers | said}


def _inline(seeds: Iterable[InlineSeed]) -> Iterator[Row]:
    for number, seed in enumerate(seeds):
        yield f"seeds.inline[{number}]", seed.model_dump(mode="json", exclude_defaults=True)


def read_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of any JSONL, CSV or Parquet file. Raises `InputError` naming file and line."""
    if path.suffix not in (".jsonl", ".csv", ".parquet"):
        raise InputError(f"{path}: files of rows end in .jsonl, .csv, .parquet")
    for _, row in _rows(path):
        yield row


def _rows(path: Path) -> Iterator[Row]:
    readers = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
    reader = readers.get(path.suffix)
    if reader is None:
        raise InputError(f"{path}: seeds files end in {', '.join(readers)}")
    try:
        yield from reader(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def _jsonl(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{path}: line {number}"
            if line.strip():
                row = _json(where, line.rstrip())
                if not isinstance(row, dict):
                    raise InputError(f"{where}: expected a JSON object, got {line.strip()!r:.80}")
                yield where, row


def _csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        try:
            for row in reader:
                where = f"{path}: line {reader.line_num}"
                if any(row.pop(None, ())):
                    raise InputError(
                        f"{where}: more cells than {len(row)} columns: put quotes around text with commas"
                    )
                yield where, {k: v for k, v in row.items() if k}
        except csv.Error as error:
            raise InputError(
                f"{path}: line {reader.line_num + 1}: not readable as CSV: {error}"
            ) from error


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow.lib
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}: row {number}", row
    except pyarrow.lib.ArrowInvalid as error:
        raise InputError(f"{path}: not readable as Parquet: {error}") from error


def _json(where: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{where}: not readable as JSON: {error.msg} (column {error.colno})"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not readable as JSON: {error}") from error
