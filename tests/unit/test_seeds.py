"""Seeds files: three formats, two forms of a prompt, and one clear error for each kind of bad row."""

import json
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.errors import InputError
from aaa.scenario import InlineSeed, Seeds
from aaa.seeds import load_seeds
from aaa.types import Message, Seed

TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi."},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "How late is it in Rome?"},
]


def load(folder: Path, text: str, name: str = "seeds.jsonl", **fields: Any) -> tuple[Seed, ...]:
    (folder / name).write_text(text, "utf-8")
    return load_seeds(Seeds(file=name, **fields), folder)


def jsonl(*rows: object) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def test_jsonl_rows_become_seeds_in_their_order(tmp_path: Path) -> None:
    checker = {"kind": "number", "value": 42, "tolerance": 0}
    first, second = load(
        tmp_path,
        jsonl(
            {"id": "b", "prompt": "6 x 7?", "reference": "42", "checker": checker, "tags": ["m"]},
            {"id": 7, "prompt": "你好吗？", "source": "another column"},
        ),
    )
    assert first == Seed(
        id="b",
        prompt=(Message(role="user", content="6 x 7?"),),
        reference="42",
        checker=checker,
        tags=("m",),
    )
    assert (second.id, second.prompt[0].content) == ("7", "你好吗？")


def test_several_files_are_one_set(tmp_path: Path) -> None:
    load(tmp_path, jsonl({"id": "a", "prompt": "1?"}), "one.jsonl")
    load(tmp_path, jsonl({"id": "b", "prompt": "2?"}, {"id": "c", "prompt": "3?"}), "two.jsonl")
    both = Seeds(file=("one.jsonl", "two.jsonl"), limit=2)
    assert [seed.id for seed in load_seeds(both, tmp_path)] == ["a", "b"]
    load(tmp_path, jsonl({"id": "b", "prompt": "2?"}, {"id": "a", "prompt": "3?"}), "two.jsonl")
    with pytest.raises(InputError, match=r"two.jsonl: line 2: seed id 'a' stands already at .*one"):
        load_seeds(Seeds(file=("one.jsonl", "two.jsonl")), tmp_path)


def test_blank_lines_are_skipped_but_counted(tmp_path: Path) -> None:
    assert len(load(tmp_path, '\n{"prompt": "a"}\n\n{"prompt": "b"}\n')) == 2
    with pytest.raises(InputError, match="line 3: not readable as JSON"):
        load(tmp_path, '\n{"prompt": "a"}\n{\n')


def test_a_message_list_is_taken_as_it_is(tmp_path: Path) -> None:
    (seed,) = load(tmp_path, jsonl({"prompt": TALK}))
    assert [m.model_dump() for m in seed.prompt] == TALK


def test_another_field_may_hold_the_prompt(tmp_path: Path) -> None:
    (seed,) = load(tmp_path, jsonl({"question": "Why?", "prompt": 3}), prompt_field="question")
    assert seed.prompt[0].content == "Why?"


def test_the_limit_takes_the_first_and_never_reads_the_rest(tmp_path: Path) -> None:
    text = jsonl({"id": "a", "prompt": "a"}, {"id": "b", "prompt": "b"}) + "{broken"
    assert [seed.id for seed in load(tmp_path, text, limit=2)] == ["a", "b"]


def test_csv_takes_tags_between_semicolons_and_a_checker_as_json(tmp_path: Path) -> None:
    text = (
        "id,prompt,reference,checker,tags\r\n"
        'a,"Two lines:\nwhich?",one,"{""kind"": ""choice"", ""value"": ""A""}",x;y\r\n'
        ",No id,,,\r\n"
    )
    first, second = load(tmp_path, text, "seeds.csv")
    assert first.prompt[0].content == "Two lines:\nwhich?"
    assert (first.reference, first.checker) == ("one", {"kind": "choice", "value": "A"})
    assert first.tags == ("x", "y")
    assert (second.reference, second.checker, second.tags) == (None, None, ())
    assert re.fullmatch("[0-9a-f]{16}", second.id)


def test_parquet_takes_text_message_lists_and_nulls(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "prompt": TALK, "tags": ["x", "y"], "reference": "Noon."},
        {"id": None, "prompt": TALK[:2], "tags": None, "reference": None},
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "s.parquet")
    first, second = load_seeds(Seeds(file="s.parquet"), tmp_path)
    assert [m.model_dump() for m in first.prompt] == TALK
    assert (first.tags, first.reference) == (("x", "y"), "Noon.")
    assert (second.tags, second.reference) == ((), None)


def test_the_three_formats_give_the_same_seeds(tmp_path: Path) -> None:
    rows = [{"prompt": "one"}, {"prompt": "two"}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "s.parquet")
    from_parquet = load_seeds(Seeds(file="s.parquet"), tmp_path)
    assert load(tmp_path, jsonl(*rows)) == from_parquet
    assert load(tmp_path, "prompt\none\ntwo\n", "s.csv") == from_parquet


