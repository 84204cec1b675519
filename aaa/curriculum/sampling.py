"""Which seeds a stage takes: drawn by weight, without replacement, the same each time.

Each seed draws its own number from the random seed and its id, so neither the order of the file nor seeds
that are added or used up change who comes before whom: a larger sample holds the smaller one, and stages
that draw from what is left never overlap. Efraimidis and Spirakis (2006): with u uniform, the n largest
u^(1/w) are a weighted sample without replacement.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from aaa.curriculum.attributes import split
from aaa.curriculum.skill_gap import seed_weight
from aaa.errors import InputError
from aaa.types import Seed, Value, fingerprint

ODDS = 2**53


class Shift(Value):
    """One value of an attribute: how much of the source it makes up, and how much of the sample."""

    attribute: str
    value: str
    source: int
    sample: int
    source_share: float
    sample_share: float


def draw(
    seeds: Sequence[Seed],
    size: int,
    random_seed: int,
    weights: Mapping[str, float] | None = None,
    behind: Mapping[str, float] | None = None,
) -> tuple[Seed, ...]:
    """`size` of the seeds by the product of their tags' weights, in the order in which they were drawn.

    `behind`: tag -> weight by the skill gap, as `seed_weight` takes it. A seed of weight 0 is never
    drawn. Raises `InputError` where there are too few.
    """
    check_weights(weights or {}, seeds)
    worth = [(seed, seed_weight(seed, behind or {}, weights or {})) for seed in seeds]
    able = [(seed, w) for seed, w in worth if w > 0]
    if len(able) < size:
        without = len(worth) - len(able)
        told = f" ({without} more have weight 0)" if without else ""
        raise InputError(f"{size} seeds are wanted, but only {len(able)} are left{told}")
    able.sort(key=lambda pair: _lot(pair[0], random_seed) / pair[1])
    return tuple(seed for seed, _ in able[:size])


def _lot(seed: Seed, random_seed: int) -> float:
    """-ln u of this seed's own u in (0, 1): the smaller the lot divided by the weight, the earlier."""
    u = (int(fingerprint([random_seed, "draw", seed.id])[:14], 16) % ODDS + 0.5) / ODDS
    return -math.log(u)


def check_weights(weights: Mapping[str, float], seeds: Iterable[Seed]) -> None:
    """Raises `InputError` for a weight that is none, or of a tag that no seed has."""
    known = {tag for seed in seeds for tag in seed.tags}
    for tag, number in weights.items():
        if not (math.isfinite(number) and number >= 0):
            raise InputError(f"weight of {tag!r} must be 0 or more, got {number!r}")
        if tag not in known:
            some = ", ".join(sorted(known)[:20]) or "none"
            raise InputError(f"weight of {tag!r}: no seed has that tag; there are: {some}")


def shifts(source: Sequence[Seed], sample: Sequence[Seed]) -> tuple[Shift, ...]:
    """How the sample differs from its source, value by value; by attribute, the largest part first."""
    before, after = _counts(source), _counts(sample)
    rows = [
        Shift(
            attribute=attribute,
            value=value,
            source=count,
            sample=after.get((attribute, value), 0),
            source_share=count / len(source),
            sample_share=after.get((attribute, value), 0) / max(1, len(sample)),
        )
        for (attribute, value), count in before.items()
    ]
    return tuple(sorted(rows, key=lambda row: (row.attribute, -row.source, row.value)))


def _counts(seeds: Iterable[Seed]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for seed in seeds:
        for tag in dict.fromkeys(seed.tags):
            place = split(tag)
            found[place] = found.get(place, 0) + 1
    return found
