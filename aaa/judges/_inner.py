"""A judging play inside another: which one, with which options, for `panel` and `meta`."""

from typing import Any

from pydantic import Field, model_validator

from aaa import plugins
from aaa.errors import InputError
from aaa.types import Value

OUTER = ("panel", "meta")
"""Plays that hold another."""


class Inner(Value):
    """Options that every play around another one has."""

    play: str = Field("pairwise", pattern=r"^[a-z][a-z0-9_]*$")
    """Name of a shipped judging play: a module of one's own cannot be named here."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of that play, checked against its `Options`."""

    @model_validator(mode="after")
    def _is_there(self) -> "Inner":
        if self.play in OUTER:
            valid = ", ".join(name for name in plugins.names("judges") if name not in OUTER)
            raise ValueError(f"{self.play!r} cannot be put into another; valid: {valid}")
        try:
            inner = plugins.judging_play(self.play)
            plugins.options_of("judging play", inner.id, inner.options, self.options)
        except InputError as error:
            raise ValueError(str(error)) from error
        return self
