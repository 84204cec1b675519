"""`aaa export`: pairs of rounds as data that trains, with what is to be known of it; whole, or not there."""

import asyncio
import gc
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aaa
from aaa.client import Client
from aaa.commands.export_asked import PARQUET, Asked, Wanted, checked, settled
from aaa.commands.export_files import (
    Parts,
    beside,
    check_unaudited,
    draft_papers,
    hashes_beside,
    is_folder,
    papers,
    whole_folder,
    write_papers,
)
from aaa.commands.export_source import Opened, opened
from aaa.commands.opening import say, show_rows
from aaa.corpus import conditions as failing
from aaa.corpus import selection as selecting
from aaa.corpus.audit import Audit
from aaa.corpus.contamination import Evaluations, Neighbours, texts_of
from aaa.corpus.families import part_of
from aaa.corpus.files import kind_of, open_sink, whole
from aaa.corpus.gates import Known
from aaa.corpus.sieve import Around, Sieve, limits, parted, sifted
from aaa.errors import InputError
from aaa.exporters import Row, exporter, fresh_rows, line
from aaa.failpoints import hit
from aaa.models.publishing import publish
from aaa.quality import OF_EVALUATIONS
from aaa.records import is_pair, pair_of
from aaa.seeds import read_rows
from aaa.settings import Settings
from aaa.states import ENDED
from aaa.types import fingerprint

LIBRARIES = ("pyarrow", "numpy", "datasketch")
"""Whose versions may change what is exported."""
OF_SESSIONS = ("transcripts", "verdicts")
"""What a folder holds beside its pairs, each a config of its own."""


async def export(settings: Settings, wanted: Wanted) -> int:
    """Write the rounds' rows. Raises `InputError`, `NotFound`, `SetupError`, `Refused`."""
    asked = checked(wanted)
    async with opened(settings) as place:
        if asked.made.made_of == "transcripts":
            count = await _sessions(place.client, asked)
        else:
            with seldom_collected():
                count = await _pairs(place, asked)
    if wanted.output != "-":
        say(f"{count} rows written to {wanted.output}")
    if wanted.push_to_hub is not None:
        folder, message = Path(wanted.output), f"Export of {', '.join(asked.rounds)}"
        send = partial(publish, private=not wanted.public, message=message)
        say(f"uploaded: {await asyncio.to_thread(send, folder, wanted.push_to_hub)}")
    return 0