def test_inline_seeds_keep_all_their_fields(tmp_path: Path) -> None:
    talk = tuple(Message.model_validate(m) for m in TALK)
    checker: dict[str, object] = {"kind": "exact", "value": "A"}
    given = InlineSeed(prompt=talk, id="x", reference="r", checker=checker, tags=("t",))
    (seed,) = load_seeds(Seeds(inline=(given,)), tmp_path)
    assert seed == Seed(id="x", prompt=talk, reference="r", checker=checker, tags=("t",))


def test_an_id_that_is_not_given_depends_on_the_content_alone(tmp_path: Path) -> None:
    row = {"prompt": "a", "reference": "r"}
    here = load(tmp_path, jsonl({"prompt": "other"}, row))[1].id
    assert load(tmp_path, jsonl({**row, "id": "", "tags": None}), "2.jsonl")[0].id == here
    assert load(tmp_path, jsonl({**row, "reference": "s"}), "3.jsonl")[0].id != here
    assert load(tmp_path, jsonl({**row, "prompt": "b"}), "4.jsonl")[0].id != here


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_text_is_a_prompt_or_is_refused_for_being_empty(text: str) -> None:
    seeds = Seeds(inline=(InlineSeed(prompt=text),))
    if text.strip():
        assert load_seeds(seeds, Path())[0].prompt[0].content == text
    else:
        with pytest.raises(InputError, match="the prompt is empty"):
            load_seeds(seeds, Path())


GOOD = {"id": "good", "prompt": "fine"}
BAD_ROWS: dict[str, tuple[str, str]] = {
    "broken JSON": ('{"prompt": ', "not readable as JSON"),
    "no object": ('["a"]', "expected a JSON object, got '[\"a\"]'"),
    "no prompt": (
        '{"text": "a", "id": "b"}',
        "no field 'prompt' (the prompt); its fields: id, text",
    ),
    "nothing at all": ("{}", "no field 'prompt' (the prompt); its fields: none"),
    "prompt is null": ('{"prompt": null}', "no field 'prompt'"),
    "prompt is a number": ('{"prompt": 5}', "field 'prompt'"),
    "empty prompt": ('{"prompt": " "}', "the prompt is empty"),
    "empty list": ('{"prompt": []}', "field 'prompt'"),
    "unknown role": ('{"prompt": [{"role": "robot", "content": "a"}]}', "'prompt.0.role'"),
    "no content": ('{"prompt": [{"role": "user"}]}', "'prompt.0.content'"),
    "extra in message": (
        '{"prompt": [{"role": "user", "content": "a", "name": "b"}]}',
        "'prompt.0.name'",
    ),
    "NUL": ('{"prompt": "a\\u0000b"}', "the prompt holds a NUL character"),
    "NUL in the id": ('{"prompt": "a", "id": "b\\u0000"}', "field 'id' holds a NUL character"),
    "NUL in a tag": ('{"prompt": "a", "tags": ["\\u0000"]}', "field 'tags' holds a NUL character"),
    "NUL in the reference": (
        '{"prompt": "a", "reference": "\\u0000"}',
        "field 'reference' holds a NUL",
    ),
    "NUL in an answer": (
        '{"prompt": "a", "answer_a": "b\\u0000", "answer_b": "c"}',
        "an answer holds a NUL character",
    ),
    "NUL in a checker": (
        '{"prompt": "a", "checker": {"kind": "exact", "value": ["\\u0000"]}}',
        "field 'checker' holds a NUL character",
    ),
    "no number": ('{"prompt": "a", "checker": {"kind": "number", "value": NaN}}', "cannot be kept"),
    "id twice": ('{"prompt": "other", "id": "good"}', "seed id 'good' stands already at"),
    "checker is text": (
        '{"prompt": "a", "checker": "number"}',
        "field 'checker' must be an object that names its kind, such as {",
    ),
    "label is none": (
        '{"prompt": "a", "answer_a": "b", "answer_b": "c", "label": "d"}',
        "field 'label': must be 'a', 'b' or 'tie', got 'd'",
    ),
    "one answer": ('{"prompt": "a", "answer_a": "b"}', "field 'answer_b'"),
    "checker is broken": ('{"prompt": "a", "checker": "{"}', "not readable as JSON"),
    "checker of no kind": (
        '{"prompt": "a", "checker": {"value": 1}}',
        "needs 'kind', one of all, any",
    ),
    "checker of another kind": (
        '{"prompt": "a", "checker": {"kind": "numbre"}}',
        "field 'checker': no checker 'numbre'; there are: all, any, choice, exact",
    ),
    "checker with another option": (
        '{"prompt": "a", "checker": {"kind": "regex", "patern": "a"}}',
        "valid here: pattern",
    ),
    "checker that refers elsewhere": (
        '{"prompt": "a", "checker": {"kind": "json_schema", "schema": {"$ref": "http://x"}}}',
        "leads out of the schema",
    ),
    "tags are numbers": ('{"prompt": "a", "tags": [1]}', "field 'tags.0'"),
    "reference is a list": ('{"prompt": "a", "reference": ["x"]}', "field 'reference'"),
}


