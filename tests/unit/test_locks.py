"""The locks name versions and hashes alone, agree with each other, and keep what a GPU needs out of tests."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-trainers.lock")
_PINNED = re.compile(r"([a-z0-9.\-]+(?:\[[a-z,]+\])?)==(\S+)(?: ; (.+?))? \\")


def pins(lock: str) -> dict[tuple[str, str], str]:
    """(package, marker) -> version."""
    found = map(_PINNED.fullmatch, (ROOT / lock).read_text("utf-8").splitlines())
    return {(m[1], m[3] or ""): m[2] for m in found if m is not None}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_place(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    assert "://" not in text
    assert "index-url" not in text
    assert text.count("==") >= len(pins(lock)) > 40


def test_the_trainers_lock_changes_nothing_else() -> None:
    """It is installed into the same environment, without dependencies."""
    dev = pins("requirements-dev.lock")
    versions = {name: {dev[key] for key in dev if key[0] == name} for name, _ in dev}
    for (name, _), version in pins("requirements-trainers.lock").items():
        assert version in versions.get(name, {version}), name


def test_trainers_bring_nothing_for_a_gpu() -> None:
    """torch by its own name would bring gigabytes; it is installed by itself (Makefile)."""
    named = {name for name, _ in pins("requirements-trainers.lock")}
    assert {"trl", "datasets", "axolotl", "llamafactory"} <= named
    assert not [n for n in named if n.startswith(("nvidia", "cuda")) or n in ("torch", "triton")]
