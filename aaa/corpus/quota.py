"""How many: exactly n records, as many of each tag, without holding them.

Every record has a number of its own, the hash of its id. To take k of a group is to take those below the k-th
smallest number, so what is taken is a fair draw, is the same each time, and stands in export order. It takes
two passes: the first keeps eight bytes of a record.
"""

from array import array
from collections.abc import Mapping, Sequence

from aaa.corpus.families import share_of
from aaa.errors import InputError

ALL = ""
"""The one group where nothing is balanced."""


class Numbers:
    """The first pass: group -> the numbers of its records."""

    def __init__(self) -> None:
        self._of: dict[str, array[float]] = {}

    def add(self, group: str, id: str) -> None:
        self._of.setdefault(group, array("d")).append(share_of(id))

    def limits(self, n: int | None) -> dict[str, float]:
        """Group -> the largest number that is taken. Raises `InputError` where n cannot be had."""
        sizes = {group: len(numbers) for group, numbers in self._of.items()}
        quotas = even(sizes, n)
        return {
            group: sorted(self._of[group])[quota - 1] for group, quota in quotas.items() if quota
        }


def even(sizes: Mapping[str, int], n: int | None) -> dict[str, int]:
    """Group -> how many of it: the same of each, one more of the first where n leaves a rest.

    With no n, as many of each as the smallest has. Raises `InputError` where n cannot be had.
    """
    names = sorted(sizes)
    most = min(sizes.values(), default=0)
    if n is None:
        return dict.fromkeys(names, most)
    each, rest = divmod(n, len(names)) if names else (n, 0)
    quotas = {name: each + (place < rest) for place, name in enumerate(names)}
    short = {name: sizes[name] for name in names if sizes[name] < quotas[name]}
    if short or not names:
        what = (
            ", ".join(f"{name or 'all'}: {size}" for name, size in sizes.items()) or "none at all"
        )
        raise InputError(
            f"n {n}: there are not so many pairs that pass selectors and gates ({what}); "
            f"at most {_most(names, sizes)} can be had"
        )
    return quotas


def _most(names: Sequence[str], sizes: Mapping[str, int]) -> int:
    """The largest n: as many of each as the smallest has, and one more of the first that have more."""
    each = min(sizes.values(), default=0)
    more = next((place for place, name in enumerate(names) if sizes[name] == each), 0)
    return each * len(names) + more


def group_of(values: tuple[str, ...]) -> str | None:
    """The group that counts a record of several values: its first by name. `None`: it has no value."""
    return min(values, default=None)
