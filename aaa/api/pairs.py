"""Routes of pairs: a round's export as a stream, and why one pair or row is what it is."""

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from aaa.api.cards import CardShape, shown
from aaa.api.explaining import Explanation, explain
from aaa.api.explaining_rows import RowStory, explain_row
from aaa.api.guard import needs
from aaa.api.paging import Name, RoundId
from aaa.api.problems import errors
from aaa.corpus import selection as selecting
from aaa.corpus.gates import Known
from aaa.corpus.selection import Selection, takes_row, takes_session
from aaa.corpus.sieve import Around, Sieve, Source, limits, parted, sifted
from aaa.errors import InputError, NotFound
from aaa.exporters import FORMATS, Exporter, exporter, fresh_rows, line
from aaa.failpoints import hit
from aaa.quality import check_where
from aaa.scenario import Scenario
from aaa.store.database import Database
from aaa.store.reading import transcripts
from aaa.store.records import chunks
from aaa.store.rounds import get_script

MEDIA_TYPE = "application/x-ndjson"
ROWS = {
    "schema": {"type": "string", "description": "JSON lines; `docs/export.md` has the columns"},
    "example": '{"id": "p23ad3382133dbdc7922769d", "prompt": [{"role": "user", "content": "Why?"}], '
    '"chosen": [{"role": "assistant", "content": "So."}], '
    '"rejected": [{"role": "assistant", "content": "No."}], "related_judges": false}\n',
}
"""What is streamed, by an example."""
OWN = ("format", "doubles")
"""Parameters that select nothing."""


class ScriptShape(BaseModel):
    """What a round was started with."""

    scenario: Scenario
    cards: dict[str, CardShape]
    source: str
    """Hash of the source of protocol and judging play."""


def routes(database: Database) -> APIRouter:
    """`/v1/rounds/{round_id}/pairs`, `/v1/rounds/{round_id}/script`, `/v1/pairs/{pair_id}` and
    `/v1/rows/{row_id}`.
    """
    router = APIRouter(prefix="/v1", tags=["pairs"])

    @router.get(
        "/rounds/{round_id}/pairs",
        dependencies=[needs("viewer")],
        response_class=StreamingResponse,
        responses={
            **errors(404),
            200: {"description": "A row on each line", "content": {MEDIA_TYPE: ROWS}},
        },
        openapi_extra={"parameters": described()},
    )
    async def pairs(
        request: Request,
        round_id: RoundId,
        format: Annotated[str, Query(max_length=50, description=", ".join(FORMATS))] = "trl-dpo",
        doubles: Annotated[
            bool, Query(description="Also a pair that an earlier verdict of its seed came to")
        ] = False,
    ) -> StreamingResponse:
        """The round's pairs as JSON lines, in export order: by seed id, then as they were decided.

        Where no gate is given, those of the scenario's `export.gate` hold; `gate=none` asks for none.
        """
        given = [item for item in request.query_params.multi_items() if item[0] not in OWN]
        selection = selecting.parse(given)
        made = _exporter(format)
        export = (await get_script(database, round_id)).scenario.export
        if made.made_of == "transcripts":
            selecting.for_sessions(selection, format)
            return StreamingResponse(
                _of_sessions(database, round_id, made, selection), media_type=MEDIA_TYPE
            )
        if not any(name == "gate" for name, _ in given):
            selection = selecting.parse([*given, *(("gate", text) for text in export.gate)])
        selecting.for_pairs(selection)
        check_where(selection.gate, evaluations=False)
        source = partial(chunks, database, [round_id], words=made.words)
        around = Around(Known(await licences(database, round_id)))
        sieve = Sieve(selection, around, await limits(source, selection, around), doubles=doubles)
        return StreamingResponse(_of_pairs(source, sieve, made), media_type=MEDIA_TYPE)

    @router.get("/rounds/{round_id}/script", dependencies=[needs("viewer")], responses=errors(404))
    async def script(round_id: RoundId) -> ScriptShape:
        """What the round was started with: its scenario, and every card as it was then."""
        found = await get_script(database, round_id)
        cards = {name: shown(card) for name, card in found.cards.items()}
        return ScriptShape(scenario=found.scenario, cards=cards, source=found.source)

    @router.get("/pairs/{pair_id:path}", dependencies=[needs("viewer")], responses=errors(404))
    async def pair(pair_id: Name) -> Explanation:
        """Everything about a pair: seed, turns as sent, ballots, verdict, cost, models, cards.

        The id of any row that a pair gave leads to it; `/v1/rows/{id}` tells of the others.
        """
        return await explain(database, pair_id)

    @router.get("/rows/{row_id:path}", dependencies=[needs("viewer")], responses=errors(404))
    async def row(row_id: Name) -> RowStory:
        """Everything about a row that is no pair, by its id: of `verdicts`, `transcripts`, `trl-prm` …"""
        return await explain_row(database, row_id)

    return router


def _exporter(format: str) -> Exporter:
    try:
        return exporter(format)
    except NotFound as error:
        raise InputError(str(error)) from error


async def licences(database: Database, round_id: str) -> dict[tuple[str, str], str | None]:
    """(round, agent) -> licence of what it says, as its card had it when the round began."""
    script = await get_script(database, round_id)
    return {(round_id, name): card.licence for name, card in script.cards.items()}


async def _of_pairs(source: Source, sieve: Sieve, made: Exporter) -> AsyncIterator[bytes]:
    """Some hundred lines at a time, so memory stays flat and no transaction is left open between."""
    async with aclosing(sifted(source, sieve)) as found:
        async for some in found:
            lines = [line(row) for _, row in fresh_rows(made, parted(some).kept)]
            if lines:
                yield b"".join(lines)
                hit("export.row")


async def _of_sessions(
    database: Database, round_id: str, made: Exporter, selection: Selection
) -> AsyncIterator[bytes]:
    async for transcript in transcripts(database, [round_id]):
        if takes_session(transcript, selection):
            rows = (row for row in made.rows(transcript) if takes_row(row, selection))
            found = b"".join(map(line, rows))
            if found:
                yield found
                hit("export.row")


def described() -> list[Mapping[str, Any]]:
    """The selectors, as OpenAPI has query parameters."""
    found: list[Mapping[str, Any]] = []
    for name, part in Selection.model_json_schema()["properties"].items():
        schema = part.get("anyOf", [part])[0]
        if name == "gate":
            schema = {"type": "array", "items": {"type": "string"}}
        found.append({"name": name, "in": "query", "required": False, "schema": schema})
    return found
