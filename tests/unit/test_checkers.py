"""Checkers without a process: a table of answers, many hostile; each comes to a finding or an error."""

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given

from aaa import plugins
from aaa.checkers import LONGEST_ANSWER, grade, plain, read_checker
from aaa.checkers.json_schema import _validated
from aaa.errors import CheckError, InputError
from aaa.types import Check, CheckFailure
from tests.helpers.hostile import HOSTILE

Spec = dict[str, Any]
MANY = 60_000


def exact(*values: str, normalise: bool = False) -> Spec:
    return {
        "kind": "exact",
        "value": values if len(values) > 1 else values[0],
        "normalise": normalise,
    }


def number(value: float | str = 42, **options: Any) -> Spec:
    return {"kind": "number", "value": value, **options}


def choice(value: str = "B", **options: Any) -> Spec:
    return {"kind": "choice", "value": value, **options}


def regex(pattern: str) -> Spec:
    return {"kind": "regex", "pattern": pattern}


def schema(schema: Any, **options: Any) -> Spec:
    return {"kind": "json_schema", "schema": schema, **options}


def form(**constraints: Any) -> Spec:
    return {"kind": "format", **constraints}


def both(*of: Spec) -> Spec:
    return {"kind": "all", "of": list(of)}


def either(*of: Spec) -> Spec:
    return {"kind": "any", "of": list(of)}


