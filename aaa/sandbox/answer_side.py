"""The process in which the code of an answer runs: confined, then told what to call. Standard library only.

It holds no test, no expected value and no way to our process: whatever the code does to what it finds in
here, it can only answer what it is asked. Its output goes nowhere.
"""

import builtins
import contextlib
import os
import sys
import types
from collections.abc import Callable
from typing import Any

from aaa.sandbox.confine import Limits, confine
from aaa.sandbox.wire import Channel, Gone, pack, unpack

NAME = "answer"
"""What the code's module is called: not `__main__`, so that its demonstrations do not run."""


def main() -> None:
    """Arguments: folder, `Limits` (parent, CPU seconds, MiB), whether to look for Landlock (`1`)."""
    folder, *limits, landlock = sys.argv[1:6]
    channel = Channel(*quiet())
    try:
        files = confine(folder, Limits(*map(int, limits)), landlock == "1")
    except OSError as error:
        channel.send({"unconfined": str(error)})
        return
    channel.send({"confined": files})
    sys.path.pop(0)  # where this file was found
    for name in [name for name in sys.modules if name.partition(".")[0] == "aaa"]:
        del sys.modules[name]
    with contextlib.suppress(Gone):
        _Agent(channel).serve()


def quiet() -> tuple[int, int]:
    """Take stdin and stdout for the channel, and leave the code `/dev/null` in their place."""
    read, write = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.close(nothing)
    return read, write


class _Agent:
    """Does what the tests' side asks, on objects that stay here under a number."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._kept: dict[int, object] = {}
        self._numbers: dict[int, int] = {}

    def serve(self) -> None:
        while True:
            self._answer(self._channel.receive())

    def _answer(self, asked: dict[str, Any]) -> None:
        try:
            result = {"ok": self._pack(_DO[asked["do"]](self, asked))}
            self._channel.send(result)
        except Gone:
            raise
        except BaseException as error:  # noqa: BLE001 (whatever it is, it is told)
            self._channel.send(self._raised(error))

    def _load(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Run the code; the names that it defines, with what they stand for."""
        module = types.ModuleType(NAME)
        sys.modules[NAME] = module
        exec(compile(asked["code"], f"{NAME}.py", "exec"), module.__dict__)  # noqa: S102 (our trade)
        return {name: v for name, v in vars(module).items() if not name.startswith("__")}

    def _call(self, asked: dict[str, Any]) -> object:
        arguments = self._unpack(asked["args"])
        return self._at(asked)(*arguments, **self._unpack(asked["kwargs"]))

    def _operate(self, asked: dict[str, Any]) -> object:
        """A special method by its name, as the interpreter would call it."""
        arguments = self._unpack(asked["args"])
        target = self._at(asked)
        if asked["name"] in _BY_BUILTIN:
            return _BY_BUILTIN[asked["name"]](target, *arguments)
        method = getattr(type(target), asked["name"], None)
        return NotImplemented if method is None else method(target, *arguments)

    def _at(self, asked: dict[str, Any]) -> Any:
        return self._kept[asked["at"]]

    def _get(self, asked: dict[str, Any]) -> object:
        return getattr(self._at(asked), asked["name"])

    def _set(self, asked: dict[str, Any]) -> None:
        setattr(self._at(asked), asked["name"], self._unpack(asked["value"]))

    # --- values ---

    def _pack(self, value: object) -> Any:
        return pack(value, self._keep)

    def _keep(self, value: object) -> dict[str, Any]:
        """A number for an object, and what the other side must know of it."""
        about: dict[str, Any] = {"at": self._number(value)}
        if isinstance(value, type):
            about["class"] = value.__name__
            if issubclass(value, BaseException):
                about["raises"] = _builtin(value)
        elif type(value).__module__ == NAME:
            about["of"] = [self._number(kind) for kind in type(value).__mro__[:-1]]
        return about

    def _number(self, value: object) -> int:
        number = self._numbers.setdefault(id(value), len(self._numbers) + 1)
        self._kept[number] = value  # kept for good, so that its `id` is not given to another
        return number

    def _unpack(self, packed: Any) -> Any:
        return unpack(packed, self._find)

    def _find(self, about: dict[str, int]) -> object:
        return self._kept[about["at"]] if "at" in about else self._theirs(about["back"])

    def _theirs(self, number: int) -> Callable[..., object]:
        """A function of the tests, given as an argument: calling it asks them."""

        def call_back(*arguments: object) -> object:
            self._channel.send({"back": number, "args": pack(arguments, self._keep)})
            while True:
                message = self._channel.receive()
                if "do" in message:  # they ask something of ours before they answer
                    self._answer(message)
                elif "failed" in message:
                    raise getattr(builtins, message["failed"])(message["text"])
                else:
                    return self._unpack(message["ok"])

        return call_back

    def _raised(self, error: BaseException) -> dict[str, Any]:
        kinds = [self._number(kind) for kind in type(error).__mro__ if kind.__module__ == NAME]
        try:
            text = str(error)[:1000]
        except BaseException:  # noqa: BLE001 (an exception that cannot be printed)
            text = "?"
        name = type(error).__name__[:100]
        return {"raised": {"name": name, "kinds": kinds, "as": _builtin(type(error)), "text": text}}


def _builtin(kind: type) -> str:
    """Name of the nearest exception that every Python has."""
    names: list[str] = [k.__name__ for k in kind.__mro__ if vars(builtins).get(k.__name__) is k]
    return names[0]


_DO: dict[str, Callable[[_Agent, dict[str, Any]], object]] = {
    "load": _Agent._load,
    "call": _Agent._call,
    "operate": _Agent._operate,
    "get": _Agent._get,
    "set": _Agent._set,
}
_BY_BUILTIN: dict[str, Callable[..., object]] = {
    "__iter__": iter, "__next__": next, "__len__": len, "__bool__": bool, "__str__": str,
    "__repr__": repr, "__hash__": hash, "__reversed__": reversed, "__instancecheck__":
    lambda kind, value: isinstance(value, kind), "__subclasscheck__":
    lambda kind, value: issubclass(value, kind), "__contains__": lambda target, value: value in target,
}  # fmt: skip
