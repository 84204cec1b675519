"""What the client says an answer holds is what the API answers."""

from datetime import datetime
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel

from aaa.api.shapes import SessionShape
from aaa.client import shapes
from aaa.client.shapes import Json
from aaa.store.reading import SessionSummary
from aaa.store.rounds import Round


def as_json(kind: Any) -> Any:
    """What a value of that type is once it went over the wire."""
    if get_origin(kind) in (Union, UnionType):
        return Union[tuple(map(as_json, get_args(kind)))]  # noqa: UP007 (of types known now)
    if get_origin(kind) is not None and kind != Json:
        return get_origin(kind)[tuple(map(as_json, get_args(kind)))]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return Json
    return str if kind is datetime else kind


@pytest.mark.parametrize(
    ("told", "answered"),
    [
        (shapes.Round, Round),
        (shapes.SessionRow, SessionSummary),
        (shapes.Session, SessionShape),
    ],
)
def test_fields_and_types_are_those_of_the_answer(told: Any, answered: type[BaseModel]) -> None:
    fields = {name: as_json(kind) for name, kind in get_type_hints(answered).items()}
    assert get_type_hints(told) == {name: fields[name] for name in answered.model_fields}