@contextmanager
def seldom_collected() -> Iterator[None]:
    """With cycles looked for less often: records have none, and the search would take half of the time."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 50, 100)
    gc.freeze()  # what was imported stays anyway
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


# Pairs


async def _pairs(place: Opened, asked: Asked) -> int:
    scripts = {id: await place.client.script(id) for id in asked.rounds}
    asked = settled(asked, scripts)
    if asked.by_scenario:
        say(f"The scenario asks for {' '.join(asked.by_scenario)}; say `none` to do without.")
    around = await asyncio.to_thread(around_of, asked, scripts)
    source = place.source(asked.rounds, words=asked.made.words)
    sieve = Sieve(asked.selection, around, await limits(source, asked.selection, around))
    audit = Audit(of_agents(scripts, "family"))
    rows = _rows(aclosing(sifted(source, sieve)), asked, audit)
    if asked.output == "-":
        count = await _to_stdout(rows)
        if asked.conditions:
            told = await audited(place.client, asked, audit, scripts, {})
            failing.check(asked.conditions, told["metrics"])
        return count
    write = _to_folder if is_folder(asked.output) else _to_file
    return await write(place, asked, rows, audit, scripts)


Rows = AsyncIterator[list[tuple[str, Row]]]
"""Some rows at a time, each with the family of its seed."""


async def _rows(found: Any, asked: Asked, audit: Audit) -> Rows:
    """The rows of kept records; whatever becomes of a record is counted."""
    async with found as chunks:
        async for chunk in chunks:
            for one in chunk:
                audit.take(one)
            kept, before = parted(chunk)
            made = fresh_rows(asked.made, kept, before, audit.left_out)
            yield [(record["seed"]["family"], row) for record, row in made]
            hit("export.row")


async def _to_stdout(rows: Rows) -> int:
    count = 0
    async for some in rows:
        show_rows(line(row) for _, row in some)
        count += len(some)
    sys.stdout.buffer.flush()
    return count


async def _to_file(
    place: Opened,
    asked: Asked,
    rows: Rows,
    audit: Audit,
    scripts: Mapping[str, Any],
) -> int:
    path = Path(asked.output)
    if asked.wanted.audit:
        hashes_beside(path, asked_for(asked))
    else:
        check_unaudited(path)
    with ExitStack() as later, whole(path) as draft:  # what is entered last has its name first
        sink = open_sink(draft, asked.made.columns, kind_of(path))
        async for some in rows:
            for _, row in some:
                sink.write(row)
        hashes = {path.name: sink.close()}
        told = await audited(place.client, asked, audit, scripts, hashes)
        failing.check(asked.conditions, told["metrics"])
        about = beside(asked.made, path)
        if asked.wanted.audit:
            told["hashes"] |= hashes_beside(path, told)
            split = asked.selection.split or "train"
            about |= papers(told, {"pairs": {split: path.name}}, f"{path.stem}.")
        draft_papers(later, path.parent, about)
    _tell_dropped(told)
    return sink.rows


def _tell_dropped(told: Mapping[str, Any]) -> None:
    rows = told["rows"]
    if not rows["adds_up"]:
        going = ", ".join(one["id"] for one in told["rounds"] if one["status"] not in ENDED)
        why = f": {going} still went on" if going else ""
        say(f"rows and drops do not add up to the {rows['generated']} verdicts of the rounds{why}")
    for counts, of in (
        (rows["dropped"], f"{rows['generated']} verdicts"),
        (rows.get("left_out", {}), f"the rows of {rows['kept']} pairs"),
    ):
        if counts:
            each = ", ".join(f"{count} {reason}" for reason, count in counts.items())
            say(f"left out, of {of}: {each}")


async def _to_folder(
    place: Opened,
    asked: Asked,
    rows: Rows,
    audit: Audit,
    scripts: Mapping[str, Any],
) -> int:
    share = asked.selection.test_share
    with whole_folder(Path(asked.output)) as draft:
        pairs = Parts(draft, "pairs", asked.made, asked.wanted.suffix or PARQUET)
        async for some in rows:
            for family, row in some:
                pairs.write(part_of(family, share), row)
        configs, hashes = {"pairs": pairs.close()}, pairs.hashes
        for name in OF_SESSIONS:
            parts = await _config(place.client, asked, draft, name)
            configs[name] = parts.close()
            hashes |= parts.hashes
        told = await audited(place.client, asked, audit, scripts, hashes)
        failing.check(asked.conditions, told["metrics"])
        found = {name: files for name, files in configs.items() if files}
        write_papers(draft, papers(told, found, ""))
        for file in map(Path, configs["pairs"].values()):
            write_papers(draft / "pairs", beside(asked.made, draft / file))
    _tell_dropped(told)
    return pairs.rows


async def _config(client: Client, asked: Asked, folder: Path, name: str) -> Parts:
    """The sessions of the selected seeds, as a config of the folder."""
    parts = Parts(folder, name, exporter(name), asked.wanted.suffix or PARQUET)
    for part in ("train", "test"):
        if asked.selection.split not in (None, part):
            continue
        selectors = [(n, v) for n, v in asked.wanted.selectors if n in selecting.OF_SESSIONS]
        selectors = [(n, v) for n, v in selectors if n != "split"] + [("split", part)]
        for id in asked.rounds:
            async with aclosing(client.rows(id, format=name, selectors=selectors)) as rows:
                async for row in rows:
                    parts.write(part, row)
    return parts


async def audited(
    client: Client,
    asked: Asked,
    audit: Audit,
    scripts: Mapping[str, Any],
    hashes: Mapping[str, str],
) -> dict[str, Any]:
    """What `audit.json` holds of the set that was asked for."""
    rounds = [await client.round(id) for id in asked.rounds]
    verdicts: dict[str, int] = {}
    for one in rounds:
        for outcome, count in one["verdicts"].items():
            verdicts[outcome] = verdicts.get(outcome, 0) + count
    judges = {n for s in scripts.values() for n in s["scenario"]["seats"].get("judge", [])}
    return {
        **asked_for(asked),
        **audit.report(verdicts, sum(one["spent_usd"] for one in rounds)),
        "rounds": [
            {
                "id": one["id"],
                "status": one["status"],
                "sessions": one["sessions"],
                **scripts[one["id"]],
            }
            for one in rounds
        ],
        "calibrations": {name: await _measured(client, name) for name in sorted(judges)},
        "hashes": dict(sorted(hashes.items())),
        "versions": versions(),
    }


def asked_for(asked: Asked) -> dict[str, str]:
    """What of an audit is known before anything is read."""
    selectors = "&".join(f"{name}={value}" for name, value in asked.wanted.selectors)
    return {"format": asked.made.format, "selection": selectors}


async def _measured(client: Client, judge: str) -> Any:
    """What the judge was worth when it was measured, as the control plane tells now."""
    try:
        return (await client.agent(judge)).get("calibrations") or []
    except InputError:  # its card is gone
        return []


def versions() -> dict[str, str]:
    """Whatever may change what is exported."""
    found = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {"aaa": aaa.__version__, "python": platform.python_version(), **found}


def of_agents(scripts: Mapping[str, Any], what: str) -> dict[tuple[str, str], Any]:
    """(round, agent) -> that of its card."""
    return {
        (round_id, name): card[what]
        for round_id, script in scripts.items()
        for name, card in script["cards"].items()
    }


def around_of(asked: Asked, scripts: Mapping[str, Any]) -> Around:
    """What the sieve must know beside the records."""
    wanted = {
        gate.name: float(gate.threshold)
        for gate in asked.selection.gate
        if gate.name in OF_EVALUATIONS
    }

    def texts() -> Iterator[str]:
        for path in asked.wanted.evaluations:
            yield from texts_of(read_rows(path))

    runs, near = wanted.get("contamination"), wanted.get("paraphrase")
    return Around(
        known=Known(of_agents(scripts, "licence")),
        evaluations=None if runs is None else Evaluations(texts(), int(runs)),
        neighbours=None if near is None else Neighbours(texts(), near),
        exported=frozenset(id for path in asked.wanted.since for id in exported_ids(path)),
    )


def exported_ids(path: Path) -> Iterator[str]:
    """The pairs that an earlier export has, by its rows' ids. Raises `InputError`."""
    files = [path]
    if path.is_dir():
        files = [
            f for f in sorted((path / "pairs").glob("*")) if f.suffix in (".jsonl", ".parquet")
        ]
        if not (files or _is_empty_set(path)):
            raise InputError(f"{str(path)!r} is no set: it has no `pairs/`; name a file of rows")
    for file in files:
        for row in read_rows(file):
            if not isinstance(row.get("id"), str):
                raise InputError(f"{str(file)!r}: a row has no `id`; is it an export?")
            if not is_pair(pair := pair_of(row["id"])):
                raise InputError(
                    f"{str(file)!r}: {pair!r:.60} is no id of a pair; is it an export of pairs?"
                )
            yield pair


