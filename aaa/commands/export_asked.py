"""What `aaa export` was asked for, checked, and what scenarios say where the command says nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from aaa.commands.export_files import check_output, is_folder
from aaa.corpus import selection as selecting
from aaa.corpus.selection import Selection
from aaa.errors import InputError
from aaa.exporters import Exporter, exporter
from aaa.models.publishing import check_name
from aaa.quality import NONE, OF_EVALUATIONS, Condition, check_where

PARQUET = "parquet"


class Wanted(NamedTuple):
    """The arguments of `aaa export`."""

    rounds: tuple[str, ...]
    format: str
    output: str
    selectors: tuple[tuple[str, str], ...] = ()
    evaluations: tuple[Path, ...] = ()
    fail_if: tuple[str, ...] = ()
    since: tuple[Path, ...] = ()
    suffix: str | None = None
    """Of the files in a folder; `None`: `PARQUET`."""
    audit: bool = True
    push_to_hub: str | None = None
    """Name of a data set on the Hugging Face Hub that the folder is uploaded as."""
    public: bool = False


class Asked(NamedTuple):
    """The same, checked."""

    rounds: tuple[str, ...]
    made: Exporter
    output: str
    selection: Selection
    wanted: Wanted
    conditions: tuple[Condition, ...]
    by_scenario: tuple[str, ...] = ()
    """What of it the scenario says, as it would stand on the command."""


def checked(wanted: Wanted) -> Asked:
    """What can be told wrong before anything is read. Raises `InputError`, `NotFound`."""
    made = exporter(wanted.format)
    selection = _selection(wanted, _selectors(wanted))
    check_output(wanted.output)
    if made.made_of == "records":
        selecting.for_pairs(selection)
    else:
        selecting.for_sessions(selecting.parse(wanted.selectors), wanted.format)
        _only_for_pairs(wanted)
    _check_used(wanted)
    if wanted.push_to_hub is not None:
        check_name(wanted.push_to_hub)
        if not is_folder(wanted.output):
            raise InputError("--push-to-hub uploads a folder: give -o a name that ends in /")
    rounds = tuple(dict.fromkeys(wanted.rounds))
    return Asked(rounds, made, wanted.output, selection, wanted, _conditions(wanted.fail_if))


def _check_used(wanted: Wanted) -> None:
    """Raises `InputError` for an option that nothing would come of."""
    if wanted.public and wanted.push_to_hub is None:
        raise InputError("--public is for --push-to-hub")
    if is_folder(wanted.output) and not wanted.audit:
        raise InputError("--no-audit is for a file: a folder is a set, which has card and audit")
    if wanted.suffix is not None and not is_folder(wanted.output):
        raise InputError("--as is for a folder: of a file the name says what it is")


def settled(asked: Asked, scripts: Mapping[str, Any]) -> Asked:
    """The same with the scenarios' gates and conditions, each where the command has none.

    Raises `InputError` where scenarios differ.
    """
    wanted = asked.wanted
    gates: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    if not any(name == "gate" for name, _ in wanted.selectors):
        gates = _agreed(scripts, "gate")
        own = tuple(("gate", text) for text in gates)
        wanted = wanted._replace(selectors=(*wanted.selectors, *own))
    if not wanted.fail_if:
        conditions = _agreed(scripts, "fail_if")
        wanted = wanted._replace(fail_if=conditions)
    wanted = wanted._replace(selectors=_selectors(wanted))
    said = (*(f"--gate {text}" for text in gates), *(f"--fail-if '{text}'" for text in conditions))
    return asked._replace(
        wanted=wanted,
        selection=_selection(wanted, wanted.selectors),
        conditions=_conditions(wanted.fail_if),
        by_scenario=said,
    )


Selectors = tuple[tuple[str, str], ...]


def _selectors(wanted: Wanted) -> Selectors:
    """Evaluation files mean contamination, unless what they are for is said, or that no gate shall hold."""
    gates = {text.partition("=")[0] for name, text in wanted.selectors if name == "gate"}
    said = not gates.isdisjoint((*OF_EVALUATIONS, NONE))
    mean = () if said or not wanted.evaluations else (("gate", "contamination"),)
    return (*wanted.selectors, *mean)


def _selection(wanted: Wanted, selectors: Selectors) -> Selection:
    selection = selecting.parse(selectors)
    check_where(selection.gate, evaluations=bool(wanted.evaluations))
    return selection


def _conditions(texts: tuple[str, ...]) -> tuple[Condition, ...]:
    return tuple(Condition.parse(text) for text in texts if text != NONE)


def _agreed(scripts: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """What the `export` of every round's scenario has under that key."""
    found = {id: tuple(script["scenario"]["export"][key]) for id, script in scripts.items()}
    if len(set(found.values())) > 1:
        each = "; ".join(f"{id} {', '.join(texts) or NONE}" for id, texts in found.items())
        raise InputError(
            f"the rounds' scenarios differ in `export.{key}` ({each}): "
            f"say --{key.replace('_', '-')} for all of them, or `{NONE}`"
        )
    return next(iter(found.values()), ())


def _only_for_pairs(wanted: Wanted) -> None:
    given = {"--eval": wanted.evaluations, "--fail-if": wanted.fail_if, "--since": wanted.since}
    wrong = [name for name, values in given.items() if values]
    if wrong or is_folder(wanted.output):
        raise InputError(
            f"format {wanted.format!r} is made of whole sessions: "
            f"{', '.join(wrong) or 'a folder'} is for formats of pairs"
        )
