"""What two confined processes say to each other: frames of JSON, and values as data. Standard library only.

A frame is four bytes of length and so much JSON. A value travels as what it is made of; what is no plain
value stays where it is and travels as a reference. Nothing that is read here can run: no pickle, no names
looked up.
"""

import datetime
import decimal
import fractions
import json
import os
import select
import time
from collections.abc import Callable
from typing import Any

LONGEST_FRAME = 8 * 2**20
"""Bytes."""


class Gone(BaseException):
    """The other side ended, was too late, or sent what is no frame. No `Exception`: no test may catch it."""


class Channel:
    """Frames over two pipes. `until`: when waiting ends, on the monotonic clock; `None` waits for ever."""

    def __init__(self, read: int, write: int, until: float | None = None) -> None:
        self._read, self._write, self.until = read, write, until

    def send(self, message: object) -> None:
        """Raises `Gone`; `ValueError` where the message is too large or nested too deep."""
        try:
            body = json.dumps(message).encode()
        except RecursionError as error:
            raise ValueError("nested too deep") from error
        if len(body) > LONGEST_FRAME:
            raise ValueError(f"larger than {LONGEST_FRAME} bytes")
        left = memoryview(len(body).to_bytes(4, "big") + body)
        while left:
            self._wait(writing=True)
            try:
                left = left[os.write(self._write, left[:65536]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise Gone("ended") from error

    def receive(self) -> dict[str, Any]:
        """The next message. Raises `Gone`."""
        size = int.from_bytes(self._exactly(4), "big")
        if size > LONGEST_FRAME:
            raise Gone("sent what is no message")
        try:
            message = json.loads(self._exactly(size))
        except (ValueError, RecursionError) as error:
            raise Gone("sent what is no message") from error
        if not isinstance(message, dict):
            raise Gone("sent what is no message")
        return message

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            self._wait(writing=False)
            part = os.read(self._read, min(size, 1 << 20))
            if not part:
                raise Gone("ended")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _wait(self, writing: bool) -> None:
        if self.until is None:
            return
        left = self.until - time.monotonic()
        if left <= 0:
            raise Gone("took too long")  # also where there is always something to read
        pipe = [self._write if writing else self._read]
        ready = select.select([] if writing else pipe, pipe if writing else [], [], left)
        if not any(ready):
            raise Gone("took too long")


Keep = Callable[[object], Any]
"""Something that is no plain value -> how it travels."""
Find = Callable[[Any], object]
"""And back."""


def pack(value: Any, keep: Keep) -> Any:
    """A value as JSON. Subclasses of plain types travel as the plain type."""
    if value is None or isinstance(value, bool):
        return value
    for kind, (tag, parts) in _PACKED.items():
        if isinstance(value, kind):
            return [tag, parts(value, keep)]
    return ["ref", keep(value)]


def unpack(packed: Any, find: Find) -> Any:
    """The value again. Raises `ValueError` where it is none."""
    if packed is None or isinstance(packed, bool):
        return packed
    if not (isinstance(packed, list) and len(packed) == 2):
        raise ValueError("not a packed value")
    tag, parts = packed
    if tag == "ref":
        return find(parts)
    if not isinstance(tag, str) or tag not in _UNPACKED:
        raise ValueError("not a packed value")
    try:
        return _UNPACKED[tag](parts, find)
    except (TypeError, KeyError, OverflowError, ArithmeticError, AttributeError) as error:
        raise ValueError("not a packed value") from error


def _items(iterate: Callable[[Any], Any]) -> Callable[[Any, Keep], list[Any]]:
    return lambda value, keep: [pack(item, keep) for item in iterate(value)]


def _pairs(value: Any, keep: Keep) -> list[Any]:
    return [[pack(key, keep), pack(item, keep)] for key, item in dict.items(value)]


def _text(value: Any, _: Keep) -> str:
    return str(value)


_PACKED: dict[type, tuple[str, Callable[[Any, Keep], Any]]] = {
    str: ("str", lambda value, _: str.__str__(value)),
    int: ("int", lambda value, _: hex(int.__index__(value))),
    float: ("float", lambda value, _: float.hex(value)),
    complex: ("complex", lambda value, _: [value.real.hex(), value.imag.hex()]),
    list: ("list", _items(list.__iter__)),
    tuple: ("tuple", _items(tuple.__iter__)),
    set: ("set", _items(set.__iter__)),
    frozenset: ("frozenset", _items(frozenset.__iter__)),
    dict: ("dict", _pairs),
    bytes: ("bytes", lambda value, _: bytes.hex(value)),
    bytearray: ("bytearray", lambda value, _: bytearray.hex(value)),
    range: ("range", lambda value, _: [value.start, value.stop, value.step]),
    decimal.Decimal: ("Decimal", _text),
    fractions.Fraction: ("Fraction", _text),
    datetime.datetime: ("datetime", lambda value, _: datetime.datetime.isoformat(value)),
    datetime.date: ("date", lambda value, _: datetime.date.isoformat(value)),
    datetime.time: ("time", lambda value, _: datetime.time.isoformat(value)),
    datetime.timedelta: ("span", lambda v, _: [v.days, v.seconds, v.microseconds]),
    type(...): ("ellipsis", lambda _, __: None),
    type(NotImplemented): ("notimplemented", lambda _, __: None),
}

_UNPACKED: dict[str, Callable[[Any, Find], Any]] = {
    "str": lambda parts, _: _only(str, parts),
    "int": lambda parts, _: int(_only(str, parts), 16),
    "float": lambda parts, _: float.fromhex(parts),
    "complex": lambda parts, _: complex(*map(float.fromhex, parts)),
    "list": lambda parts, find: [unpack(part, find) for part in parts],
    "tuple": lambda parts, find: tuple(unpack(part, find) for part in parts),
    "set": lambda parts, find: {unpack(part, find) for part in parts},
    "frozenset": lambda parts, find: frozenset(unpack(part, find) for part in parts),
    "dict": lambda parts, find: {unpack(k, find): unpack(v, find) for k, v in parts},
    "bytes": lambda parts, _: bytes.fromhex(parts),
    "bytearray": lambda parts, _: bytearray.fromhex(parts),
    "range": lambda parts, _: range(*parts),
    "Decimal": lambda parts, _: decimal.Decimal(_only(str, parts)),
    "Fraction": lambda parts, _: fractions.Fraction(_only(str, parts)),
    "datetime": lambda parts, _: datetime.datetime.fromisoformat(parts),
    "date": lambda parts, _: datetime.date.fromisoformat(parts),
    "time": lambda parts, _: datetime.time.fromisoformat(parts),
    "span": lambda parts, _: datetime.timedelta(*parts),
    "ellipsis": lambda _, __: ...,
    "notimplemented": lambda _, __: NotImplemented,
}


def _only(kind: type[str], value: Any) -> str:
    if not isinstance(value, kind):
        raise TypeError
    return value
