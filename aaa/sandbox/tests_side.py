"""The process in which the tests run. It asks the code of an answer over a channel. Standard library only.

The tests see stand-ins under the names that the code defines. A plain value crosses as what it is and is
compared here, so code that cannot see a test cannot make it hold. An object that is no plain value stays
over there, and takes no part in comparisons and arithmetic, which it would decide: an "equal to everything"
that a function returns equals nothing. Only where the tests name a class, by its capital letter, they leave
it to the code how its objects behave.
"""

import ast
import builtins
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from aaa.sandbox.answer_side import quiet
from aaa.sandbox.confine import Limits, confine
from aaa.sandbox.wire import Channel, Gone, pack, unpack


def main() -> None:
    """Arguments: as `answer_side.main`, then the channel's two ends, and the seconds the code may take."""
    folder, *limits, landlock, read, write, wall_s = sys.argv[1:9]
    stdin, stdout = quiet()
    with os.fdopen(stdin, "rb") as pipe:
        job = json.loads(pipe.read())
    os.set_blocking(int(write), False)
    try:
        confine(folder, Limits(*map(int, limits)), landlock == "1")
        channel = Channel(int(read), int(write), time.monotonic() + float(wall_s))
        report = _run(channel, job["code"], job["tests"])
    except OSError as error:
        report = {"unconfined": str(error)}
    os.write(stdout, json.dumps(report).encode())


def _run(channel: Channel, code: str, tests: str) -> dict[str, Any]:
    """`{"held", "of", "first"}`: how many tests hold of how many, and the first that does not."""
    tree = ast.parse(tests)
    peer = _Peer(channel)
    of = count(tree)
    try:
        ready = channel.receive()
        if "confined" not in ready:
            return {"unconfined": str(ready.get("unconfined", "did not say"))[:500]}
        names = peer.load(code, {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)})
    except Gone as gone:
        return {"held": 0, "of": of, "gone": str(gone)}
    except BaseException as error:  # noqa: BLE001 (whatever the code raises, it failed)
        return {"held": 0, "of": of, "first": f"the code raises {_told(error)}"}
    return _hold(tree, tests, names) | {"of": of, "files": ready["confined"]}


