"""What crosses between two confined processes: values whole, nonsense refused, the clock obeyed."""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aaa.sandbox.wire import LONGEST_FRAME, Channel, Gone, pack, unpack

Pipe = tuple[int, int]
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.complex_numbers(allow_nan=False) | st.decimals(allow_nan=False) | st.fractions()
    | st.dates() | st.datetimes() | st.times() | st.timedeltas(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner)
    | st.sets(st.integers()) | st.frozensets(st.text()),
    max_leaves=10,
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["int", "list", "dict", "ref", "Decimal", "date", "range", "span", "0x1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=8,
)  # fmt: skip


def nothing(value: object) -> Any:
    raise AssertionError(value)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@given(PLAIN)
def test_a_plain_value_comes_back_as_it_was(value: object) -> None:
    back = unpack(json.loads(json.dumps(pack(value, nothing))), nothing)
    assert back == value
    assert type(back) is type(value)


@given(JSON)
def test_nonsense_is_refused_in_one_way(packed: Any) -> None:
    with contextlib.suppress(ValueError):
        unpack(packed, lambda about: about)


@pytest.mark.parametrize(
    "packed",
    [5, "a", [], ["int"], ["int", 5], ["int", "x"], ["nothing", 1], ["set", [["list", []]]],
     ["dict", [[1]]], ["range", [1, 2, 0]], ["date", "x"], ["Fraction", "1/0"], ["span", [1e400, 0, 0]], {}],
    ids=repr,
)  # fmt: skip
def test_what_is_no_value(packed: Any) -> None:
    with pytest.raises(ValueError):
        unpack(packed, nothing)


def test_messages_in_their_order(pipe: Pipe) -> None:
    channel = Channel(*pipe)
    channel.send({"a": 1})
    channel.send({"b": "é" * 1000})
    assert (channel.receive(), channel.receive()) == ({"a": 1}, {"b": "é" * 1000})


@pytest.mark.parametrize(
    "sent", [b"\xff\xff\xff\xff", b"\0\0\0\2[]", b"\0\0\0\1{", b"\0\0\0\2\xff\xff", b""]
)
def test_what_is_no_message(pipe: Pipe, sent: bytes) -> None:
    read, write = pipe
    os.write(write, sent + b"\0" * 4)
    with pytest.raises(Gone, match="no message"):
        Channel(read, write).receive()


def test_an_end_is_told(pipe: Pipe) -> None:
    read, write = os.pipe()
    os.close(write)
    with pytest.raises(Gone, match="ended"):
        Channel(read, pipe[1]).receive()
    os.close(read)


def test_time_is_up_also_where_there_is_something_to_read(pipe: Pipe) -> None:
    channel = Channel(*pipe, until=time.monotonic() + 60)
    channel.send({"a": 1})
    channel.until = time.monotonic() - 1
    with pytest.raises(Gone, match="too long"):
        channel.receive()


def test_waiting_ends(pipe: Pipe) -> None:
    with pytest.raises(Gone, match="too long"):
        Channel(*pipe, until=time.monotonic() + 0.01).receive()


def test_what_is_too_large_is_not_sent(pipe: Pipe) -> None:
    with pytest.raises(ValueError, match="larger"):
        Channel(*pipe).send("a" * LONGEST_FRAME)
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="too deep"):
        Channel(*pipe).send(deep)
