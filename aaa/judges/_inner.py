"""A judging play inside another: which one, with which options, for `panel` and `meta`."""

from typing import Any

from pydantic import Field, model_validator

from aaa import plugins
from aaa.errors import InputError
from aaa.types import Value


class Inner(Value):
    """Options that every play around another one has."""

    play: str = Field("pairwise", pattern=r"^[a-z][a-z0-9_]*$")
    """Name of a shipped judging play: a module of one's own cannot be named here."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Options of that play, checked against its `Options`."""

    @model_validator(mode="after")
    def _is_there(self) -> "Inner":
        if self.play in ("panel", "meta"):
            inner_ones = [n for n in plugins.names("judges") if n not in ("panel", "meta")]
            valid = ", ".join(inner_ones)
            raise ValueError(f"{self.play!r} cannot be put into another; valid: {valid}")
        try:
            inner = plugins.judging_play(self.play)
            plugins.options_of("judging play", inner.id, inner.options, self.options)
        except InputError as error:
            raise ValueError(str(error)) from error
        return self
