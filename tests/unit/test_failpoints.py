"""Failpoints: each name is a point that some process passes."""

import re
from pathlib import Path

import aaa
from aaa.failpoints import NAMES


def test_every_point_is_somewhere() -> None:
    code = "".join(p.read_text("utf-8") for p in Path(aaa.__file__).parent.rglob("*.py"))
    passed = set(re.findall(r'\bhit(?:_soon)?\("([^"]+)"', code))
    assert passed == set(NAMES)
