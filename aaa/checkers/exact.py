"""`exact`: the answer is one of the accepted texts, to the letter or after normalising both.

Left out: matching inside a longer answer (`regex` does that).
"""

import re
import unicodedata

from pydantic import Field

from aaa.types import Check, Value

_INVISIBLE = re.compile("[\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_OUTER = " .!?,;:\"'`*“”„‘’«»。！？、"


class Options(Value):
    value: str | tuple[str, ...] = Field(min_length=1)
    """The accepted text, or several of them."""
    normalise: bool = False
    """Case, outer punctuation, runs of space, look-alike forms (NFKC) and invisible marks do not count."""


def check(answer: str, options: Options) -> Check:
    accepted = (options.value,) if isinstance(options.value, str) else options.value
    read = normalised if options.normalise else str
    if read(answer) in {read(text) for text in accepted}:
        return Check(score=1, why="it is an accepted text")
    return Check(score=0, why=f"{answer[:80]!r} is not {' or '.join(map(repr, accepted))}")


def normalised(text: str) -> str:
    """The text without what does not count."""
    folded = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    return " ".join(folded.split()).strip(_OUTER)
