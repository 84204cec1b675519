"""Rows that say nearly what an earlier one says: MinHash signatures, banded (datasketch, MIT).

As `aaa.near_duplicates`, but in one pass and without holding texts: the first of a group is kept, and what a
later row shares with it is estimated from their signatures (128 hashes: within 0.04 of the truth for two rows
in three). Memory grows with what is kept: the one gate that holds something of every record.
"""

from typing import Any

from aaa.near_duplicates import PERMUTATIONS, shingles
from aaa.records import Record


class Seen:
    """The rows that were kept."""

    def __init__(self, threshold: float) -> None:
        from datasketch import MinHashLSH  # a second to import, and few exports need it

        self._threshold = threshold
        self._index: Any = MinHashLSH(threshold=max(0.1, threshold - 0.1), num_perm=PERMUTATIONS)
        self._sketches: dict[int, Any] = {}

    def is_near(self, record: Record) -> bool:
        """Whether it is nearly an earlier one; else it is one of them from now on."""
        from datasketch import LeanMinHash, MinHash

        found = shingles(text_of(record))
        sketch = MinHash(num_perm=PERMUTATIONS)
        sketch.update_batch([piece.encode("utf-8", "surrogatepass") for piece in sorted(found)])
        for other in self._index.query(sketch):
            if sketch.jaccard(self._sketches[other]) >= self._threshold:
                return True
        place = len(self._sketches)
        self._sketches[place] = LeanMinHash(sketch)
        self._index.insert(place, sketch)
        return False


def text_of(record: Record) -> str:
    """All that a trainer learns from: the context and both answers."""
    context = (message["content"] for message in record["context"])
    return "\n".join((*context, record["chosen"]["text"], record["rejected"]["text"]))
