"""Solutions cut into steps, results held against references, shares of completions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.checkers import apply, read_checker
from aaa.protocols._steps import checker_of, prefix, share_of, split_steps
from aaa.types import Check, CheckFailure, Seed
from tests.classroom import user


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("Step 1: a\nStep 2: b\nAnswer: c", ["Step 1: a", "Step 2: b\nAnswer: c"]),
        ("Sure.\n\nStep 1: a\nmore\n\nStep 2: b", ["Sure.\n\nStep 1: a\nmore", "Step 2: b"]),
        ("**Step 1:** a\n### Step 2\nb", ["**Step 1:** a", "### Step 2\nb"]),
        ("step 1 - a\nSTEP 3 - b", ["step 1 - a", "STEP 3 - b"]),
        ("Step 1: a\nStep 1: again\nStep 2: b", ["Step 1: a\nStep 1: again", "Step 2: b"]),
        ("Step 1: all of it", ["Step 1: all of it"]),
        ("Schritt 1: a\nSchritt 2: b", ["Schritt 1: a", "Schritt 2: b"]),
        ("步骤1：甲\n步骤2：乙", ["步骤1：甲", "步骤2：乙"]),
        ("1. a\n2. b\n3) c", ["1. a", "2. b", "3) c"]),
        ("1. a\n  1. x\n  2. y\n2. b", ["1. a\n  1. x", "2. y\n2. b"]),
        ("It has 2 parts.\n1. a\n2. b", ["It has 2 parts.\n1. a", "2. b"]),
        ("First a.\n\nThen b.\n\nAnswer: c", ["First a.", "Then b.\n\nAnswer: c"]),
        ("First a.\nThen b.\nThe answer is c.", ["First a.", "Then b.\nThe answer is c."]),
        ("42", ["42"]),
        ("Answer: 42", ["Answer: 42"]),
        ("Step 1: a\n```\nStep 2: x\n```\nStep 2: b", ["Step 1: a\n```\nStep 2: x\n```", "Step 2: b"]),
        ("So:\n\n```\na\n\nb\n```\n\nDone", ["So:", "```\na\n\nb\n```", "Done"]),
        ("```\na\nb\n```", ["```\na\nb\n```"]),
        ("", []),
        (" \n ", []),
    ],
)  # fmt: skip
def test_cuts(text: str, steps: list[str]) -> None:
    found = split_steps(text)
    expected = [step.replace("\n\nAnswer", "\nAnswer") for step in steps]
    assert list(found) == expected


@given(st.text(alphabet="Step 12:.\n`aAnswer", max_size=80))
def test_nothing_is_lost_and_no_step_is_empty(text: str) -> None:
    steps = split_steps(text)
    assert all(step.strip() for step in steps)
    assert "".join("".join(steps).split()) == "".join(text.split())


def test_a_prefix_is_the_first_steps() -> None:
    assert prefix(("a", "b", "c"), 2) == "a\nb"


def seed(**more: object) -> Seed:
    return Seed.model_validate({"id": "s", "prompt": user("?"), **more})


def test_the_seeds_own_checker_comes_first() -> None:
    own = {"kind": "exact", "value": "x"}
    assert checker_of(seed(checker=own, reference="7")) == own
    assert checker_of(seed()) is None
    assert checker_of(seed(reference="  ")) is None
    assert checker_of(seed(reference="word " * 50)) is None


@pytest.mark.parametrize(
    ("reference", "answer", "right"),
    [
        ("42", "Step 1: 6 x 7\nAnswer: 42", True),
        ("42", "6 x 7 = 42, or was it 43", False),
        ("-3", "Answer: -3", True),
        ("−3", "Answer: -3", True),
        ("1,200", "Answer: 1200 litres", True),
        ("$45", "Answer: 45 dollars", True),
        ("50%", "Answer: 50 %", True),
        ("1/2", r"Answer: \frac{1}{2}", True),
        ("1/3", "Answer: 1/3", True),
        ("1/2", "Answer: 2", False),
        ("12 km", "Answer: 12 km", True),
        ("12 km", "Answer: 12 miles", False),
        ("3:45", "Answer: 3:45", True),
        ("3:45", "Answer: 45", False),
        ("Paris", "Step 1: think.\nAnswer: Paris.", True),
        ("Paris", "**Answer:** Paris", True),
        ("paris", "ANSWER: PARIS!", True),
        ("Paris", "Answer: Paris or Rome", False),
        ("Paris", "Answer: not Paris", False),
        ("Paris", "It is Paris.", False),
        ("Paris", "Answer: Paris\nAnswer: Rome", False),
        ("New  York.", "Answer: New York", True),
        ("a+b (c)", "Answer: a+b (c)", True),
    ],
)
def test_a_short_reference_is_what_the_answer_must_be(
    reference: str, answer: str, right: bool
) -> None:
    checker = checker_of(seed(reference=reference))
    assert checker is not None
    read_checker(checker)
    assert apply(checker, answer).passed is right


PASS, FAIL = Check(score=1), Check(score=0.5)
BROKEN = CheckFailure(kind="timeout", message="ran away")


@pytest.mark.parametrize(
    ("findings", "threshold", "label", "value"),
    [
        ([PASS, FAIL, FAIL, FAIL], 0, True, 0.25),
        ([PASS, FAIL, FAIL, FAIL], 0.25, True, 0.25),
        ([PASS, FAIL, FAIL, FAIL], 0.26, False, 0.25),
        ([FAIL, FAIL], 0, False, 0.0),
        ([PASS, None, BROKEN], 1, True, 1.0),
        ([None, BROKEN], 0, None, None),
        ([], 0, None, None),
    ],
)
def test_shares(
    findings: list[Check | CheckFailure | None],
    threshold: float,
    label: bool | None,
    value: float | None,
) -> None:
    assert share_of(findings, threshold) == (label, value)
