"""What a seed is about, as far as it says so: its tags, read as attributes with values.

`topic:algebra` is value `algebra` of attribute `topic`; a tag without a colon is a value of `tag`.
"""

from collections.abc import Mapping

from aaa.types import Seed

PLAIN = "tag"
"""The attribute of tags that name none."""


def attributes(seed: Seed) -> dict[str, tuple[str, ...]]:
    """Attribute -> its values on this seed, in the order of the tags, each once."""
    found: dict[str, list[str]] = {}
    for tag in dict.fromkeys(seed.tags):
        name, value = split(tag)
        found.setdefault(name, []).append(value)
    return {name: tuple(values) for name, values in found.items()}


def split(tag: str) -> tuple[str, str]:
    """(attribute, value) of a tag."""
    name, colon, value = tag.partition(":")
    return (name, value) if colon and name and value else (PLAIN, tag)


def weight(seed: Seed, weights: Mapping[str, float]) -> float:
    """The product of the weights of a seed's tags; a tag without one counts 1."""
    product = 1.0
    for tag in dict.fromkeys(seed.tags):
        product *= weights.get(tag, 1.0)
    return product
