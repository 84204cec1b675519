"""Fields of an event's JSON, read so that a wrong or missing one never stops the show."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def text(data: Mapping[str, Any], key: str) -> str:
    """A string; `""` where there is none."""
    value = data.get(key)
    return value if isinstance(value, str) else "" if value is None else str(value)


def number(data: Mapping[str, Any], key: str) -> float | None:
    """A number; `None` where there is none."""
    value = data.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 1e15 else None


def count(data: Mapping[str, Any], key: str) -> int:
    """A whole number; 0 where there is none."""
    return int(number(data, key) or 0)


def moment(data: Mapping[str, Any], key: str) -> float | None:
    """An ISO 8601 time as epoch seconds; `None` where there is none."""
    try:
        return datetime.fromisoformat(text(data, key)).timestamp()
    except (ValueError, OverflowError):
        return None


def mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An object; `{}` where there is none."""
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def rows(data: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """A list of objects; `[]` where there is none."""
    value = data.get(key)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
