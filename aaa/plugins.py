"""Plug-ins are files: `co_teaching` is `aaa/protocols/co_teaching.py`, `my.module` is any module of yours.

A family is a folder; what a file of that family must hold is said by its contract below and checked
when it is loaded. Adding one needs no registration anywhere.
"""

import hashlib
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple

from pydantic import ValidationError

from aaa.errors import InputError, NotFound
from aaa.play import Play
from aaa.types import Agent, Call, Cast, Check, Messages, Seed, Turn, Value, Verdict
from aaa.wording import sentences

Family = Literal["protocols", "judges", "checkers", "exporters"]
KINDS: Mapping[Family, str] = {
    "protocols": "protocol",
    "judges": "judging play",
    "checkers": "checker",
    "exporters": "export format",
}
"""Family -> what one of it is called."""


class Contest(Value):
    """Two answers to the same context, for a judging play to compare."""

    edge: str
    context: Messages
    a: Turn
    b: Turn
    reference: str | None = None
    salt: str
    """Drives the judging play's choices (labels, delimiters). Drawn from the texts themselves, so that no
    text can hold the delimiter it is put between."""
    purpose: str = "ballot"
    """Of the calls that ask for ballots: `ballot`, or `control` where the question is not the real one."""


class Protocol(NamedTuple):
    """A file in `aaa/protocols/`: `SEATS`, `CONTESTANTS`, `Options`, `play`; perhaps `OPTIONAL`, `lacks`,
    `made_up`."""

    id: str
    seats: dict[str, str]
    """Seat -> what its holders do; a scenario must fill each of them (`judge` included)."""
    optional: dict[str, str]
    """The same for seats that may be left empty."""
    contestants: Callable[[Any], tuple[str, ...]]
    """Options -> seats whose answers are compared, hence whose relatives may not judge."""
    options: type[Value]
    play: Callable[[Seed, Cast, Any], Play[None]]
    lacks: Callable[[Any, Mapping[str, tuple[str, ...]]], str | None] | None = None
    """(options, seat -> names of its holders) -> what does not fit, before a round; `None` is nothing."""
    made_up: Callable[[Call, int], str | None] | None = None
    """(call, number of the reply) -> what a dry run puts in place of a reply so that the most is asked, where
    the play reads replies by a rule; `None`: any text will do."""
    rehearsal: Callable[[Seed, Cast, Any], Callable[[Call], str]] | None = None
    """What made-up replies of a session end with, call by call, so that a dry run meets the most work."""
    juries: Callable[[Any, Mapping[str, tuple[str, ...]]], dict[str, tuple[str, ...]]] | None = None
    """(options, seat -> names of its holders) -> seat that judges -> whom it judges, beside `contestants`."""


class JudgingPlay(NamedTuple):
    """A file in `aaa/judges/`: `Options`, `play`, and `lacks` where its options name judges."""

    id: str
    options: type[Value]
    play: Callable[[Contest, tuple[Agent, ...], Any], Play[Verdict]]
    lacks: Callable[[Any, tuple[str, ...]], str | None] | None = None
    """(options, names of the judges seated) -> what does not fit, before a round; `None` is nothing."""


class Checker(NamedTuple):
    """A file in `aaa/checkers/`: `Options`, `check`."""

    id: str
    options: type[Value]
    check: Callable[[str, Any], Check]
    """(answer, options) -> what was found. Raises `CheckError` where that cannot be told. It may block for
    as long as it says, and is called off the event loop."""


def protocol(id: str) -> Protocol:
    """The protocol of that id. Raises `NotFound`, or `InputError` where the file breaks the contract."""
    module = _load("protocols", id)
    seats, contestants, options, play = _parts(module, "SEATS", "CONTESTANTS", "Options", "play")
    optional, lacks = getattr(module, "OPTIONAL", {}), getattr(module, "lacks", None)
    of = contestants if callable(contestants) else lambda _options: contestants
    more = (getattr(module, name, None) for name in ("made_up", "rehearsal", "juries"))
    return Protocol(id, seats, optional, of, options, play, lacks, *more)


def judging_play(id: str) -> JudgingPlay:
    """The judging play of that id. Raises as `protocol`."""
    module = _load("judges", id)
    options, play = _parts(module, "Options", "play")
    return JudgingPlay(id, options, play, getattr(module, "lacks", None))


def checker(id: str) -> Checker:
    """The checker of that kind. Raises as `protocol`."""
    return Checker(id, *_parts(_load("checkers", id), "Options", "check"))


def names(family: Family) -> list[str]:
    """Ids of the shipped plug-ins of a family, sorted."""
    package = importlib.import_module(f"aaa.{family}")
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name[0] != "_")


def source_hash(family: Family, id: str) -> str:
    """SHA-256 of what decides how a plug-in behaves: did it change since a round began?

    Its source and the prompt file beside it, and what its folder shares (`_*.py`); for a judging play the
    whole folder, since they ask each other.
    """
    path = Path(_load(family, id).__file__ or "")
    files = [path, path.with_suffix(".md")]
    folder = Path(importlib.import_module(f"aaa.{family}").__file__ or "").parent
    own = (file for file in folder.iterdir() if file.suffix in (".py", ".md"))
    files += sorted(file for file in own if family == "judges" or file.name.startswith("_"))
    digest = hashlib.sha256()
    for file in files:
        if file.exists():
            digest.update(file.read_bytes())
    return digest.hexdigest()


def options_of(kind: str, id: str, options: type[Value], given: dict[str, Any]) -> Value:
    """`given` as that plug-in's `Options`. Raises `InputError` naming the option and the valid ones."""
    try:
        return options.model_validate(given)
    except ValidationError as error:
        raise InputError(f"{kind} {id!r}: {sentences(options, error, 'option')[0]}") from error


def _load(family: Family, id: str) -> ModuleType:
    name = id if "." in id else f"aaa.{family}.{id}"
    try:
        found = id.replace(".", "").isidentifier() and importlib.util.find_spec(name)
    except ModuleNotFoundError:
        found = None
    if not found:
        raise NotFound(
            f"no {KINDS[family]} {id!r}; there are: {', '.join(names(family))}, "
            "or name a module of yours as `package.module`"
        )
    return importlib.import_module(name)


def _parts(module: ModuleType, *wanted: str) -> tuple[Any, ...]:
    missing = [name for name in wanted if not hasattr(module, name)]
    if missing:
        raise InputError(f"plug-in {module.__name__!r} lacks {', '.join(missing)}")
    return tuple(getattr(module, name) for name in wanted)
