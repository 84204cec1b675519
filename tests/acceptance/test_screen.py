"""What the tests read off a terminal is what stands there."""

import os
from pathlib import Path

from tests.acceptance.terminal import terminal


def test_half_a_wide_character_is_nothing(tmp_path: Path) -> None:
    with terminal(["printf", "漢字\x1b[1;1Hx"], dict(os.environ), tmp_path, 20, 3) as screen:
        screen.end()
        assert screen.text.rstrip() == "x字"
