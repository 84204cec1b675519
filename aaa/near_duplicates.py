"""Texts that say nearly the same in nearly the same words, found without comparing each with each.

MinHash signatures of overlapping pieces of text, banded so that only likely pairs meet (datasketch, MIT), and
then every pair that met is measured exactly, so that what is reported is true and only what is missed is
up to chance (about 1 in 300 at the default threshold). Broder 1997; LSH after Leskovec, Rajaraman and Ullman.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence

SHINGLE = 5
"""Characters of a piece: long enough that two texts on one subject share few, in any script."""
PERMUTATIONS = 128
THRESHOLD = 0.8
"""Share of pieces in common from which two texts count as nearly the same."""


def shingles(text: str) -> frozenset[str]:
    """The overlapping pieces of a text, its case, marks of punctuation and blanks left aside."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    plain = re.sub(r"[\W_]+", " ", plain).strip()
    if len(plain) <= SHINGLE:
        return frozenset((plain,)) if plain else frozenset()
    return frozenset(plain[i : i + SHINGLE] for i in range(len(plain) - SHINGLE + 1))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Pieces in common, as a share of all pieces of both; 0 where there are none."""
    return len(one & other) / len(one | other) if one or other else 0.0


def near_duplicates(
    texts: Mapping[str, str], threshold: float = THRESHOLD
) -> list[tuple[str, ...]]:
    """Groups of ids whose texts are nearly the same, directly or through others; each in the order given."""
    from datasketch import MinHash, MinHashLSH  # a second to import, and few commands need it

    pieces = {id: shingles(text) for id, text in texts.items()}
    pieces = {id: found for id, found in pieces.items() if found}
    index = MinHashLSH(threshold=max(0.1, threshold - 0.1), num_perm=PERMUTATIONS)
    leader = {id: id for id in pieces}
    for id, found in pieces.items():
        sketch = MinHash(num_perm=PERMUTATIONS)
        sketch.update_batch([piece.encode("utf-8", "surrogatepass") for piece in sorted(found)])
        for other in index.query(sketch):
            if jaccard(found, pieces[str(other)]) >= threshold:
                _join(leader, id, str(other))
        index.insert(id, sketch)
    return _groups(leader, list(pieces))


def _leader(leader: dict[str, str], id: str) -> str:
    while leader[id] != id:
        leader[id] = leader[leader[id]]
        id = leader[id]
    return id


def _join(leader: dict[str, str], one: str, other: str) -> None:
    leader[_leader(leader, one)] = _leader(leader, other)


def _groups(leader: dict[str, str], ids: Sequence[str]) -> list[tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for id in ids:
        found.setdefault(_leader(leader, id), []).append(id)
    return [tuple(group) for group in found.values() if len(group) > 1]
