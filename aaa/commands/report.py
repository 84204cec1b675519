"""`aaa report`: what rounds and courses came to, as a page, as Markdown, as JSON."""

import asyncio
import json
from pathlib import Path

from aaa.commands.export_files import write_papers
from aaa.commands.opening import open_client, say, show
from aaa.commands.plot_report import pictures
from aaa.commands.report_material import Asked, material
from aaa.errors import InputError, SetupError
from aaa.report.findings import Findings, findings
from aaa.report.markdown import markdown
from aaa.report.page import page
from aaa.report.sections import document
from aaa.settings import Settings


async def report(settings: Settings, asked: Asked, output: Path | None, as_json: bool) -> int:
    """Write the folder, print the figures. Raises `InputError`, `NotFound`, `SetupError`."""
    if output is None and not as_json:
        raise InputError(
            "say where the report goes: -o FOLDER, or --json for its figures on stdout"
        )
    async with open_client(settings) as client:
        made = await material(client, asked)
    found = await asyncio.to_thread(findings, made)
    if as_json:
        show(found.model_dump(mode="json"))
    if output is not None:
        await asyncio.to_thread(_write, found, output)
        say(f"report written: {output / 'index.html'}, the same in {output / 'report.md'}")
    return 0


def files(found: Findings) -> dict[str, bytes]:
    """File name -> content of the folder: the same findings, the same bytes."""
    drawn = pictures(found)
    told = document(found, tuple(drawn))
    figures = json.dumps(found.model_dump(mode="json"), ensure_ascii=False, indent=2)
    return {
        "index.html": page(told, drawn).encode(),
        "report.md": markdown(told).encode(),
        "report.json": f"{figures}\n".encode(),
        **{f"{name}.svg": picture for name, picture in drawn.items()},
    }


def _write(found: Findings, output: Path) -> None:
    made = files(found)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(f"{str(output)!r} cannot be made: {error.strerror}") from error
    write_papers(output, made)
