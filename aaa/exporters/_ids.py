"""Ids of rows that are no pairs: same content, same id, and by the id alone the session can be found again.

An id is a letter of its format, a mark of the seed and a hash of the content. Sessions are looked up by the
mark, since the hash tells nothing of where it came from.
"""

import hashlib
import re

from aaa.types import fingerprint

MARK = 8
"""Hexadecimal digits of a seed's mark."""
_ID = re.compile(rf"[a-z]([0-9a-f]{{{MARK}}})[0-9a-f]{{{23 - MARK}}}")


def row_id(letter: str, seed: str, content: object) -> str:
    """Id of a row that a session of that seed gave, 24 characters."""
    return letter + mark_of(seed) + fingerprint(content)[: 23 - MARK]


def mark_of(seed: str) -> str:
    """The mark of a seed's id: the beginning of its SHA-256."""
    return hashlib.sha256(seed.encode("utf-8", "surrogatepass")).hexdigest()[:MARK]


def mark_in(id: str) -> str | None:
    """The seed's mark in a row's id; `None`: it is no such id."""
    found = _ID.fullmatch(id)
    return found[1] if found else None
