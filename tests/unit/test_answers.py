"""Final answers: found where people and models put them, equal where they mean the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.protocols._answers import Form, Reading, final_answer, reading_of, votes_on
from tests.classroom import SEED

NUMBERS = [
    (r"So we get \boxed{42}.", "42"),
    (r"\boxed{12} apples, then \boxed{ 1{,}234 }", "1234"),
    (r"It is \boxed{\frac{1}{2}}", "0.5"),
    (r"It is \boxed{\dfrac{1}{3}}", "1/3"),
    (r"Answer: $-\frac{1}{2}$", "-0.5"),
    ("Answer: 2^10", "2^10"),
    ("Answer: 10^6", "1000000"),
    (r"$\boxed{35\%}$", "35"),
    (r"\boxed{45^\circ}", "45"),
    (r"\boxed{\text{7 km}}", "7"),
    ("The answer is 42.", "42"),
    ("The answer is: **42**", "42"),
    ("the final answer is $1,000.50.", "1000.5"),
    ("The answer would be -5 degrees", "-5"),
    ("The answer is −5", "-5"),
    ("The answer is x = 7.", "7"),
    ("The answer is 6 * 7 = 42, since 6 sevens are 42.", "42"),
    ("Answer: 1 234 567 people", "1234567"),
    ("Answer: 1'234", "1234"),
    ("Answer: 3/4", "0.75"),
    ("Answer: 2 1/2 hours", "2.5"),
    ("Answer: ½", "0.5"),
    ("Answer: 1½", "1.5"),
    ("Answer: -½", "-0.5"),
    ("Answer: 10⁻²", "0.01"),
    ("Answer: 12 m²", "12"),
    ("Answer: 2,5 m", "2.5"),
    ("Answer: 12,50 €", "12.5"),
    ("Answer: 2,500", "2500"),
    ("Answer: 007", "7"),
    ("Answer: 42.000", "42"),
    ("Answer: -0", "0"),
    ("Answer: 4.2e3", "4200"),
    ("Answer: 1e400000000", "1e400000000"),
    ("Step 1: 3 + 4 = 7\nStep 2: 7 * 6 = 42\n#### 42", "42"),
    ("Answer: 40\nWait, no.\nAnswer: 42", "42"),
    ("Answer:\n42", "42"),
    ("**Final answer:** 42", "42"),
    ("- Answer: 42", "42"),
    ("The answer is 42. Tell me if the answer is unclear.", "42"),
    ("There are 6 rows of 7, so 42 in all", "42"),
    ("Answer: 16:45", "16:45"),
    ("Answer: 4:45 pm", "16:45"),
    ("Answer: 12:05 a.m.", "0:05"),
    ("They arrive at 17:45", "17:45"),
    ("Answer: 3:2", "3:2"),
    ("答案是42。", "42"),
    ("所以，答案：四十二（42）", "42"),
    ("答えは４２です。", "42"),
    ("정답은 42입니다.", "42"),
    ("La respuesta es 42.", "42"),
    ("Die Antwort lautet 42.", "42"),
    ("La réponse est 42.", "42"),
    ("A resposta é 42.", "42"),
    ("Ответ: 42", "42"),
    ("الجواب هو ٤٢", "42"),
    ("उत्तर: ४२", "42"),
    ("Jibu ni 42", "42"),
    ("The answer is found by adding 6 and 7, which gives 13", "13"),
    ("Answer: There are 42 of them", "42"),
    ("Answer: 5 days for 10 men", "5"),
    ("Answer: It takes 5 days for 10 men", None),
    ("Answer: 42 to 45", None),
    ("Answer: 42-45", None),
    ("I do not know.", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "answer"), NUMBERS)
def test_numbers(text: str, answer: str | None) -> None:
    assert final_answer(text, Reading("number")) == answer


CHOICES = [
    ("The answer is (B).", "B"),
    ("Answer: B", "B"),
    ("Answer: b", "B"),
    ("Answer: (c) Paris", "C"),
    ("Answer: C. Paris", "C"),
    (r"\boxed{D}", "D"),
    (r"\boxed{\text{D}}", "D"),
    ("**B**", "B"),
    ("B) the gutter", "B"),
    ("A is wrong, so I take B", "B"),
    ("答案：Ｃ", "C"),
    ("答案是C。", "C"),
    ("الجواب: B", "B"),
    ("Ответ: D", "D"),
    ("La respuesta es A", "A"),
    ("Answer: A or B", None),
    ("Answer: Paris", None),
    ("Nobody knows.", None),
]


@pytest.mark.parametrize(("text", "answer"), CHOICES)
def test_choices(text: str, answer: str | None) -> None:
    assert final_answer(text, Reading("choice", letters="ABCD")) == answer


TEXTS = [
    ("Answer: Paris.", "paris"),
    ("The answer is **Paris**, the capital.", "paris, the capital"),
    ("The answer is the Nile", "nile"),
    ("Paris", "paris"),
    ("“Paris”!", "paris"),
    ("Answer: Yes, because it rains.", "yes"),
    ("No.", "no"),
    ("答案是東京。", "東京"),
    ("答えは東京です", "東京です"),
    ("Ответ: Москва.", "москва"),
    ("उत्तर: दिल्ली", "दिल्ली"),
    ("الجواب هو القاهرة.", "القاهرة"),
    (r"\boxed{\left( 3, \frac{\pi}{2} \right)}", r"(3,\frac{\pi}{2})"),
    (r"\boxed{(3,\dfrac{\pi}{2})}", r"(3,\frac{\pi}{2})"),
    ("Answer: St. Louis", "st. louis"),
    ("Answer: Paris. It is in France.", "paris"),
    ("A long thought.\nAnd another line.", None),
    ("Answer: " + "word " * 13, None),
    ("Answer: " + "x" * 81, None),
    ("Answer: ...", None),
]


@pytest.mark.parametrize(("text", "answer"), TEXTS)
def test_texts(text: str, answer: str | None) -> None:
    assert final_answer(text, Reading("text")) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Answer: 1,000 km", "1000"),
        ("Answer: about $5", "5"),
        ("Answer: B", "B"),
        ("Answer: (b)", "B"),
        ("Answer: B. Paris", "B"),
        ("Answer: a horse", "horse"),
        ("Answer: I", "I"),
        ("Answer: Apollo 11", "apollo 11"),
        ("Answer: 3 March 2031", "3 march 2031"),
        ("Answer: 16:45", "16:45"),
        ("42", "42"),
        ("Why, there are 6 rows of 7.\nSo we have 42 of them.", None),
    ],
)
def test_without_a_form_an_answer_has_the_one_it_looks_like(text: str, answer: str | None) -> None:
    assert final_answer(text, Reading()) == answer


def test_two_numbers_behind_a_mark_name_none_but_the_last_counts_without_one() -> None:
    assert final_answer("It is 41, no, 42", Reading("number")) == "42"


def test_of_a_cut_off_text_only_a_marked_answer_counts() -> None:
    for form, text in (("number", "7 rows of 6"), ("choice", "A is wrong, so I take B")):
        reading = Reading(form)  # type: ignore[arg-type]
        assert final_answer(text, reading) is not None
        assert final_answer(text, reading, cut_off=True) is None
    assert final_answer("Answer: 42\nFor 6 rows of 7", Reading("number"), cut_off=True) == "42"


def test_a_decimal_comma_where_the_checker_says_so() -> None:
    seed = SEED.model_copy(update={"checker": {"kind": "number", "value": 1, "decimal": ","}})
    reading = reading_of(seed)
    assert reading == Reading("number", decimal=",")
    assert final_answer("Antwort: 1.234,5", reading) == "1234.5"


@pytest.mark.parametrize(
    ("change", "form"),
    [
        ({}, None),
        ({"checker": {"kind": "number", "value": 4}}, "number"),
        ({"checker": {"kind": "choice", "value": "A", "letters": "ABC"}}, "choice"),
        ({"checker": {"kind": "regex", "pattern": "x"}}, None),
        ({"reference": "42 km"}, "number"),
        ({"reference": "B"}, "choice"),
        ({"reference": "Because blue light is scattered most."}, None),
    ],
)
def test_the_form_follows_from_checker_or_reference(change: dict[str, object], form: Form) -> None:
    assert reading_of(SEED.model_copy(update=change)).form == form
    assert reading_of(SEED.model_copy(update=change), "text").form == "text"


def test_the_letters_are_the_checkers() -> None:
    checker = {"kind": "choice", "value": "A", "letters": "ABC"}
    assert reading_of(SEED.model_copy(update={"checker": checker})).letters == "ABC"


def test_votes() -> None:
    assert votes_on(["42", None, "41", "42"]) == ({"42": 2, "41": 1}, "42")
    assert votes_on(["42", "41"]) == ({"42": 1, "41": 1}, None)
    assert votes_on(["a", "b", "a", "b", "c"]).answer is None
    assert votes_on(["42"]).answer is None
    assert votes_on(["42", None, None]) == ({"42": 1}, None)
    assert votes_on([None, None]) == ({}, None)
    assert votes_on(["41", "42", "42"]).told() == "'42' 2, '41' 1"


@given(st.text(max_size=200), st.sampled_from(("number", "choice", "text", None)), st.booleans())
def test_any_text_gives_a_short_answer_or_none(text: str, form: Form | None, cut: bool) -> None:
    found = final_answer(text, Reading(form), cut_off=cut)
    assert found is None or 0 < len(found) <= 200
    assert found is None or found.encode("utf-8")
    assert found is None or "\0" not in found


@given(st.integers(-(10**9), 10**9), st.sampled_from(("The answer is {}.", "Answer: {:,}", "{}")))
def test_every_whole_number_comes_back(number: int, wording: str) -> None:
    assert final_answer(wording.format(number), Reading("number")) == str(number)


def test_a_hostile_text_takes_no_longer_than_its_length() -> None:
    for text in (
        "the answer is " * 20_000,
        "\\boxed{" * 20_000,
        "1," * 50_000,
        "answer: " * 20_000,
    ):
        final_answer(text, Reading("number"))
