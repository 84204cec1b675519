"""What `aaa run` leaves on disk: a round's pairs and sessions as JSONL, with card and audit, in one folder.

The scenario's gates and conditions hold. Left out: plots, and everything that `aaa export` can be asked for.
"""

import asyncio
from contextlib import ExitStack, aclosing
from pathlib import Path
from typing import Any, NamedTuple

from aaa.client import Client
from aaa.commands.export import around_of, audited, of_agents, write_rows
from aaa.commands.export_asked import Asked, Wanted, checked, settled
from aaa.commands.export_files import papers, write_papers
from aaa.commands.export_source import Opened
from aaa.corpus import conditions as failing
from aaa.corpus.audit import Audit
from aaa.corpus.conditions import Refused
from aaa.corpus.files import open_sink, whole
from aaa.corpus.sieve import Sieve, parted, sifted
from aaa.exporters import exporter, fresh_rows

OF_PAIRS = ("trl-dpo", "canonical")
OF_SESSIONS = ("seeds", "trl-prm")
PAPERS = ("README.md", "audit.json")


class Left(NamedTuple):
    """What came of it."""

    files: dict[str, Path]
    """Format -> its file, of those that have rows."""
    papers: tuple[Path, ...]
    """Card and audit, where there are pairs."""
    dropped: dict[str, int]
    """Gate -> pairs that it took away."""
    refused: str | None
    """Why there is no file of pairs, where a condition of the scenario says so."""


async def leave(client: Client, round_id: str, folder: Path) -> Left:
    """Write the round's files; one without rows is not left, nor is an older one of that name."""
    scripts = {round_id: await client.script(round_id)}
    asked = settled(checked(Wanted((round_id,), OF_PAIRS[0], "-")), scripts)
    refused, kept, audit = None, 0, Audit(of_agents(scripts, "family"))
    try:
        kept = await _pairs(client, asked, scripts, folder, audit)
    except Refused as error:
        refused = str(error)
    files = {format: folder / f"{format}.jsonl" for format in (*OF_PAIRS, *OF_SESSIONS)}
    beside = tuple(folder / name for name in PAPERS)
    if not kept:
        for path in (*(files.pop(format) for format in OF_PAIRS), *beside):
            path.unlink(missing_ok=True)
    for format in OF_SESSIONS:
        if not await write_rows(client, [round_id], format, files[format]):
            files.pop(format).unlink()
    return Left(files, beside if kept else (), dict(sorted(audit.dropped.items())), refused)


async def _pairs(
    client: Client, asked: Asked, scripts: dict[str, Any], folder: Path, audit: Audit
) -> int:
    """Every format of pairs in one pass, and their papers. How many pairs; raises `Refused`."""
    around = await asyncio.to_thread(around_of, asked, scripts)
    source = Opened(client, None).source(asked.rounds, words=True)
    made = [exporter(format) for format in OF_PAIRS]
    names = [f"{one.format}.jsonl" for one in made]
    with ExitStack() as drafts:
        paths = [drafts.enter_context(whole(folder / name)) for name in names]
        sinks = [
            open_sink(path, one.columns, "jsonl") for path, one in zip(paths, made, strict=True)
        ]
        async with aclosing(sifted(source, Sieve(asked.selection, around))) as found:
            async for some in found:
                for one in some:
                    audit.take(one)
                for format, sink in zip(made, sinks, strict=True):
                    for _, row in fresh_rows(format, parted(some).kept):
                        sink.write(row)
        hashes = {name: sink.close() for name, sink in zip(names, sinks, strict=True)}
        told = await audited(client, asked, audit, scripts, hashes)
        failing.check(asked.conditions if audit.kept else (), told["metrics"])
        about = papers(told, {"pairs": {"train": names[0]}}, "", plots=False)
    if audit.kept:
        write_papers(folder, about)
    return audit.kept
