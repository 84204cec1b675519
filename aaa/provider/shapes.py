"""JSON that fits a JSON Schema, filled from a seed, or by a judge's opinion where it has one.

Covers what structured output knows: enum, const, the seven types, `$ref`, anyOf/oneOf/allOf, bounds of
numbers, strings and arrays, common formats. Left out: `pattern`, `not`, conditionals, free-form keys.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from aaa.provider.words import prose, unit

Opinion = Callable[[tuple[str, ...], Mapping[str, Any]], Any]
"""(path of property names, schema) -> the value wanted there, or `None` for no opinion."""

_DEEP = 6
_FORMATS = {
    "date": "2025-01-{day:02d}",
    "date-time": "2025-01-{day:02d}T12:00:00Z",
    "time": "12:00:{day:02d}Z",
    "email": "someone{day}@example.com",
    "uri": "https://example.com/{day}",
    "uuid": "00000000-0000-4000-8000-0000000000{day:02d}",
}


def fitting(schema: Mapping[str, Any], seed: str, words: int, opinion: Opinion) -> Any:
    """A value for the schema; strings have about `words` words."""
    return _Filler(schema, words, opinion).value(schema, seed, ())


class _Filler:
    """One filling: the root schema (for `$ref`), the length of strings, and the opinion."""

    def __init__(self, root: Mapping[str, Any], words: int, opinion: Opinion) -> None:
        self._root = root
        self._words = words
        self._opinion = opinion

    def value(self, schema: Any, seed: str, path: tuple[str, ...]) -> Any:
        schema = self._resolved(schema, seed)
        wanted = self._opinion(path, schema)
        if wanted is not None:
            return wanted
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return _one_of(schema["enum"], seed)
        make: Callable[[Mapping[str, Any], str], Any] | None = {
            "string": self._string,
            "integer": _integer,
            "number": _number,
            "boolean": _boolean,
            "array": lambda s, k: self._array(s, k, path),
            "object": lambda s, k: self._object(s, k, path),
        }.get(_type(schema, seed))
        return make(schema, seed) if make else None

    def _resolved(self, schema: Any, seed: str) -> Mapping[str, Any]:
        """The schema without `$ref`, `allOf` and alternatives."""
        for _ in range(32):
            if not isinstance(schema, Mapping):
                return {}
            rest = {k: v for k, v in schema.items() if k not in ("$ref", "allOf", "anyOf", "oneOf")}
            if isinstance(schema.get("$ref"), str):
                schema = rest | dict(self._target(schema["$ref"]))
            elif schema.get("allOf"):
                for part in schema["allOf"]:
                    rest |= self._resolved(part, seed)
                schema = rest
            elif alternatives := schema.get("anyOf") or schema.get("oneOf"):
                schema = rest | dict(self._resolved(_one_of(alternatives, seed), seed))
            else:
                return schema
        return {}

    def _target(self, reference: str) -> Mapping[str, Any]:
        found: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            found = found.get(step, {}) if isinstance(found, Mapping) else {}
        return found if isinstance(found, Mapping) else {}

    def _string(self, schema: Mapping[str, Any], seed: str) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]].format(day=1 + int(unit(seed) * 28))
        least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
        text = prose(seed, max(1, int(self._words * (0.5 + unit(seed) / 2))))
        while len(text) < least:
            text += " " + text
        return text if most is None else text[: int(most)]

    def _array(self, schema: Mapping[str, Any], seed: str, path: tuple[str, ...]) -> list[Any]:
        fixed = list(schema.get("prefixItems", []))
        least = int(schema.get("minItems", min(1, len(path) < _DEEP)))
        most = max(least, int(schema.get("maxItems", least + 2 if len(path) < _DEEP else least)))
        if fixed and not schema.get("items"):
            most = len(fixed)
        count = max(len(fixed), least + int(unit(seed, "length") * (most - least + 1)))
        found: list[Any] = []
        for n in range(20 * count):  # more than `count`: drawn again where items must differ
            kind = fixed[len(found)] if len(found) < len(fixed) else schema.get("items", {})
            item = self.value(kind, f"{seed}/{n}", (*path, str(len(found))))
            if not (schema.get("uniqueItems") and item in found):
                found.append(item)
            if len(found) == count:
                break
        return found

    def _object(self, schema: Mapping[str, Any], seed: str, path: tuple[str, ...]) -> Any:
        properties: Mapping[str, Any] = schema.get("properties", {})
        required = schema.get("required", ())
        return {
            name: self.value(inner, f"{seed}/{name}", (*path, name))
            for name, inner in properties.items()
            if name in required or len(path) < _DEEP
        }


def bounds(schema: Mapping[str, Any], step: float) -> tuple[float, float]:
    """Least and greatest number that the schema allows; `step` keeps away from exclusive bounds."""
    least = schema.get("minimum")
    if "exclusiveMinimum" in schema:
        least = schema["exclusiveMinimum"] + step
    most = schema.get("maximum")
    if "exclusiveMaximum" in schema:
        most = schema["exclusiveMaximum"] - step
    if least is None:
        least = 0 if most is None or most >= 0 else most - 10
    return float(least), float(most if most is not None else max(least, 0) + 10)


def scaled(schema: Mapping[str, Any], share: float) -> float | int:
    """The number at `share` (0 to 1) of what the schema allows."""
    whole = schema.get("type") == "integer"
    least, most = bounds(schema, 1 if whole else 1e-6)
    step = schema.get("multipleOf", 1 if whole else None)
    if step is None:
        return round(least + share * (most - least), 6)
    low, high = math.ceil(least / step), math.floor(most / step)
    number = min(high, low + int(share * (high - low + 1))) * step
    return int(number) if whole else number


def _integer(schema: Mapping[str, Any], seed: str) -> float | int:
    return scaled({**schema, "type": "integer"}, unit(seed))


def _number(schema: Mapping[str, Any], seed: str) -> float | int:
    return scaled(schema, unit(seed))


def _boolean(schema: Mapping[str, Any], seed: str) -> bool:
    return unit(seed) < 0.5


def _type(schema: Mapping[str, Any], seed: str) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return str(_one_of([one for one in kind if one != "null"] or ["null"], seed))
    if kind is None:
        return "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(kind)


def _one_of(items: Any, seed: str) -> Any:
    return items[int(unit(seed, "which") * len(items))]
