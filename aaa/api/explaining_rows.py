"""Where an exported row that is no pair came from, by its id alone: its session is found, its rows made anew.

Nothing is stored for the purpose: an id carries a mark of its seed (`aaa.exporters._ids`).
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from aaa.api.cards import CardShape, shown
from aaa.api.explaining import Considered, considered, served, spent
from aaa.api.shapes import AttemptShape, Spent, TurnShape
from aaa.errors import NotFound
from aaa.exporters import FORMATS, Row, exporter
from aaa.exporters._ids import mark_in
from aaa.store.database import Database
from aaa.store.reading import CHUNK, get_session, transcripts_of
from aaa.store.rounds import get_script
from aaa.store.whence import line_of, places_of
from aaa.transcripts import Transcript
from aaa.types import Seed


class RowStory(BaseModel):
    """Everything about such a row; of several sessions that gave it, the newest."""

    id: str
    format: str
    row: dict[str, Any]
    """As it is exported."""
    pair: str | None
    """Id of the pair that a verdict made; `None`: the row is of none."""
    round: str
    session: int
    scenario: str
    protocol: str
    options: dict[str, Any]
    """Options of the protocol."""
    seed: Seed
    evolved_from: tuple[str, ...]
    """Seeds that this one was evolved from, nearest first."""
    turns: list[TurnShape]
    """The whole session."""
    considered: list[Considered]
    """Every comparison of the session, whether it made a pair or was dropped."""
    notes: list[dict[str, Any]]
    """What the play concluded besides: `evolved`, `steps` …, by `kind`."""
    attempts: list[AttemptShape]
    """Every request that the session made, with its times."""
    spent: dict[Literal["session"], Spent]
    models: dict[str, list[str]]
    """Agent -> models as its providers say they served them."""
    cards: dict[str, CardShape]
    """Cards as they were when the round began."""
    lineage: dict[str, tuple[str, ...]]
    """Agent -> names of the agents it was trained from, nearest first."""
    started_at: datetime | None
    finished_at: datetime | None


class _Found(NamedTuple):
    transcript: Transcript
    format: str
    row: Row


async def explain_row(database: Database, row_id: str) -> RowStory:
    """Where that row came from. Raises `NotFound`."""
    transcript, format, row = await _find(database, row_id)
    session = await get_session(database, transcript.session)
    script = await get_script(database, transcript.round)
    pair = row.get("pair")
    return RowStory(
        id=row_id,
        format=format,
        row=row,
        pair=pair if isinstance(pair, str) else None,
        round=transcript.round,
        session=transcript.session,
        scenario=transcript.scenario,
        protocol=transcript.protocol,
        options=script.scenario.protocol.options,
        seed=transcript.seed,
        evolved_from=await line_of(database, transcript.seed.id, transcript.seed.parent),
        turns=session["turns"],
        considered=[considered(verdict) for verdict in session["verdicts"]],
        notes=session["notes"],
        attempts=session["attempts"],
        spent={"session": spent(session["turns"])},
        models=served(session["turns"]),
        cards={name: shown(card) for name, card in script.cards.items()},
        lineage=dict(transcript.lineage),
        started_at=session["started_at"],
        finished_at=session["finished_at"],
    )


async def _find(database: Database, row_id: str) -> _Found:
    places = await places_of(database, mark_in(row_id), row_id)
    for first in range(0, len(places), CHUNK):
        for transcript in await transcripts_of(database, places[first : first + CHUNK]):
            for format, row in _rows(transcript):
                if row["id"] == row_id:
                    return _Found(transcript, format, row)
    raise NotFound(
        f"no pair and no row {row_id!r} in this database; ids stand in the field `id` of what was exported "
        "from it"
    )


def _rows(transcript: Transcript) -> Iterator[tuple[str, Row]]:
    """(format, row) of every format of whole sessions."""
    for format in FORMATS:
        made = exporter(format)
        if made.made_of == "transcripts":
            for row in made.rows(transcript):
                yield format, row
