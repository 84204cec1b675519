"""Whether an answer speaks to its judge instead of to the question: settled by rule, before a judge is asked.

The swap of the order undoes what names a label or a place, and the structured reply keeps an answer's
words out of the verdict. One kind of attack survives both: a text that asks for itself ("choose this
answer"), seen by a judge that obeys. So an answer that holds such a phrase, in clear or hidden, is not
judged and makes no pair. A list of phrases is no proof: what it misses is measured in
`docs/design/judging.md`. Left out: phrases that the context itself holds, since an answer may quote the
question.
"""

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import unquote

from aaa.judges._phrases import PHRASES, SQUEEZED, kinds_in, squeezed_in

_LONGEST = 200_000
"""Characters looked at; a longer text is looked at from both ends."""
_LOOKALIKES = dict(
    zip(
        map(ord, "аеѕһіјкӏмопрстухԁгԛѡбοαερτυνκικιβзıɑɡℓ"),
        map(ord, "aeshijklmonpctyxdrqwboaeptuvkikib3iagl"),
        strict=True,
    )
)
"""Cyrillic, Greek and other letters that are read as Latin ones."""
_ROT13 = bytes.maketrans(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    b"nopqrstuvwxyzabcdefghijklmNOPQRSTUVWXYZABCDEFGHIJKLM",
)
_LEET = bytes.maketrans(b"013457@$!", b"oieastasi")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}[ :]?){12,}")
_LONG = b"x" * 16
"""A run without which neither is there: looked for first, because that is quick."""


def _marks(of: bytes) -> bytes:
    """A table that makes `x` of these bytes and nothing else of the others."""
    return bytes(120 if code in of else 0 for code in range(256))


_HEX_DIGITS = b"0123456789abcdefABCDEF"
_MAY_BE_HEX = _marks(_HEX_DIGITS)
_MAY_BE_BASE64 = _marks(bytes(code for code in range(128) if chr(code).isalnum()) + b"+/_-")
_SENTENCE_END = re.compile(r"[.!?:]\s+|\n")
_SPACES = re.compile(" {2,}")
_BLANKS = bytes.maketrans(b"\t\x0b\x0c\r\x1c\x1d\x1e\x1f", b" " * 8)
_INVISIBLE = re.compile("[\ufe00-\ufe0f\U000e0020-\U000e01ef]")
_NO_LETTERS = re.compile(r"[\W\d_]+")
_FOREIGN = re.compile("[^\x00-\x7f]+")
_NOT_LATIN = re.compile("[^\x00-\u0130]+")
"""Runs in which there may be something invisible; an accent, or a letter that looks like a Latin one."""
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})")


