"""Every promise of `docs/reliability.md` in a small, seeded size; `make chaos` has the full ones."""

import pytest

from tests.chaos.every import PROMISES
from tests.chaos.promise import Promise, prove


@pytest.mark.timeout(900)  # a busy machine starts Ray slowly, and this does so often
@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.id)
def test_promise(promise: Promise) -> None:
    proof = prove(promise, promise.small)
    assert proof.outcome.holds, proof.told()
