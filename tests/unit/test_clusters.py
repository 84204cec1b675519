"""Clusters: planted groups are found, the same each time, and told by their words."""

import numpy as np
import pytest

from aaa.curriculum.clusters import clusters, usual
from aaa.embedding import embed
from aaa.errors import InputError

TEXTS = {
    f"{kind}{n}": text.format(n)
    for kind, text in {
        "bread": "Which flour makes the best sourdough bread, and how long must loaf {} rise in the oven?",
        "code": "Write a Python function number {} that sorts a list of integers and returns it.",
        "law": "My landlord keeps the deposit of flat {}; which tenancy law or court can I turn to?",
    }.items()
    for n in range(8)
}


def test_planted_groups_are_found() -> None:
    found = clusters(TEXTS, embed(list(TEXTS.values())), 3)
    kinds = [{id.rstrip("0123456789") for id in one.ids} for one in found]
    assert sorted(map(len, kinds)) == [1, 1, 1]
    assert {kind for one in kinds for kind in one} == {"bread", "code", "law"}
    by_kind = {next(iter(kind)): one for kind, one in zip(kinds, found, strict=True)}
    assert {"sourdough", "flour", "bread", "loaf", "oven"} & set(by_kind["bread"].words)
    assert by_kind["law"].middle.startswith("law")
    assert [one.share for one in found] == [pytest.approx(1 / 3)] * 3
    assert clusters(TEXTS, embed(list(TEXTS.values())), 3) == found


def test_vectors_are_of_length_one_and_an_empty_text_has_one() -> None:
    sizes = np.linalg.norm(embed(["How do I bake bread?", "", "法国的首都是哪里？"]), axis=1)
    assert sizes == pytest.approx([1, 1, 1], abs=1e-3)


@pytest.mark.parametrize("number", [1, 25])
def test_a_number_that_cannot_be(number: int) -> None:
    with pytest.raises(InputError, match="24 seeds cannot be cut into"):
        clusters(TEXTS, np.eye(24, dtype=np.float32), number)


def test_how_many_are_usual() -> None:
    assert [usual(n) for n in (2, 8, 128, 10_000)] == [2, 2, 8, 12]
