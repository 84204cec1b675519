"""Rounds of other protocols than co_teaching over a real database: played, read back, replayed, exported."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from aaa import plugins
from aaa.catalogue import Catalogue, Script
from aaa.drive import drive
from aaa.exporters import lines
from aaa.store.database import Database
from aaa.store.reading import transcripts
from aaa.store.rounds import create_round
from aaa.transcripts import Transcript
from aaa.types import Call, Checks, CheckWish, Note, Turn
from tests.catalogues import small_catalogue
from tests.playing import Answer, play_round

Seats = Mapping[str, Sequence[str]]


async def played(
    database: Database, folder: Path, answer: Answer, seats: Seats, **scenario: Any
) -> tuple[Script, list[Transcript]]:
    """A round of the scenario `small` with these seats and keys, to its end; what was recorded."""
    given = {"seats": {seat: list(names) for seat, names in seats.items()}, **scenario}
    return await played_in(database, small_catalogue(folder, **given), answer)


async def played_in(
    database: Database, catalogue: Catalogue, answer: Answer
) -> tuple[Script, list[Transcript]]:
    """A round of the catalogue's scenario `small`."""
    script, seeds = catalogue.prepare(*catalogue.scenario("small"))
    made = await create_round(database, script, seeds)
    assert await play_round(database, made.id, answer) == len(seeds)
    return script, [told async for told in transcripts(database, [made.id])]


async def replayed(script: Script, told: Transcript) -> None:
    """Drive the play over its whole record: nothing may be asked, checked or noted again."""
    protocol = plugins.protocol(script.scenario.protocol.id)
    options = protocol.options.model_validate(script.scenario.protocol.options)
    play = protocol.play(told.seed, script.cast, options)
    await drive(play, _no_call, _no_note, told.recorded, _no_check)


def exported(told: Sequence[Transcript], format: str) -> list[dict[str, Any]]:
    """The rows of an export of these sessions."""
    return [orjson.loads(line) for one in told for line in lines(one, format)]


async def _no_call(index: int, call: Call) -> Turn:
    raise AssertionError(f"turn {index} was asked again")


async def _no_note(index: int, after: int, note: Note) -> None:
    raise AssertionError(f"note {index} was recorded again")


async def _no_check(wish: CheckWish) -> Checks:
    raise AssertionError("answers were checked again")
