"""Packages of trainers and readers: a test that needs one is skipped, or fails, where it is not there."""

import importlib
import os
from typing import Any

import pytest

REQUIRED = "AAA_REQUIRE_TRAINERS"
"""Environment variable that `make test` sets: a missing package then fails a test instead of skipping it."""


def needed(module: str) -> Any:
    """That module of a trainer or reader; without it the test is skipped, or fails where it is required."""
    if os.environ.get(REQUIRED):
        return importlib.import_module(module)
    package = module.split(".")[0]
    return pytest.importorskip(
        module, reason=f"{package} is not installed: make setup-trainers", exc_type=ImportError
    )