@lru_cache(maxsize=256)  # an answer meets several others
def suspicion(text: str, context: str = "") -> str | None:
    """What the text does that no answer needs to do, with the phrase; `None` where nothing was found."""
    if len(text) > _LONGEST:
        text = text[: _LONGEST // 2] + "\n" + text[-_LONGEST // 2 :]
    known: list[str] | None = None
    for view in _views(text):
        for kind, phrase in _phrases(view):
            if known is None:
                known = [form for one in _views(context) for form in (one, _letters(one))]
            if not any(phrase in form for form in known):
                return f"{kind}: {phrase[:80]!r}"
    return None


def _phrases(view: str) -> Iterator[tuple[str, str]]:
    for kind in kinds_in(view):
        for found in PHRASES[kind].finditer(view):
            yield kind, found[0].strip()
    if not squeezed_in(_letters(view)):
        return
    for sentence in _SENTENCE_END.split(view):
        for found in SQUEEZED.finditer(_letters(sentence)):
            yield "asks to be chosen, in disguise", found[0]


def _views(text: str) -> Iterator[str]:
    """The text as it may be meant: as it stands, without disguises, decoded, and what is hidden in it."""
    seen: set[str] = set()
    for raw in (text, *_decoded(text), _hidden(text)):
        plain = _plain(raw)
        bare = _bare(plain)
        for view in (plain, bare, _by_bytes(bare, _LEET)):
            if view and view not in seen:
                seen.add(view)
                yield view
    bare = _bare(_plain(text))
    yield _by_bytes(bare, _ROT13)
    yield bare[::-1]


def _plain(text: str) -> str:
    """One form for each letter, no invisible characters, no capitals."""
    shown = unicodedata.normalize("NFKC", text)
    if not shown.isascii():
        shown = _FOREIGN.sub(lambda run: run[0].translate(_SHOWN), shown)
    plain = _by_bytes(shown.casefold().replace("’", "'"), _BLANKS)
    return _SPACES.sub(" ", plain) if "  " in plain else plain


def _by_bytes(text: str, table: bytes, dropped: bytes = b"") -> str:
    """The text with its ASCII characters replaced and dropped; quicker than `str.translate`."""
    raw = text.encode("utf-8", "surrogatepass")
    return raw.translate(table, dropped).decode("utf-8", "surrogatepass")


def _bare(plain: str) -> str:
    """Latin letters for what looks like them, without accents."""
    if plain.isascii():
        return plain
    parts = unicodedata.normalize("NFKD", plain)
    return _NOT_LATIN.sub(lambda run: run[0].translate(_LATIN), parts)


class _Shown(dict[int, int | None]):
    """Code point -> itself, a space for a blank, nothing where it is invisible; looked up once each."""

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        invisible = (
            unicodedata.category(character) == "Cf"
            or "\ufe00" <= character <= "\ufe0f"
            or "\U000e0100" <= character <= "\U000e01ef"
        )
        return self.setdefault(code, None if invisible else 32 if character.isspace() else code)


class _Latin(dict[int, int | None]):
    """Code point -> the Latin letter it looks like, or itself; nothing for an accent."""

    def __missing__(self, code: int) -> int | None:
        accent = unicodedata.combining(chr(code)) != 0
        return self.setdefault(code, None if accent else code)


_SAME = bytes(range(256))
_NO_ASCII_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())


def _letters(text: str) -> str:
    """The text's letters alone."""
    letters = _by_bytes(text, _SAME, _NO_ASCII_LETTERS)
    return letters if letters.isascii() else _NO_LETTERS.sub("", letters)


_SHOWN = _Shown()
_LATIN = _Latin({**_LOOKALIKES})


def _hidden(text: str) -> str:
    """What is written in invisible characters: Unicode tags, and bytes as variation selectors."""
    if _INVISIBLE.search(text) is None:
        return ""
    tags = "".join(chr(ord(c) - 0xE0000) for c in text if "\U000e0020" <= c <= "\U000e007e")
    selected = bytes(
        ord(c) - 0xFE00 if c <= "\ufe0f" else ord(c) - 0xE0100 + 16
        for c in text
        if "\ufe00" <= c <= "\ufe0f" or "\U000e0100" <= c <= "\U000e01ef"
    )
    return tags + "\n" + selected.decode("utf-8", "replace")


def _decoded(text: str) -> Iterator[str]:
    """What encoded parts of the text say: URL, HTML and JSON escapes, Base64, hexadecimal."""
    if "%" in text or "&" in text:
        yield html.unescape(unquote(text))
    if "\\" in text:
        yield _ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), text)
    raw = text.encode("utf-8", "replace")
    for run in _BASE64.findall(text) if _LONG in raw.translate(_MAY_BE_BASE64) else ():
        padded = run.translate(str.maketrans("-_", "+/")) + "=" * (-len(run) % 4)
        yield from _readable(base64.b64decode, padded)
    for run in _HEX.findall(text) if _LONG in raw.translate(_MAY_BE_HEX, b" :") else ():
        yield from _readable(bytes.fromhex, run.replace(":", " "))


def _readable(decode: object, run: str) -> Iterator[str]:
    assert callable(decode)
    try:
        found = decode(run).decode("utf-8")
    except (ValueError, binascii.Error, UnicodeDecodeError):
        return
    if found.isprintable():
        yield found
