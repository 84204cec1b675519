"""Whether a set may be exported: conditions on its figures, any of which fails it."""

from collections.abc import Mapping

from aaa.errors import AAAError
from aaa.quality import DROPPED, Condition


class Refused(AAAError):
    """The set is not what it must be: nothing was written under its name."""


def check(conditions: tuple[Condition, ...], metrics: Mapping[str, float]) -> None:
    """Raises `Refused` naming every condition that holds, or whose figure this set does not have."""
    failed = [told for c in conditions if (told := _failed(c, metrics)) is not None]
    if failed:
        raise Refused(f"the set is refused, and no file was written: {'; '.join(failed)}")


def _failed(condition: Condition, metrics: Mapping[str, float]) -> str | None:
    name = condition.name
    figure = metrics.get(name, 0.0 if name.startswith(DROPPED) else None)
    if figure is None:
        return f"{name} is not known of it ({condition})"
    return f"{name} is {figure:.4g} ({condition})" if condition.holds(figure) else None
