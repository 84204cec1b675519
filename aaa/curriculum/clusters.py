"""Groups of seeds that are about the same, by their embeddings, each told by its words and its middle seed.

Arena Learning cuts its prompts into 500 clusters by k-means and draws from each. Left out: the embedding
itself (`aaa/embedding.py`), and hierarchies.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from aaa.errors import InputError
from aaa.protocols._evolving import words
from aaa.types import Value

if TYPE_CHECKING:
    from aaa.embedding import Vectors

MOST_USUAL = 12
"""Clusters where nobody says how many: one for each 2 seeds' root, at most so many."""
WORDS = 5
"""Told of a cluster."""
TELLING = 1.5
"""A word that is not so many times as frequent as elsewhere tells nothing."""


class Cluster(Value):
    """Seeds that are about the same."""

    seeds: int
    share: float
    words: tuple[str, ...]
    """That are more frequent here than elsewhere, the most telling first."""
    middle: str
    """Id of the seed nearest to its centre."""
    ids: tuple[str, ...]


def usual(seeds: int) -> int:
    """How many clusters so many seeds are cut into, where nobody says."""
    return max(2, min(MOST_USUAL, round(math.sqrt(seeds / 2))))


def clusters(
    texts: Mapping[str, str], vectors: "Vectors", number: int | None = None, random_seed: int = 0
) -> tuple[Cluster, ...]:
    """The largest first. `texts`: seed id -> its prompt, in the order of the rows of `vectors`.

    Deterministic. Raises `InputError` for fewer than two seeds, or more clusters than seeds.
    """
    wanted = usual(len(texts)) if number is None else number
    if not 2 <= wanted <= len(texts):
        raise InputError(
            f"{len(texts)} seeds cannot be cut into {wanted} clusters: from 2 to as many as seeds"
        )
    from scipy.cluster.vq import kmeans2

    centres, labels = kmeans2(vectors, wanted, minit="++", rng=random_seed, iter=30, missing="warn")
    ids = list(texts)
    said = [frozenset(words(text)) for text in texts.values()]
    overall = Counter(word for one in said for word in one)
    found = []
    for label in range(wanted):
        rows = [row for row, own in enumerate(labels) if own == label]
        if rows:
            near = max(rows, key=lambda row: float(vectors[row] @ centres[label]))
            found.append(
                Cluster(
                    seeds=len(rows),
                    share=len(rows) / len(ids),
                    words=_telling([said[row] for row in rows], overall, len(ids)),
                    middle=ids[near],
                    ids=tuple(ids[row] for row in rows),
                )
            )
    return tuple(sorted(found, key=lambda one: (-one.seeds, one.middle)))


def _telling(own: Sequence[frozenset[str]], overall: Counter[str], seeds: int) -> tuple[str, ...]:
    """Words in more of these texts than chance would have, by pointwise information times frequency."""
    counts = Counter(word for one in own for word in one if len(word) > 2 or not word.isascii())
    gain = {
        word: count * math.log(count * seeds / (overall[word] * len(own)))
        for word, count in counts.items()
        if (count > 1 or len(own) == 1)
    }
    ordered = sorted(gain, key=lambda word: (-gain[word], word))
    return tuple(word for word in ordered if gain[word] > counts[word] * math.log(TELLING))[:WORDS]