@pytest.mark.parametrize("kind", BAD_ROWS)
def test_a_bad_row_gives_one_error_that_names_file_and_line(tmp_path: Path, kind: str) -> None:
    line, says = BAD_ROWS[kind]
    with pytest.raises(InputError) as caught:
        load(tmp_path, jsonl(GOOD) + line + "\n")
    told = str(caught.value)
    assert told.startswith(f"{tmp_path / 'seeds.jsonl'}: line 2: ")
    assert says in told
    assert "\n" not in told


def test_a_csv_error_names_the_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"s\.csv: line 3: the prompt is empty"):
        load(tmp_path, 'id,prompt\na,fine\nb,""\n', "s.csv")


def test_a_comma_without_quotes_cuts_no_prompt_short(tmp_path: Path) -> None:
    text = "id,prompt\nq1,Why is the sky blue, in two words?\n"
    with pytest.raises(InputError, match=r"s\.csv: line 2: more cells than 2 columns: put quotes"):
        load(tmp_path, text, "s.csv")
    assert load(tmp_path, "id,prompt\nq1,Why?,\n", "t.csv")[0].prompt[0].content == "Why?"


def test_a_mark_at_the_files_start_is_no_text(tmp_path: Path) -> None:
    assert load(tmp_path, "\ufeffid,prompt\nq1,Why?\n", "s.csv")[0].id == "q1"
    assert load(tmp_path, "\ufeff" + jsonl(GOOD))[0].id == "good"


def test_a_long_cell_is_read_and_one_without_end_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (seed,) = load(tmp_path, f"prompt\n{'a' * 140_000}\n", "s.csv")
    assert len(seed.prompt[0].content) == 140_000
    monkeypatch.setattr("aaa.seeds.LONGEST_CELL", 9)
    with pytest.raises(InputError, match=r"t\.csv: line 2: not readable as CSV: field larger"):
        load(tmp_path, "prompt\n0123456789\n", "t.csv")


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"prompt": b"a"}, "prompt"),
        ({"prompt": "a", "reference": date(2031, 3, 1)}, "reference"),
        ({"prompt": "a", "id": "x", "checker": {"kind": "exact", "value": b"a"}}, "checker"),
    ],
)
def test_a_parquet_value_that_is_no_text_is_an_error(
    tmp_path: Path, row: dict[str, object], field: str
) -> None:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "s.parquet")
    with pytest.raises(InputError, match=rf"s\.parquet: row 1: field '{field}' cannot be kept"):
        load_seeds(Seeds(file="s.parquet"), tmp_path)


def test_a_parquet_error_names_the_row(tmp_path: Path) -> None:
    table = pyarrow.Table.from_pylist([{"prompt": "fine"}, {"prompt": "  "}])
    pyarrow.parquet.write_table(table, tmp_path / "s.parquet")
    with pytest.raises(InputError, match=r"s\.parquet: row 2: the prompt is empty"):
        load_seeds(Seeds(file="s.parquet"), tmp_path)


def test_an_inline_error_names_its_place() -> None:
    seeds = Seeds(inline=(InlineSeed(prompt="a"), InlineSeed(prompt="")))
    with pytest.raises(InputError, match=r"seeds\.inline\[1\]: the prompt is empty"):
        load_seeds(seeds, Path())


def _nothing(path: Path) -> None:
    """There is no such file."""


BAD_FILES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing": ("s.jsonl", _nothing, "cannot be read"),
    "folder": ("s.jsonl", Path.mkdir, "cannot be read"),
    "not UTF-8": ("s.jsonl", lambda p: p.write_bytes(b'{"prompt": "\xff"}'), "cannot be read"),
    "not UTF-8 CSV": ("s.csv", lambda p: p.write_bytes(b"prompt\n\xff"), "cannot be read"),
    "empty": ("s.jsonl", Path.touch, "there are no seeds in it"),
    "empty CSV": ("s.csv", Path.touch, "there are no seeds in it"),
    "other suffix": ("s.xlsx", Path.touch, "seeds files end in .jsonl, .csv, .parquet"),
    "not Parquet": ("s.parquet", lambda p: p.write_bytes(b"PAR1"), "not readable as Parquet"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_gives_one_error_that_names_it(tmp_path: Path, kind: str) -> None:
    name, make, says = BAD_FILES[kind]
    make(tmp_path / name)
    with pytest.raises(InputError, match=re.escape(says)) as caught:
        load_seeds(Seeds(file=name), tmp_path)
    assert name in str(caught.value)
