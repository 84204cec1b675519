"""What a report is made of: headings, sentences, tables, pictures, and the words of others.

Both forms are made from it. What a model or a user wrote may stand in any text of it: a form escapes all of
them. Left out: which sections there are (`sections.py`), how they look (`page.py`, `markdown.py`).
"""

from typing import Literal

from aaa.types import Value


class Heading(Value):
    kind: Literal["heading"] = "heading"
    level: int
    text: str


class Text(Value):
    """A sentence or more, of ours."""

    kind: Literal["text"] = "text"
    text: str


class Table(Value):
    kind: Literal["table"] = "table"
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Picture(Value):
    """A picture that was drawn, by its name."""

    kind: Literal["picture"] = "picture"
    name: str
    about: str
    """What it shows, for who cannot see it."""


class Quote(Value):
    """Words of a model or a user, as they were said, made harmless for a terminal."""

    kind: Literal["quote"] = "quote"
    label: str
    text: str


Block = Heading | Text | Table | Picture | Quote


class Document(Value):
    title: str
    blocks: tuple[Block, ...]
