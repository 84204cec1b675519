"""Style features: counted outside code, antisymmetric, whatever the text holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.style import FEATURES, contrast, features, without_code

MARKDOWN = """# Title
Some **bold** and __more of it__.

- one
* two
+ three
  1. four
2) five
### Sub
"""


def test_every_kind_is_counted() -> None:
    assert dict(zip(FEATURES, features(MARKDOWN), strict=True)) == {
        "length": len(MARKDOWN),
        "lists": 5,
        "headers": 2,
        "bold": 2,
    }


@pytest.mark.parametrize(
    "text",
    [
        "#hashtag, 3.14 and 2 * 3 * 4",
        "-5 degrees\n*emphasis* alone",
        "a - b\nminus - sign",
        "####### seven",
        "** not bold *\n__",
        "-\n1.\n#",
        "    # a comment in indented code",
    ],
)
def test_what_only_looks_like_markdown_is_not(text: str) -> None:
    assert features(text)[1:] == (0, 0, 0)


@pytest.mark.parametrize(
    "block",
    [
        "```python\n# comment\n- x\n**y**\n```",
        "~~~\n# comment\n```\n- still code\n~~~",
        "````\n```\n# nested\n```\n````",
        "```\n# never closed\n- item",
    ],
)
def test_code_blocks_are_stripped(block: str) -> None:
    assert features(f"# Title\n{block}")[1:] == (0, 1, 0)
    assert without_code(f"before\n{block}") == "before"


def test_text_after_a_block_counts_again() -> None:
    assert features("```\n- code\n```\n- item")[1] == 1


def test_contrast_is_the_share_that_one_has_more() -> None:
    assert contrast("- a\n- b\n- c", "- a") == ((11 - 3) / 14, (3 - 1) / 4, 0.0, 0.0)
    assert contrast("", "") == (0.0, 0.0, 0.0, 0.0)
    assert contrast("x", "") == (1.0, 0.0, 0.0, 0.0)


@given(st.text(), st.text())
def test_swapping_the_answers_flips_every_sign(a: str, b: str) -> None:
    assert contrast(a, b) == tuple(-x for x in contrast(b, a))
    assert all(-1 <= x <= 1 for x in contrast(a, b))
