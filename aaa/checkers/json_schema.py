"""`json_schema`: the answer is JSON that fits a schema (JSON Schema 2020-12, by the `jsonschema` package).

Strict where readers differ: no key twice, no `NaN`, nothing around it. References stay inside the schema:
nothing is fetched. Patterns in the schema have a time limit, and so has the whole check. Left out:
`format`, which the standard leaves to its reader.
"""

import json
import re
import time
from collections.abc import Iterator
from typing import Any, Literal

import jsonschema  # type: ignore[import-untyped]
import referencing
from pydantic import Field, field_validator

from aaa.checkers.regex import compiled, found
from aaa.errors import CheckError
from aaa.types import Check, Value

TIME_S = 2.0
"""CPU time of one check, beside that of its patterns."""
DEEPEST = 60
"""Levels of nesting that are read, in schema and answer."""
_NO_FORMATS = jsonschema.FormatChecker(formats=())
_BLOCK = re.compile(
    r"^ {0,3}```[ \t]*(?:json|JSON)?[ \t]*\n(.*?)^ {0,3}```", re.MULTILINE | re.DOTALL
)


class Options(Value):
    schema_: dict[str, Any] | bool = Field(alias="schema")
    """The JSON Schema."""
    where: Literal["whole", "block"] = "whole"
    """`whole`: the answer is JSON and nothing else; `block`: its last fenced block is, where it has one."""

    @field_validator("schema_")
    @classmethod
    def _is_a_schema(cls, schema: dict[str, Any] | bool) -> dict[str, Any] | bool:
        if depth(schema) > DEEPEST:
            raise ValueError(f"nested deeper than {DEEPEST} levels")
        try:
            jsonschema.Draft202012Validator.check_schema(schema, _NO_FORMATS)
        except jsonschema.SchemaError as error:
            raise ValueError(
                f"not a JSON Schema: {error.message:.200} at {error.json_path}"
            ) from error
        every = list(_keywords(schema))
        for key, value in every:
            _check_keyword(key, value)
        if {"unevaluatedProperties", "patternProperties"} <= {key for key, _ in every}:
            raise ValueError("'unevaluatedProperties' with 'patternProperties' has no time limit")
        return schema


def check(answer: str, options: Options) -> Check:
    text = answer
    if options.where == "block" and (blocks := _BLOCK.findall(answer)):
        text = blocks[-1]
    try:
        read = json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except RecursionError:
        return Check(score=0, why=f"nested deeper than {DEEPEST} levels")
    except ValueError as error:
        return Check(score=0, why=f"not JSON: {error}")
    if depth(read) > DEEPEST:
        return Check(score=0, why=f"nested deeper than {DEEPEST} levels")
    return _validated(read, options.schema_)


def _validated(read: object, schema: dict[str, Any] | bool) -> Check:
    validator = _validator(time.thread_time() + TIME_S)(schema, registry=referencing.Registry())
    try:
        wrong = next(validator.iter_errors(read), None)
    except RecursionError as error:
        raise CheckError("broken", "the schema refers to itself without end") from error
    except referencing.exceptions.Unresolvable as error:
        raise CheckError(
            "broken", f"the schema refers to what it does not hold: {error}"
        ) from error
    if wrong is None:
        return Check(score=1, why="it fits the schema")
    return Check(score=0, why=f"at {wrong.json_path}: {wrong.message[:300]}")


def depth(value: object) -> int:
    """Levels of lists and mappings; beyond `DEEPEST` it stops counting."""
    levels, inside = 0, [value]
    while inside and levels <= DEEPEST:
        inside = [
            inner
            for outer in inside
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        levels += bool(inside)
    return levels


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return read


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _keywords(schema: object) -> Iterator[tuple[str, object]]:
    """Every key of every object in the schema. `const` and `enum` hold data, not keywords."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            yield key, value
            if key not in ("const", "enum", "default", "examples"):
                yield from _keywords(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _keywords(value)


def _check_keyword(key: str, value: object) -> None:
    if key in ("$ref", "$dynamicRef") and isinstance(value, str) and not value.startswith("#"):
        raise ValueError(f"{key} {value!r} leads out of the schema; only '#…' is followed")
    if key == "pattern" and isinstance(value, str):
        compiled(value)
    if key == "patternProperties" and isinstance(value, dict):
        for pattern in value:
            compiled(pattern)


Rule = Iterator[Any]
"""Errors of one keyword."""


def _validator(until: float) -> Any:
    """The 2020-12 validator with limits: patterns and the whole of it in time, comparisons not quadratic."""
    plain = jsonschema.Draft202012Validator

    def timed(keyword: str) -> Any:
        rule = plain.VALIDATORS[keyword]

        def limited(validator: Any, value: Any, instance: Any, schema: Any) -> Rule:
            if time.thread_time() > until:
                raise CheckError("timeout", f"the schema ran past {TIME_S:g} s on this answer")
            return iter(rule(validator, value, instance, schema) or ())

        return limited

    rules = {keyword: timed(keyword) for keyword in plain.VALIDATORS}
    rules |= {
        "pattern": _pattern,
        "patternProperties": _properties,
        "additionalProperties": _additional,
        "uniqueItems": _unique,
    }
    return jsonschema.validators.extend(plain, rules)


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Rule:
    if isinstance(instance, str) and not found(pattern, instance):
        yield jsonschema.ValidationError(f"{instance[:80]!r} does not match {pattern!r}")


def _properties(validator: Any, patterns: dict[str, Any], instance: Any, _: Any) -> Rule:
    if isinstance(instance, dict):
        for pattern, schema in patterns.items():
            for key in [key for key in instance if found(pattern, key)]:
                yield from validator.descend(instance[key], schema, path=key, schema_path=pattern)


def _additional(validator: Any, allowed: Any, instance: Any, schema: dict[str, Any]) -> Rule:
    if not isinstance(instance, dict):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for key, value in instance.items():
        if key not in known and not any(found(pattern, key) for pattern in patterns):
            if allowed is False:
                yield jsonschema.ValidationError(f"{key[:80]!r} is not one of its properties")
            else:
                yield from validator.descend(value, allowed, path=key)


def _unique(_: Any, wanted: bool, instance: Any, __: Any) -> Rule:
    if wanted and isinstance(instance, list):
        keys = [json.dumps(_canonical(item), sort_keys=True) for item in instance]
        if len(set(keys)) < len(keys):
            yield jsonschema.ValidationError("an item stands twice")


def _canonical(value: Any) -> Any:
    """The value with whole floats as integers: `1.0` and `1` are equal in JSON Schema."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _canonical(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_canonical(inner) for inner in value]
    return value
