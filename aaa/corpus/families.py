"""Which part of a split a seed is in: by its family, so evolved seeds stay with the seed they came from."""

import hashlib
from typing import Literal


def part_of(family: str, test_share: float) -> Literal["train", "test"]:
    """The same for ever, whatever else is exported: the hash of the family's name decides."""
    return "test" if share_of(family) < test_share else "train"


def share_of(text: str) -> float:
    """A text's own number in [0, 1), as if drawn."""
    return (
        int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8]) / 2**64
    )
