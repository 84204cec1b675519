"""Data that commands print: JSON that means the same and steers no terminal."""

import contextlib
import io
import json

from hypothesis import given

from aaa.commands.opening import show
from tests.helpers.hostile import HOSTILE, forbidden


@given(HOSTILE)
def test_data_is_whole_and_harmless(text: str) -> None:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        show({"said": text})
    assert json.loads(printed.getvalue()) == {"said": text}
    assert forbidden(printed.getvalue()) == []
    printed.getvalue().encode()
