"""Rows that are no pairs lead back to their session by their id alone, whatever else is in the database."""

from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from aaa.catalogue import Catalogue
from aaa.commands.explain import explain
from aaa.errors import NotFound
from aaa.settings import Settings
from aaa.store.database import Database
from tests.classrooms import played as classroom
from tests.integration import test_classroom_evol_instruct as evolving
from tests.integration import test_classroom_process as process
from tests.integration.test_api_pairs import played


async def rows(api: httpx.AsyncClient, round_id: str, format: str) -> list[dict[str, Any]]:
    found = await api.get(f"/v1/rounds/{round_id}/pairs", params={"format": format})
    return [orjson.loads(line) for line in found.raise_for_status().content.splitlines()]


@pytest.mark.parametrize("format", ["verdicts", "transcripts", "trl-sft-critiques"])
async def test_every_row_is_found_again(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue, format: str
) -> None:
    first = await played(database, catalogue)
    newer = await played(database, catalogue, **{"protocol.options.rounds": 2})
    told = {id: await rows(api, id, format) for id in (first, newer)}
    assert all(told.values())
    for id in (first, newer):
        for row in told[id]:
            story = (await api.get(f"/v1/rows/{row['id']}")).raise_for_status().json()
            assert (story["id"], story["format"]) == (row["id"], format)
            assert story["row"] == row
            both = row["id"] in {other["id"] for other in told[newer]}
            assert story["round"] == (newer if both else first)
            assert story["turns"]
            assert story["spent"]["session"]["calls"] == len(story["turns"])
            assert story["pair"] == row.get("pair")


async def test_steps_and_checked_answers_are_found_again(
    api: httpx.AsyncClient, database: Database, tmp_path: Path
) -> None:
    seats = {"student": ["pupil"], "completer": ["peer", "teacher"]}
    _, told = await classroom(
        database, tmp_path, process.answer, seats, seeds=process.SEEDS, protocol=process.PROTOCOL
    )
    for format in ("trl-prm", "trl-kto-checked"):
        found = await rows(api, told[0].round, format)
        assert len(found) > 3
        for row in found:
            story = (await api.get(f"/v1/rows/{row['id']}")).raise_for_status().json()
            assert (story["format"], story["row"]) == (format, row)
            assert {note["kind"] for note in story["notes"]} == {"steps"}


async def test_new_seeds_are_found_where_they_were_evolved(
    api: httpx.AsyncClient, database: Database, tmp_path: Path
) -> None:
    seats = {"evolver": ["teacher", "peer"], "student": ["pupil"], "judge": ["judge"]}
    _, told = await classroom(
        database, tmp_path, evolving.answer, seats, protocol=evolving.PROTOCOL
    )
    found = await rows(api, told[0].round, "seeds")
    assert found
    for row in found:
        story = (await api.get(f"/v1/rows/{row['id']}")).raise_for_status().json()
        assert (story["format"], story["row"]) == ("seeds", row)
        assert row["id"] in {note.get("id") for note in story["notes"]}


async def test_a_seed_may_have_a_slash_in_its_name(
    settings: Settings, api: httpx.AsyncClient, database: Database, tmp_path: Path
) -> None:
    seats = {"evolver": ["teacher", "peer"], "student": ["pupil"], "judge": ["judge"]}
    seeds = {"inline": [{"id": "HumanEval/0", "prompt": "What is 2 + 2?"}]}
    _, told = await classroom(
        database, tmp_path, evolving.answer, seats, seeds=seeds, protocol=evolving.PROTOCOL
    )
    for row in await rows(api, told[0].round, "seeds"):
        assert row["id"].startswith("HumanEval/0.e")
        assert await explain(settings, row["id"], as_json=True) == 0


async def test_a_verdict_that_made_a_pair_is_told_as_that_pair(
    settings: Settings,
    api: httpx.AsyncClient,
    database: Database,
    catalogue: Catalogue,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = await rows(api, await played(database, catalogue), "verdicts")
    won = next(row for row in found if row["outcome"] == "win")
    tied = next(row for row in found if row["outcome"] == "tie")
    assert await explain(settings, won["id"], as_json=False) == 0
    assert capsys.readouterr().out.startswith(f"Pair {won['pair']}: ")
    assert await explain(settings, tied["id"], as_json=False) == 0
    told = capsys.readouterr().out
    for part in (
        *(f"Row {tied['id']} of format 'verdicts'", "SEED s0 [test]", "outcome: tie"),
        *("THE SESSION, turn by turn", "(peer): dropped: tie", f"pair {won['pair']}"),
        *("WHAT IT TOOK", "session: "),
    ):
        assert part in told, part


async def test_an_id_that_is_none_of_ours(
    settings: Settings, api: httpx.AsyncClient, database: Database, catalogue: Catalogue
) -> None:
    row = (await rows(api, await played(database, catalogue), "verdicts"))[0]
    other = row["id"][:-1] + ("0" if row["id"][-1] != "0" else "1")
    for id in ("nonsense", "p" + "0" * 23, other, "é漢", "pnone"):
        assert (await api.get(f"/v1/rows/{id}")).status_code == 404
        with pytest.raises(
            NotFound, match=f"no pair and no row '{id}' in this database; ids stand"
        ):
            await explain(settings, id, as_json=True)
