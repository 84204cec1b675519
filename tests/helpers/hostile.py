"""Hostile text, and what must never reach a terminal."""

import re
import unicodedata

from hypothesis import strategies as st

OUR_OWN = re.compile(r"\x1b\[[0-9;]*m")
BIDI = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C}
HOSTILE = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(
            "\x1b\x07\x08\x0b\r\x7f\x85\x9b\x9d\u200b\u200d\u202e\u2066\ufeff\u2028\ud800[]"
        ),
        st.sampled_from("ab あ🚀\u0301\U000e0041\ufe0f"),
    ),
    max_size=60,
)


def forbidden(text: str, allowed: str = "\n") -> list[str]:
    """Characters that could do something to a terminal."""
    return [
        hex(ord(char))
        for char in text
        if char not in allowed
        and (unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")
             or ord(char) in BIDI
             or 0xE0000 <= ord(char) <= 0xE0FFF
             or char in "\u200b\ufeff\u2060\u00ad")
    ]  # fmt: skip