def is_test(node: ast.stmt) -> bool:
    """A statement that asserts something, or a function called `test…`, counts as one test."""
    if isinstance(node, ast.FunctionDef):
        return node.name.startswith("test")
    if isinstance(node, ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
        return False
    return any(isinstance(part, ast.Assert) for part in ast.walk(node))


def count(tree: ast.Module) -> int:
    return sum(map(is_test, tree.body))


def _hold(tree: ast.Module, source: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run the tests in their order. What is no test and fails ends them: nothing after it means anything."""
    space: dict[str, Any] = {"__name__": "tests", **names}
    held, first = 0, ""
    for node in tree.body:
        try:
            module = ast.Module([node], [])
            exec(compile(module, "tests", "exec"), space)  # noqa: S102 (our trade)
            if is_test(node) and isinstance(node, ast.FunctionDef):
                space[node.name]()
            held += is_test(node)
        except Gone as gone:
            return {"held": held, "first": first, "gone": str(gone)}
        except BaseException as error:  # noqa: BLE001 (as above)
            text = (ast.get_source_segment(source, node) or "")[:160]
            first = first or f"{text!r}: {_told(error)}"
            if not is_test(node):
                break
    return {"held": held, "first": first}


def _told(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {str(error)[:200]}"
    except Exception:  # noqa: BLE001 (an exception that cannot be printed)
        return type(error).__name__


class _Peer:
    """The other process, asked one thing at a time."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._given: list[Callable[..., object]] = []
        self._exceptions: dict[int, type[BaseException]] = {}
        self.named: set[int] = set()
        """Classes of the code that the tests name, each by a name with a capital."""

    def load(self, code: str, used: set[str]) -> dict[str, Any]:
        """Run the code over there; name -> value or stand-in. Built-in names stay ours."""
        found = self.ask("load", code=code)
        if not isinstance(found, dict):
            raise Gone("sent what is no message")
        names = {k: v for k, v in found.items() if isinstance(k, str) and not hasattr(builtins, k)}
        for name in {name for name in used & set(names) if name.strip("_")[:1].isupper()}:
            value = names[name]  # a function's name may be given to a class, but it has no capital
            if isinstance(value, Ref) and "class" in about(value):
                self.named.add(about(value)["at"])
        return names

    def ask(self, do: str, **what: object) -> Any:
        """What came of it. Raises what the code raised, as the nearest exception of ours; `Gone`."""
        self._channel.send({"do": do, **what})
        while True:
            message = self._channel.receive()
            try:
                if "ok" in message:
                    return unpack(message["ok"], self._find)
                if "raised" in message:
                    raise self._exception(message["raised"])
                self._call_back(int(message["back"]), message["args"])
            except (ValueError, LookupError, TypeError) as error:
                if "raised" in message:
                    raise
                raise Gone("sent what is no message") from error

    def pack(self, value: object) -> Any:
        return pack(value, self._keep)

    def _keep(self, value: object) -> dict[str, int]:
        if isinstance(value, Ref):
            return {"at": about(value)["at"]}
        for number, exception in self._exceptions.items():
            if value is exception:
                return {"at": number}
        if not callable(value):
            raise TypeError(f"a {type(value).__name__} cannot be given to the code")
        self._given.append(value)
        return {"back": len(self._given) - 1}

    def _find(self, what: dict[str, Any]) -> object:
        number = int(what["at"])
        if "raises" in what:
            base = _exception_called(what["raises"])
            made = type(str(what["class"]), (base,), {})
            return self._exceptions.setdefault(number, made)
        return Ref(self, {**what, "at": number})

    def _exception(self, raised: dict[str, Any]) -> BaseException:
        for number in raised["kinds"]:
            if number in self._exceptions:
                return self._exceptions[number](str(raised["text"]))
        made: BaseException = _exception_called(raised["as"])(str(raised["text"]))
        return made

    def _call_back(self, number: int, packed: Any) -> None:
        """The code calls a function of the tests that it was given. Only plain values go back to it."""
        given = self._given[number]
        arguments = unpack(packed, self._find)
        try:
            answer: dict[str, Any] = {"ok": pack(given(*arguments), self._keep)}
        except Exception as error:  # noqa: BLE001 (it is the code's to see)
            answer = {"failed": type(error).__name__, "text": str(error)[:1000]}
            if not hasattr(builtins, answer["failed"]):
                answer["failed"] = "RuntimeError"
        self._channel.send(answer)


def _exception_called(name: object) -> Any:
    kind = getattr(builtins, name, None) if isinstance(name, str) else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseException) else Exception


class Ref:
    """Something of the code's that is no plain value, as the tests see it."""

    def __init__(self, peer: _Peer, what: dict[str, Any]) -> None:
        object.__setattr__(self, "_peer", peer)
        object.__setattr__(self, "_about", what)

    def __call__(self, *args: object, **kwargs: object) -> Any:
        peer = _peer(self)
        return _ask(self, "call", args=peer.pack(args), kwargs=peer.pack(kwargs))

    def __getattr__(self, name: str) -> Any:
        return _ask(self, "get", name=name)

    def __setattr__(self, name: str, value: object) -> None:
        _ask(self, "set", name=name, value=_peer(self).pack(value))

    def __contains__(self, value: object) -> bool:
        if _decides(self):
            return bool(_operate(self, "__contains__", value))
        return any(item is value or item == value for item in self)

    def __iter__(self) -> Iterator[Any]:
        iterator = _operate(self, "__iter__")
        return iterator if isinstance(iterator, Ref) else iter(iterator)

    def __hash__(self) -> int:
        return int(_operate(self, "__hash__"))

    def __eq__(self, other: object) -> bool:
        return bool(_compare(self, "__eq__", other, about(self)["at"] == _number(other)))

    def __ne__(self, other: object) -> bool:
        return bool(_compare(self, "__ne__", other, about(self)["at"] != _number(other)))


def about(ref: Ref) -> dict[str, Any]:
    """What is known of it: its number; for a class its name; for an object the numbers of its classes."""
    known: dict[str, Any] = object.__getattribute__(ref, "_about")
    return known


def _peer(ref: Ref) -> _Peer:
    peer: _Peer = object.__getattribute__(ref, "_peer")
    return peer


def _number(value: object) -> int | None:
    return about(value)["at"] if isinstance(value, Ref) else None


def _ask(ref: Ref, do: str, **what: object) -> Any:
    return _peer(ref).ask(do, at=about(ref)["at"], **what)


def _operate(ref: Ref, name: str, *args: object) -> Any:
    return _ask(ref, "operate", name=name, args=_peer(ref).pack(args))


def _decides(ref: Ref) -> bool:
    """Whether the tests name its class as one, and so leave it to the code how its objects behave."""
    return bool(_peer(ref).named & set(about(ref).get("of", ())))


def _compare(ref: Ref, name: str, other: object, otherwise: bool) -> object:
    if not _decides(ref):
        return otherwise
    result = _operate(ref, name, other)
    return otherwise if result is NotImplemented else result


def _operator(name: str) -> Callable[..., Any]:
    def operate(self: Ref, *args: object) -> Any:
        if not _decides(self):
            return NotImplemented
        return _operate(self, name, *args)

    return operate


def _plain(name: str) -> Callable[..., Any]:
    def operate(self: Ref, *args: object) -> Any:
        result = _operate(self, name, *args)
        if result is NotImplemented:
            raise TypeError(f"the object has no {name}")
        return result

    return operate


for (
    _name
) in """lt le gt ge add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow
matmul rmatmul and rand or ror xor rxor lshift rshift iadd isub imul""".split():
    setattr(Ref, f"__{_name}__", _operator(f"__{_name}__"))
for _name in """next len bool str repr reversed getitem setitem delitem enter exit instancecheck
subclasscheck neg pos abs invert int float index round""".split():
    setattr(Ref, f"__{_name}__", _plain(f"__{_name}__"))
