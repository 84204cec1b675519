"""Deterministic chance and made-up prose: the same seed gives the same text on every machine.

Left out: grammar and meaning. The words are invented, so that no reply can be mistaken for a model's.
`random` is not used: what its methods draw may change between Python versions, hashes may not.
"""

import hashlib
import re
import struct

_TOKEN = re.compile(r"\s*(?:\w+|[^\w\s])|\s+")
_COMMON = (
    "the of and a to in is that for it as with on by this not are or from which but one be "
    "an at then each more if when so its than into only two because first also between"
).split()
_UNUSUAL = "naïve Größe façade čas água π≈3.14 東京 ответ “so” ≤ → ✓ 🙂 e\u0301lan".split()
_ONSETS = "b br c d dr f g gr h k l m n p pl qu r s st t tr v w z".split()
_VOWELS = "a e i o u ai ea io ou".split()
_ENDINGS = "n r s t l nd rt st m ck sh th ment tion ly".split()


def unit(*parts: str) -> float:
    """A number in [0, 1) that is fixed by the parts and looks random."""
    text = "\x1f".join(parts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") / 2**64


def numbers(seed: str, count: int) -> tuple[int, ...]:
    """`count` numbers in [0, 65536), fixed by the seed."""
    data = hashlib.shake_128(seed.encode("utf-8", "surrogatepass")).digest(2 * count)
    return struct.unpack(f"<{count}H", data)


def tokens(text: str) -> list[str]:
    """The text cut into what counts as tokens here; joined they are the text again."""
    return _TOKEN.findall(text)


def prose(seed: str, words: int) -> str:
    """About `words` invented words as sentences: a paragraph, two, bullets, or numbered steps."""
    style, *draws = numbers(seed, words + 1)
    size = len(VOCABULARY)
    drawn = [VOCABULARY[draw % size] for draw in draws]
    sentences: list[str] = []
    start = 0
    while start < words:
        end = min(words, start + 6 + draws[start] % 9)
        said = " ".join(drawn[start:end])
        sentences.append(f"{said[0].upper()}{said[1:]}.")
        start = end
    return _laid_out(sentences, style % 8)


def _laid_out(sentences: list[str], style: int) -> str:
    if style == 0:
        return "\n".join(f"- {sentence}" for sentence in sentences)
    if style == 1:
        return "\n".join(f"{n}. {sentence}" for n, sentence in enumerate(sentences, 1))
    if style == 2 and len(sentences) > 1:
        half = len(sentences) // 2
        return " ".join(sentences[:half]) + "\n\n" + " ".join(sentences[half:])
    return " ".join(sentences)


def _vocabulary() -> tuple[str, ...]:
    """Two thirds invented, one third common words, here and there one beyond ASCII."""
    draws = numbers("vocabulary", 6 * 1024)
    invented = [
        _ONSETS[a % len(_ONSETS)]
        + _VOWELS[b % len(_VOWELS)]
        + (_ONSETS[c % len(_ONSETS)] + _VOWELS[d % len(_VOWELS)] if e % 2 else "")
        + _ENDINGS[f % len(_ENDINGS)]
        for a, b, c, d, e, f in zip(*[iter(draws)] * 6, strict=True)
    ]
    common = [_COMMON[n % len(_COMMON)] for n in range(500)]
    return (*invented, *common, *_UNUSUAL)


VOCABULARY = _vocabulary()
