"""What people write, read with care: YAML files, `key=value` on a command line, and values out of both.

An error names the file, the key and the valid choices.
"""

import copy
import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from aaa.errors import InputError
from aaa.types import Value
from aaa.wording import sentences

MAX_YAML_BYTES = 1_000_000
MOST_BITS = 256
"""Of a whole number; what is longer by far could not even be told."""
V = TypeVar("V", bound=Value)


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses duplicate keys and aliases (a billion laughs needs aliases)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.YAMLError(f"line {event.start_mark.line + 1}: aliases (*name) are not taken")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if not isinstance(key, str):
                raise _wrong(key_node, "a key must be a word")
            if key in seen:
                raise _wrong(key_node, f"key {key!r} stands twice")
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """What PyYAML makes of a scalar, or `YAMLError`: a month 13 and the like raise others."""
        try:
            found = super().construct_object(node, deep)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise _wrong(node, f"is no {node.tag.rpartition(':')[2]}") from error
        if isinstance(found, int) and found.bit_length() > MOST_BITS:
            raise _wrong(node, "a number is too large")
        return found


def _wrong(node: Any, what: str) -> yaml.YAMLError:
    return yaml.YAMLError(f"line {node.start_mark.line + 1}: {what}")


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises `InputError` naming file and line."""
    try:
        text = path.read_text("utf-8")
        if len(text) > MAX_YAML_BYTES:
            raise InputError(f"{path}: larger than {MAX_YAML_BYTES} bytes")
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path}: not readable as YAML: {_why(error)}") from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: expected keys and values, got {type(data).__name__}")
    return data


def _why(error: Exception) -> str:
    """What is wrong with YAML, and in which line."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split()) or "nested too deep"


def parse(kind: type[V], data: Mapping[str, Any], where: str) -> V:
    """`data` as a `kind`. Raises `InputError`: where, which key, what is wrong, what would be right."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        lines = sentences(kind, error)[:5]
        raise InputError("\n".join(f"{where}: {line}" for line in lines)) from error


def override(data: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with dotted keys replaced: `{"protocol.options.rounds": 2}`. Raises `InputError`."""
    result = copy.deepcopy(dict(data))
    for key, value in overrides.items():
        *path, last = key.split(".")
        place: Any = result
        for part in path:
            place = place.setdefault(part, {}) if isinstance(place, dict) else None
            if not isinstance(place, dict):
                raise InputError(f"override {key!r}: {part!r} has no keys below it")
        place[last] = value
    return result


def parse_setting(text: str) -> tuple[str, Any]:
    """`key=value` from a command line, the value read as YAML. Raises `InputError`."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"{text!r}: expected KEY=VALUE, such as protocol.options.rounds=2")
    try:
        return key.strip(), yaml.load(value, Loader=_Loader)  # noqa: S506 (a SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{key}: {value!r} is not readable as a YAML value") from error


def setting(key: str, value: Any) -> str:
    """What `parse_setting` reads as that key and value, quoted for a shell."""
    plain = isinstance(value, str) and parse_setting(f"{key}={value}") == (key, value)
    return shlex.quote(f"{key}={value if plain else json.dumps(value, ensure_ascii=False)}")
