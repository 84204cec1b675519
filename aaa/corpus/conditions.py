"""What a set must hold to be exported: `chosen_longer>0.65` fails it."""

import operator
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from aaa.errors import AAAError, InputError

_CONDITION = re.compile(r"\s*([a-z_.]+)\s*(>=|<=|>|<)\s*(\S+)\s*")
_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


class Refused(AAAError):
    """The set is not what it must be: nothing was written under its name."""


class Condition(NamedTuple):
    """When an export fails."""

    name: str
    sign: str
    limit: float

    def holds(self, figure: float) -> bool:
        return _OPERATORS[self.sign](figure, self.limit)

    def __str__(self) -> str:
        return f"{self.name}{self.sign}{self.limit:g}"


def parse(text: str) -> Condition:
    """`NAME>NUMBER`, or with `>=`, `<`, `<=`. Raises `InputError`."""
    found = _CONDITION.fullmatch(text)
    try:
        if found is not None:
            return Condition(found[1], found[2], float(found[3]))
    except ValueError:
        pass
    raise InputError(
        f"fail-if {text!r}: write NAME>NUMBER, as chosen_longer>0.65; >=, < and <= too"
    )


def check(conditions: tuple[Condition, ...], metrics: Mapping[str, float]) -> None:
    """Raises `Refused` naming every condition that holds, `InputError` for a figure that there is not."""
    for condition in conditions:
        if condition.name not in metrics and not condition.name.startswith("dropped."):
            raise InputError(
                f"fail-if {str(condition)!r}: no figure {condition.name!r}; there are: "
                f"{', '.join(sorted(metrics))}"
            )
    met = [c for c in conditions if c.holds(metrics.get(c.name, 0.0))]
    if met:
        told = "; ".join(f"{c.name} is {metrics.get(c.name, 0.0):.4g} ({c})" for c in met)
        raise Refused(f"the set is refused and nothing was written: {told}")
