"""Acceptance tests start real processes; each has a home of its own."""

from collections.abc import Iterator

import pytest

from tests.acceptance.processes import Home, new_home


@pytest.fixture
def home() -> Iterator[Home]:
    with new_home() as place:
        yield place
