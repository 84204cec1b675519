"""Prompt text lives in Markdown beside its play: one `# name` heading per prompt, `$name` for a blank.

Blanks are filled in one pass (`string.Template`), so text that a model wrote is never read as a blank.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from string import Template

from aaa.types import Messages

_HEADING = re.compile(r"^# +(\S+)[ \t]*$", re.MULTILINE)


class Prompts:
    """The prompts of one file, by name."""

    def __init__(self, texts: Mapping[str, Template]) -> None:
        self._texts = texts

    def fill(self, name: str, /, **blanks: str) -> str:
        """The prompt `name` with its blanks filled. Raises `KeyError` for a blank without a value."""
        return self._texts[name].substitute(blanks)


def prompts_beside(module_file: str) -> Prompts:
    """The prompts in the `.md` file beside a module: pass `__file__`."""
    parts = _HEADING.split(Path(module_file).with_suffix(".md").read_text("utf-8"))
    names, bodies = parts[1::2], parts[2::2]
    return Prompts({n: Template(b.strip()) for n, b in zip(names, bodies, strict=True)})


def shown(chat: Messages) -> str:
    """A chat as text for a reader: a single message as it is, a longer chat with its roles."""
    if len(chat) == 1:
        return chat[0].content
    return "\n\n".join(f"[{m.role}]\n{m.content}" for m in chat)