@pytest.fixture
def _short_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same limits, sooner."""
    monkeypatch.setattr("aaa.checkers.regex.TIME_S", 0.05)
    monkeypatch.setattr("aaa.checkers.json_schema.TIME_S", 0.2)


YES, NO = True, False
Case = tuple[Spec, str, bool]

EXACT: list[Case] = [
    (exact("Paris"), "Paris", YES),
    (exact("Paris"), "paris", NO),
    (exact("Paris"), " Paris\n", NO),
    (exact("Paris", normalise=True), '  **"PARIS"**.\n', YES),
    (exact("Paris", normalise=True), "Paris, France", NO),
    (exact("yes", "yep"), "yep", YES),
    (exact("yes", "yep", normalise=True), "Yep!", YES),
    (exact("[1, 3]", normalise=True), "1, 3", NO),  # brackets are no punctuation around it
    (exact("café", normalise=True), "cafe\u0301", YES),
    (exact("admin", normalise=True), "\u202eadmin\u202c\u200b", YES),
    (exact("admin", normalise=True), "аdmin", NO),  # its first letter is Cyrillic
    (exact("a"), "a\0", NO),
    (exact("a", normalise=True), "\ud800a", NO),
    (exact("a", normalise=True), "a" * MANY, NO),
    (exact("a", normalise=True), "", NO),
]
NUMBER: list[Case] = [
    (number(), "It is 42.", YES),
    (number(), "42 or 43", NO),
    (number(), "no number", NO),
    (number(), "", NO),
    (number(-5), "\u22125", YES),
    (number(5), "pages 3-5", YES),
    (number(2100), "2,100", YES),
    (number(2100), "2'100", YES),
    (number(2100), "2\u202f100", YES),
    (number(2.5), "2,5", NO),
    (number(2.5, decimal=","), "2,5", YES),
    (number(1234.5, decimal=","), "1.234,5", YES),
    (number(250), "٢٥٠", YES),
    (number(250), "２５０", YES),
    (number(250), "२५०", YES),
    (number(100), "10²", YES),
    (number("3e-12"), "3 × 10⁻¹²", YES),
    (number(10), "10²", NO),
    (number(10**6), "$10^6$", YES),
    (number(-0.01), r"-10^{-2}", YES),
    (number(2), "2^10", NO),
    (number(12), "12 m²", YES),  # an exponent is not the last number
    (number(12), r"12 m^{-2}", YES),
    (number(1.5), "1½", YES),
    (number(1.5), r"1 \frac12", YES),
    (number(0.2), "⅟5", YES),
    (number(-0.5), r"$-\frac{1}{2}$", YES),
    (number(0.5), r"$-\frac{1}{2}$", NO),
    (number(-0.75), r"\boxed{-\frac{3}{4}}", YES),
    (number(0.5), r"3-\frac{1}{2}", YES),
    (number(-0.5), "-½", YES),
    (number(-250, units=["$"]), "-$250.", YES),
    (number(-250), r"-\$250", YES),
    (number(45), "- $45", YES),  # a bullet
    (number(0.5), r"\boxed{\frac{1}{2}}", YES),
    (number(1000), r"\$1{,}000", YES),
    (number(350_000_000), r"3.5 \times 10^{8}", YES),
    (number(3.5e8), "3.5×10⁸", YES),
    (number(0.1), "0.1", YES),
    (number(0.3), "0.30000000000000004", NO),
    (number(0.3, tolerance=1e-9), "0.30000000000000004", YES),
    (number(0.357, tolerance=0.001), "20/56", YES),
    (number(100, relative=0.01), "100.9", YES),
    (number(100, relative=0.01), "101.1", NO),
    (number(0.35, percent="as_share"), "35 %", YES),
    (number(1, percent="as_share"), "1e9999999 %", NO),
    (number(35), "35%", YES),
    (number(12, units=["km", "kilometres"]), "12 km.", YES),
    (number(12, units=["km"]), "12 kmh", NO),
    (number(12, units=["km"]), "12", NO),
    (number(12, units=["$"]), "$12", YES),
    (number(12, where="first"), "12 of 30", YES),
    (number(12, where="only"), "12 $", YES),
    (number(12, where="only"), "12 of 30", NO),
    (number(12, where="boxed"), "12", NO),
    (number(12, where="boxed"), r"13 \boxed{\text{about }12} 14", YES),
    (number(12, where="boxed"), r"\boxed{" * 1000, NO),
    (number(1), "1e999999999", NO),
    (number(1), "1e99999999999999999999999999", NO),
    (number(1), "-1e-999999999", NO),
    (number(0), "1/0", NO),
    (number(0), "NaN inf -inf", NO),
    (number(1), "1" * 1_000_000, NO),
    (number(1), "1," * MANY, YES),
    (number(1), "1/" * MANY, YES),
    (number(1), "9e" * MANY, NO),
    (number(1), "½" * MANY, NO),
    (number(1), "-" * MANY, NO),
    (number(1), r"\frac{" * (MANY // 6), NO),
    (number(1), r"\boxed{" * (MANY // 7), NO),
    (number(42), "\u202e24\u202c", NO),  # shown as 42, but it is 24
    (number(42), "4\0002", NO),
]
CHOICE: list[Case] = [
    *((choice(), answer, YES) for answer in (
        "B", "b", "(B)", "**B**", "B.", "B) the gutter", "B. A dog barks.", "answer: b",
        "The answer is (B).",
        "Answer: B because A is wrong", r"\boxed{B}", r"\boxed{\text{(b)}}", "A ladder falls.\nB",
        "A is wrong, C too; so B", "Option B", "the correct option is B, not A", "答案是 B",
        "Ｂ", "\u202eB\u202c",
        "It's B!",
        "**Answer: B**\n\nOption A is incorrect, since it is raining.", "B is right.\nOption A is wrong.",
        "I choose option B because A is wrong", "Option B is right because A is too small",
        "Answer:\nB\n\nFor A is too small.", "Solution:\nA car drives 60 km.\n\n(B)", "Statement B is false.",
        "The answer is not A, it is B.", "Answer: A\nNo, wait.\nAnswer: B", "B\ud800",
    )),
    *((choice(), answer, NO) for answer in (
        "", "A dog", "A or B", "Answer: A or B", "I think B or C", "B, C", "ABCD", "\0", "b" * MANY,
        "A " * MANY,
        "A or " * (MANY // 5), "answer: " * (MANY // 8), "Plan B-52", "I'm B'ed", r"\boxed{A, B}",
    )),
    (choice("A"), "A ladder is needed", YES),  # the last letter that stands alone
    (choice("K", letters="JKL"), "K", YES),
]  # fmt: skip
REGEX: list[Case] = [
    (regex(r"\b42\b"), "it is 42!", YES),
    (regex(r"\A\d+\Z"), "42\n", NO),
    (regex(r"(?i)\A(?!.*secret).*\Z"), "no SECRET here", NO),
    (regex(r"(a+)+$"), "a" * 40 + "b", NO),
    (regex(r"^(\w+\s?)*$"), "word " * 1000 + "!", NO),
    (regex(r".*.*.*=x"), "a" * 20_000, NO),
]
DEEP = "[" * 100_000 + "]" * 100_000
OBJECT = {
    "type": "object",
    "properties": {"a": {"const": 1}},
    "required": ["a"],
    "additionalProperties": False,
}
X_ONLY = {"patternProperties": {"^x": {"type": "string"}}, "additionalProperties": False}
TREE = {"$defs": {"t": {"type": "array", "items": {"$ref": "#/$defs/t"}}}, "$ref": "#/$defs/t"}
SCHEMA: list[Case] = [
    (schema(OBJECT), '{"a": 1}', YES),
    (schema(OBJECT), ' {"a": 1.0}\n', YES),
    (schema(OBJECT), '{"a": true}', NO),
    (schema(OBJECT), '{"a": 1, "b": 2}', NO),
    (schema(OBJECT), 'Here: {"a": 1}', NO),
    (schema(OBJECT), '{"a": 2, "a": 1}', NO),
    (schema(OBJECT), '```json\n{"a": 1}\n```', NO),
    (schema(OBJECT, where="block"), 'So:\n```json\n{"a": 1}\n```\n', YES),
    (schema(OBJECT, where="block"), '{"a": 1}', YES),
    (schema(OBJECT, where="block"), '```\n{"a": 1}\n```\n```json\n{"a": 2}\n```', NO),
    (schema(OBJECT), "", NO),
    (schema(OBJECT), "\0", NO),
    (schema(True), DEEP, NO),
    (schema(True), '{"a":' * 50_000, NO),
    (schema(True), "NaN", NO),
    (schema(True), "-Infinity", NO),
    (schema(True), "1" * 100_000, NO),
    (schema({"type": "number"}), "1e400", YES),
    (schema({"multipleOf": 0.1}), "3", YES),
    (schema({"uniqueItems": True}), json.dumps([[n] for n in range(20_000)]), YES),
    (schema({"uniqueItems": True}), "[1, 1.0]", NO),
    (schema(X_ONLY), '{"xa": "b"}', YES),
    (schema(X_ONLY), '{"xa": 1}', NO),
    (schema(X_ONLY), '{"y": "b"}', NO),
    (schema(X_ONLY | {"additionalProperties": {"type": "null"}}), '{"y": null}', YES),
    (schema(X_ONLY | {"additionalProperties": {"type": "null"}}), '{"y": 1}', NO),
    (schema(TREE), "[[], [[]]]", YES),
    (schema(TREE), "[[], [[1]]]", NO),
    (schema({"pattern": "漢\\p{L}"}), '"漢字"', YES),
    (schema({"maxLength": 2}), '"\\ud83d\\ude00"', YES),
]  # fmt: skip
FORMAT: list[Case] = [
    (form(words={"min": 3, "max": 3}), "It's well-known, yes.", YES),
    (form(words={"max": 3}), "one two three four", NO),
    (form(words={"min": 4, "max": 4}), "我喜欢茶", YES),
    (form(characters={"max": 3}), "  abc \n", YES),
    (form(sentences={"min": 2, "max": 2}), "It is 3.5 m. Is it? ", YES),
    (form(sentences={"min": 2, "max": 2}), "そうです。はい。", YES),
    (form(sentences={"max": 1}), "No. Yes", NO),
    (form(lines={"min": 2, "max": 2}), "a\n\n b\n", YES),
    (form(paragraphs={"min": 3, "max": 3}), "a\nb\n\nc\n***\nd", YES),
    (form(bullets={"min": 2, "max": 2}), "- a\n* b\n1. c\n-d", YES),
    (form(numbered={"min": 2, "max": 2}), "1. a\n  2) b\n3.c\n- d", YES),
    (form(headings={"min": 1}), "# One\ntext", YES),
    (form(headings={"min": 1}), "#hashtag", NO),
    (form(sections={"SECTION": {"min": 2}}), "SECTION 1\na\n**SECTION II**", YES),
    (form(highlights={"min": 2}), "a *b c* and **d**", YES),
    (form(highlights={"min": 1}), "2 * 3 * 4", NO),
    (form(placeholders={"min": 1}), "Dear [name],", YES),
    (form(capital_words={"max": 1}), "NASA and ESA", NO),
    (form(letters={"a": {"min": 2, "max": 2}}), "Aha", YES),
    (form(include=["tea", "green leaf"]), "Tea of a GREEN\nleaf", YES),
    (form(include=["tea"]), "a team", NO),
    (form(include={"tea": {"min": 2}}), "tea", NO),
    (form(include=["茶"]), "我喜欢茶", YES),
    (form(exclude=["network"]), "a Network.", NO),
    (form(starts_with="Dear"), "\n Dear you", YES),
    (form(ends_with="Bye."), "So. Bye. Now", NO),
    (form(case="lower"), "all low 1", YES),
    (form(case="upper"), "ALL BUT one", NO),
    (form(case="title"), "It's A Title Of Its Own", YES),
    (form(case="title"), "Not a Title", NO),
    (form(no=",;"), "a, b", NO),
    (form(title=True), "<<Joy>>\ntext", YES),
    (form(title=True), "<<>>", NO),
    (form(postscript="P.S."), "Hi\n\nP.S. more", YES),
    (form(postscript="P.S."), "P.S. more\n\nHi", NO),
    (form(quoted=True), '"whole"', YES),
    (form(quoted=True), '"half', NO),
    (form(responses=2), "a\n******\nb", YES),
    (form(responses=2), "a\n******\n a ", NO),
    (form(json_keys=["a"]), '```json\n{"a": 1}\n```', YES),
    (form(json_keys=["a"]), '["a"]', NO),
    (form(json_keys=[]), DEEP, NO),
    (form(script="devanagari"), "नमस्ते, 123", YES),
    (form(script="latin"), "Привет", NO),
    (form(script="latin"), "123", NO),
    (form(script="cjk"), "\u202e漢字\u202c", YES),
    *((form(**one), text, NO) for one in (
        {"words": {"min": 10**7}}, {"sentences": {"min": 10**7}}, {"highlights": {"min": 10**7}},
        {"paragraphs": {"min": 10**7}}, {"placeholders": {"min": 10**7}}, {"include": ["ab cd"]},
        {"sections": {"S": {"min": 10**7}}}, {"bullets": {"min": 10**7}},
    ) for text in ("*" * MANY, "[" * MANY, "\n" * MANY, "*a " * (MANY // 3), ". " * MANY)),
]  # fmt: skip
COMPOSED: list[Case] = [
    (both(number(), form(words={"max": 3})), "It is 42", YES),
    (both(number(), form(words={"max": 2})), "It is 42", NO),
    (either(exact("x"), number()), "42", YES),
    (either(exact("x"), number()), "43", NO),
    (both(either(exact("a"), exact("b")), regex("b")), "b", YES),
]
TABLE = [*EXACT, *NUMBER, *CHOICE, *REGEX, *SCHEMA, *FORMAT, *COMPOSED]


def name_of(case: object) -> str | None:
    return (
        repr(case)[:60].encode("ascii", "backslashreplace").decode()
        if not isinstance(case, bool)
        else None
    )


@pytest.mark.parametrize(("spec", "answer", "passes"), TABLE, ids=name_of)
def test_an_answer_is_found_right_or_wrong(spec: Spec, answer: str, passes: bool) -> None:
    found = grade(spec, answer)
    assert isinstance(found, Check), found
    assert found.passed is passes, found.why
    assert found.why
    assert len(found.why) <= 500
    found.why.encode()
    assert "\0" not in found.why
    assert grade(spec, answer) == found


CANNOT_TELL: list[tuple[Spec, str, str]] = [
    (regex(r"(a|aa)+$"), "a" * 60 + "b", "timeout"),
    (regex("(?:a{1,1000}){1,1000}b"), "a" * 5000, "timeout"),
    (schema({"pattern": r"(a|aa)+$"}), json.dumps("a" * 60 + "b"), "timeout"),
    (
        schema({"patternProperties": {r"(a|aa)+$": True}}),
        json.dumps({"a" * 60 + "b": 1}),
        "timeout",
    ),
    (
        schema({"patternProperties": {r"(a|aa)+$": True}, "additionalProperties": False}),
        json.dumps({"a" * 60 + "b": 1}),
        "timeout",
    ),
    (
        schema(
            {
                "$defs": {
                    f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)
                }
                | {"d40": True},
                "$ref": "#/$defs/d0",
            }
        ),
        "1",
        "timeout",
    ),
    (
        schema({"additionalProperties": False, "patternProperties": {r"(a|aa)+$": True}}),
        json.dumps({"a" * 60 + "b": 1}),
        "timeout",
    ),
    (schema({"$ref": "#/nowhere"}), "1", "broken"),
    (schema({"$ref": "#"}), "1", "broken"),
    (both(number(), regex(r"(a|aa)+$")), "a" * 60 + "b", "timeout"),
    (either(number(), regex(r"(a|aa)+$")), "a" * 60 + "b", "timeout"),
    (exact("a"), "a" * (LONGEST_ANSWER + 1), "too_large"),
    ({"kind": "number"}, "1", "broken"),
    ({"kind": "nothing"}, "1", "broken"),
]


@pytest.mark.usefixtures("_short_limits")
@pytest.mark.parametrize(("spec", "answer", "kind"), CANNOT_TELL, ids=name_of)
def test_what_cannot_be_told_is_an_error_not_a_fail(spec: Spec, answer: str, kind: str) -> None:
    found = grade(spec, answer)
    assert isinstance(found, CheckFailure), found
    assert found.kind == kind
    assert found.message


def test_no_schema_is_fetched_whatever_was_overlooked() -> None:
    with pytest.raises(CheckError, match="refers to what it does not hold"):
        _validated(1, {"$ref": "http://127.0.0.1:9/schema"})


@pytest.mark.usefixtures("_short_limits")
def test_any_needs_one_that_can_tell() -> None:
    answer = "a" * 50 + "b"
    found = grade(either(regex(r"(a|aa)+$"), exact(answer)), answer)
    assert isinstance(found, Check)
    assert found.passed


@pytest.mark.usefixtures("_short_limits")
def test_a_pattern_that_calls_itself_takes_no_more_than_its_share() -> None:
    found = grade(regex("(?R)"), "a")
    assert isinstance(found, CheckFailure)
    assert found.kind in ("timeout", "too_large")


def test_the_table_is_as_large_as_promised() -> None:
    assert len(TABLE) + len(CANNOT_TELL) >= 200
    kinds = {spec["kind"] for spec, _, _ in TABLE}
    assert kinds | {"python_tests"} == set(plugins.names("checkers"))


@pytest.mark.parametrize(
    "spec",
    [
        exact("a", normalise=True),
        number(),
        choice(),
        regex("a+b"),
        schema(OBJECT),
        form(words={"max": 3}, sentences={"min": 1}, script="latin"),
    ],
    ids=lambda spec: str(spec["kind"]),
)
@given(answer=HOSTILE)
def test_any_text_comes_to_a_finding(spec: Spec, answer: str) -> None:
    found = grade(spec, answer)
    assert isinstance(found, Check)
    found.why.encode()


def test_a_check_needs_no_more_memory_than_a_few_times_the_answer() -> None:
    tracemalloc.start()
    for spec, text in (
        (number(), "1," * MANY),
        (form(words={"max": 1}), "a " * MANY),
        (choice(), "A or " * MANY),
    ):
        grade(spec, text)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200 * 2**20


WRONG: list[tuple[Spec, str]] = [
    ({}, "needs 'kind', one of all, any, choice, exact"),
    ({"kind": 1}, "needs 'kind'"),
    ({"kind": "nothing"}, "no checker 'nothing'; there are: all, any, choice, exact, format"),
    ({"kind": "number", "valeu": 1}, r"option 'va.*valid here: value, tolerance"),
    (number("many"), "option 'value'.*got 'many'"),
    (number("NaN"), "option 'value'"),
    (number(1, tolerance=-1), "option 'tolerance'"),
    (number(1, where="middle"), "option 'where'.*'last', 'first', 'boxed' or 'only'"),
    (choice("BC"), "option 'value'"),
    (choice("B", letters="AAB"), "each once"),
    (form(include={}), "give at least one constraint"),
    (form(starts_with=""), "give at least one constraint"),
    (choice("K"), "the right letter 'K' is none of 'ABCDEFGHIJ'"),
    (regex("("), "not a pattern"),
    (regex("(" * 1500 + ")" * 500), "not a pattern"),
    (regex("a" * 3000), "at most 2000 characters"),
    (schema({"type": "nothing"}), "not a JSON Schema"),
    (schema({"$ref": "http://127.0.0.1/s"}), "leads out of the schema"),
    (schema({"$ref": "file:///etc/passwd"}), "leads out of the schema"),
    (schema({"properties": {"a": {"pattern": "("}}}), "not a pattern"),
    (schema({"patternProperties": {"(": True}}), "not a"),
    (schema({"unevaluatedProperties": False, "patternProperties": {"a": True}}), "no time limit"),
    (schema(json.loads('{"not":' * 70 + "true" + "}" * 70)), "nested deeper"),
    (form(), "at least one constraint"),
    (form(words={}), "give `min`, `max` or both"),
    (form(words={"min": 3, "max": 2}), "min 3 is above max 2"),
    (form(word={"min": 3}), r"option 'word'.*valid here: characters, words"),
    (form(script="klingon"), "option 'script'"),
    ({"kind": "python_tests", "tests": "x = 1"}, "holds no `assert`"),
    ({"kind": "python_tests", "tests": "assert ("}, "not Python"),
    ({"kind": "python_tests", "tests": "assert math.floor(f(1)) == 1"}, "uses math without importing it"),
    ({"kind": "python_tests", "tests": "assert f()", "cpu_s": 1000}, "option 'cpu_s'"),
    (both(), "option 'of'"),
    (both({"kind": "number"}), "checker 'number': option 'value'"),
    (both(both(both(both(both(number()))))), "nested deeper than 4 levels"),
    ({"kind": "aaa.types"}, "lacks Options, check"),
]  # fmt: skip


@pytest.mark.parametrize(("spec", "message"), WRONG, ids=name_of)
def test_a_wrong_checker_is_refused_with_what_would_be_right(spec: Spec, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_checker(spec)


def test_the_score_is_the_share_that_holds() -> None:
    found = grade(form(words={"max": 9}, no=",", case="lower", include=["tea"]), "Tea, please")
    assert isinstance(found, Check)
    assert found.score == 0.5
    assert found.why == ("fails case: 'lower' wanted; no: ',' wanted | holds words, include 'tea'")
    half = grade(both(number(), exact("x")), "42")
    assert isinstance(half, Check)
    assert half.score == 0.5
    assert half.why.startswith("number passes: '42' is right; exact fails: ")


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 9999])
def test_what_is_told_can_be_stored(text: str) -> None:
    told = plain(text)
    told.encode()
    assert "\0" not in told
    assert len(told) <= 510
