"""Whether a pair holds what an evaluation asks: so many words in a row that stand in one of its files.

GPT-3 took 13 words, Tülu 3 took 8. An evaluation's text of fewer words is looked for whole, unless it is so
short that anyone may have said it. Runs of words miss a paraphrase (2311.04850): where an embedder is
installed, `Neighbours` finds a question that is near one of an evaluation's. Left out: asking a model then.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b

from aaa.records import Record

SHORTEST = 5
"""Words, at least, of what is looked for."""
_WORD = re.compile(r"\w+")


class Evaluations:
    """What evaluations hold, as hashes of runs of `n` words; of shorter texts, the whole."""

    def __init__(self, texts: Iterable[str], n: int) -> None:
        self._n = n
        self._runs: dict[int, set[bytes]] = {}
        for text in texts:
            words = words_of(text)
            size = min(n, len(words))
            if size >= min(SHORTEST, n):
                self._runs.setdefault(size, set()).update(_runs(words, size))

    def holds(self, record: Record) -> bool:
        """Whether its context or one of its answers has a run in common."""
        return any(self._in(words_of(text)) for text in _texts(record))

    def _in(self, words: Sequence[str]) -> bool:
        return any(
            not known.isdisjoint(_runs(words, size))
            for size, known in self._runs.items()
            if len(words) >= size
        )


class Neighbours:
    """What evaluations hold, as vectors: a question near one of them may be the same in other words."""

    def __init__(self, texts: Iterable[str], least: float) -> None:
        """`least`: cosine from which two texts are near. Raises `SetupError` without an embedder."""
        from aaa.embedding import embed

        self._embed, self._least = embed, least
        known = dict.fromkeys(text for text in texts if len(words_of(text)) >= SHORTEST)
        self._vectors = embed(list(known)) if known else None

    def holds(self, record: Record) -> bool:
        """Whether one of its users' messages is near."""
        asked = [m["content"] for m in record["context"] if m["role"] == "user"]
        if self._vectors is None or not asked:
            return False
        return bool((self._embed(asked) @ self._vectors.T).max() >= self._least)


def _texts(record: Record) -> Iterator[str]:
    for message in record["context"]:
        yield message["content"]
    yield record["chosen"]["text"]
    yield record["rejected"]["text"]


def words_of(text: str) -> list[str]:
    """Its words, without case, marks and forms of letters."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def _runs(words: Sequence[str], size: int) -> Iterator[bytes]:
    for first in range(len(words) - size + 1):
        run = " ".join(words[first : first + size])
        yield blake2b(run.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def texts_of(rows: Iterable[Mapping[str, object]]) -> Iterator[str]:
    """Every text of an evaluation's rows, however deep."""
    for row in rows:
        yield from _strings(row)


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _strings(one)