def _is_empty_set(folder: Path) -> bool:
    """Whether an audit says that nothing was kept."""
    try:
        told = json.loads((folder / "audit.json").read_text("utf-8"))
        return int(told["rows"]["kept"]) == 0
    except (OSError, ValueError, KeyError, TypeError):
        return False


# Sessions


async def _sessions(client: Client, asked: Asked) -> int:
    """A format of whole sessions: the rounds one after the other."""
    if asked.output == "-":
        count = 0
        async for row in _session_rows(client, asked):
            show_rows([line(row)])
            count += 1
        sys.stdout.buffer.flush()
        return count
    path = Path(asked.output)
    check_unaudited(path)
    with whole(path) as draft:
        sink = open_sink(draft, asked.made.columns, kind_of(path))
        async for row in _session_rows(client, asked):
            sink.write(row)
        sink.close()
    return sink.rows


async def _session_rows(client: Client, asked: Asked) -> AsyncIterator[Row]:
    """Of `seeds`, each once: a file of seeds names none twice. Raises `InputError`."""
    known: dict[str, tuple[str, str]] = {}
    for id in asked.rounds:
        rows = client.rows(id, format=asked.made.format, selectors=asked.wanted.selectors)
        async with aclosing(rows) as found:
            async for row in found:
                if asked.made.format == "seeds":
                    mine = fingerprint(row)
                    first, same = known.setdefault(row["id"], (id, mine))
                    if same != mine:
                        raise InputError(
                            f"{first} and {id} made different prompts of one id, {row['id']!r}: "
                            "export them to files of their own"
                        )
                    if first != id:
                        continue
                yield row


async def write_rows(client: Client, rounds: Sequence[str], format: str, path: Path) -> int:
    """The rows that a control plane gives, as a JSONL file and nothing beside it. Rows written."""
    kind_of(path)
    count = 0
    with whole(path) as draft, draft.open("wb") as file:
        for round_id in rounds:
            count += await client.pairs(round_id, file, format=format)
        file.flush()
        await asyncio.to_thread(os.fsync, file.fileno())
    return count
