"""Ratings from a round on record: store, route and command."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from aaa.battles import Ledger
from aaa.catalogue import Catalogue
from aaa.commands.ratings import Wanted, ratings
from aaa.errors import InputError, NotFound
from aaa.settings import Settings
from aaa.store import battles
from aaa.store.battles import GIVEN, read_battles
from aaa.store.database import Database
from aaa.store.rounds import create_round
from aaa.types import Call
from tests.catalogues import card
from tests.playing import play_round, say, verdict_for

PEERS, REVISIONS = 3, 6
"""Verdicts of a round of `small`: three seeds, two students, one revision each."""


async def played(
    database: Database, catalogue: Catalogue, answer: Callable[[Call], str] | None = None
) -> str:
    scenario, folder = catalogue.scenario("small")
    script, seeds = catalogue.prepare(scenario, folder)
    made = await create_round(database, script, seeds)
    await play_round(database, made.id, answer or pupil_is_better)
    return made.id


def pupil_is_better(call: Call) -> str:
    """Of two students' answers the judge prefers the pupil's; of one student's two it prefers none."""
    return verdict_for(call, "by pupil") if call.purpose == "ballot" else say(call)


def first_is_better(call: Call) -> str:
    """A judge who only sees the position."""
    if call.purpose != "ballot":
        return say(call)
    first, _ = re.findall(r"^Answer (\w):$", call.messages[-1].content, re.MULTILINE)
    return json.dumps({"explanation": "the first", "better": first})


def unreadable(call: Call) -> str:
    return "no verdict" if call.purpose == "ballot" else say(call)


def wordy_pupil(call: Call) -> str:
    longer = " with **many** words" * (call.agent == "pupil")
    return pupil_is_better(call) + ("" if call.purpose == "ballot" else longer)


def rows(ledger: Ledger) -> list[tuple[str, str, float, str]]:
    names, seeds = list(ledger.players), list(ledger.seeds)
    columns = zip(ledger.a, ledger.b, ledger.score, ledger.seed, strict=True)
    return [(names[a], names[b], score, seeds[seed]) for a, b, score, seed in columns]


async def test_peers_battle_and_revisions_do_not(database: Database, catalogue: Catalogue) -> None:
    await played(database, catalogue)
    ledger = await read_battles(database)
    assert rows(ledger) == [("pupil", "peer", 1, f"s{n}") for n in range(3)]
    assert ledger.outcomes == {"win": PEERS}
    assert ledger.left_out == {"revision": REVISIONS}
    assert {tag: len(found) for tag, found in ledger.tags.items()} == {"test": PEERS}


async def test_edges_can_be_chosen(database: Database, catalogue: Catalogue) -> None:
    await played(database, catalogue)
    ledger = await read_battles(database, edges=["revision"])
    assert ledger.left_out == {"peer": PEERS, "same player": REVISIONS}


async def test_flips_are_ties_and_errors_are_none(database: Database, catalogue: Catalogue) -> None:
    flipped = await played(database, catalogue, first_is_better)
    ledger = await read_battles(database, [flipped])
    assert ledger.outcomes == {"flip": PEERS}
    assert list(ledger.score) == [0.5] * PEERS
    failed = await read_battles(database, [await played(database, catalogue, unreadable)])
    assert len(failed) == 0
    assert failed.left_out == {"error": PEERS, "revision": REVISIONS}


async def test_rounds_are_chosen_and_pages_join(
    database: Database, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await played(database, catalogue), await played(database, catalogue)
    both = await read_battles(database, [first, second])
    assert len(both) == len(await read_battles(database)) == 2 * PEERS
    assert len(await read_battles(database, [second])) == PEERS
    for size in (1, 2, 7, 18):
        monkeypatch.setattr(battles, "CHUNK", size)
        assert rows(await read_battles(database)) == rows(both)
    with pytest.raises(NotFound, match="no round 'none'"):
        await read_battles(database, [first, "none"])


async def test_style_is_read_where_it_is_asked_for(
    database: Database, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await played(database, catalogue, wordy_pupil)
    monkeypatch.setattr(battles, "CHUNK_OF_TEXTS", 2)
    plain, styled = await read_battles(database), await read_battles(database, style=True)
    assert (plain.styled, styled.styled) == (False, True)
    assert rows(plain) == rows(styled)
    length, lists, headers, bold = styled.style[:4]
    assert length > 0
    assert (lists, headers, bold) == (0, 0, 1)


async def test_a_trained_student_is_another_player(
    database: Database, catalogue: Catalogue
) -> None:
    await played(database, catalogue)
    (folder,) = catalogue.agent_folders
    trained = card("pupil", "a") | {"generation": 1}
    await asyncio.to_thread((folder / "pupil.yaml").write_text, yaml.safe_dump(trained))
    await played(database, catalogue)
    assert sorted((await read_battles(database)).players) == ["peer", "pupil@0", "pupil@1"]


async def test_answers_judged_again_count_where_their_round_is_named(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue
) -> None:
    old = await played(database, catalogue)
    made = await api.post(f"/v1/rounds/{old}/rejudge", json={"judges": ["teacher"]})
    again = made.json()["id"]
    await play_round(database, again, first_is_better)
    every = await read_battles(database)
    assert every.outcomes == {"win": PEERS}
    assert every.left_out == {"revision": REVISIONS, GIVEN: PEERS + REVISIONS}
    one = await read_battles(database, [again])
    assert {(a, b) for a, b, *_ in rows(one)} == {("pupil", "peer")}
    assert one.outcomes == {"flip": PEERS}


async def test_labelled_pairs_rate_nobody(api: httpx.AsyncClient, database: Database) -> None:
    pair = {"a": {"text": "an answer"}, "b": {"text": "a better one"}, "label": "b"}
    scenario = {
        "name": "calibrate",
        "protocol": {"id": "given", "options": {"judges": "apart"}},
        "seats": {"judge": ["judge"]},
        "seeds": {"inline": [{"id": "p", "prompt": "Why?", "comparison": pair | {"edge": "peer"}}]},
    }
    made = await api.post("/v1/rounds", json={"scenario": scenario})
    await play_round(database, made.json()["id"])
    for named in ([], [made.json()["id"]]):
        ledger = await read_battles(database, named)
        assert (len(ledger), ledger.left_out) == (0, {GIVEN: 1})


async def test_the_route(api: httpx.AsyncClient, database: Database, catalogue: Catalogue) -> None:
    round_id = await played(database, catalogue)
    await played(database, catalogue, first_is_better)
    told = (await api.get("/v1/ratings", params={"by_tag": True, "anchor": "peer"})).json()
    assert told["verdicts"] == 2 * (PEERS + REVISIONS)
    assert told["battles"] == {"flip": PEERS, "win": PEERS}
    assert told["left_out"] == {"revision": 2 * REVISIONS}
    assert [board["tag"] for board in told["boards"]] == [None, "test"]
    board = told["boards"][0]
    assert [r["player"] for r in board["ratings"]] == ["pupil", "peer"]
    assert board["ratings"][1]["rating"] == 1000
    assert board["matchups"][0]["ties"] == PEERS
    one = (await api.get("/v1/ratings", params={"round": [round_id], "tag": ["test"]})).json()
    assert one["rounds"] == [round_id]
    assert [board["battles"] for board in one["boards"]] == [PEERS]


async def test_nothing_to_rate_is_no_error(api: httpx.AsyncClient) -> None:
    response = await api.get("/v1/ratings")
    assert response.status_code == 200
    assert response.json()["boards"] == []


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ({"round": "none"}, 404, "no round 'none'"),
        ({"tag": "none"}, 404, "no battle has the tag 'none'; there are: test"),
        ({"anchor": "none"}, 404, "no player 'none'"),
        ({"replicates": 3}, 422, "replicates: give 0, or 40 or more, got 3"),
        ({"replicates": 5000}, 422, "replicates"),
        ({"anchor_value": "nan"}, 422, "anchor_value"),
        ({"tag": "\x00"}, 422, "well formed"),
        ({"replicates": "many"}, 422, "well formed"),
    ],
)
async def test_refusals(
    api: httpx.AsyncClient,
    database: Database,
    catalogue: Catalogue,
    query: dict[str, Any],
    status: int,
    said: str,
) -> None:
    await played(database, catalogue)
    response = await api.get("/v1/ratings", params=query)
    assert response.status_code == status
    assert said in response.json()["detail"]


async def test_the_command(
    settings: Settings,
    database: Database,
    catalogue: Catalogue,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await played(database, catalogue, wordy_pupil)
    plot = tmp_path / "ratings.svg"
    wanted = Wanted(by_tag=True, style_control=True)
    assert await ratings(settings, wanted, matrix=True, plot=plot, as_json=False) == 0
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == "Overall: 3 battles on 3 seeds".split()
    assert lines[1][:4] == ["place", "player", "rating", "interval"]
    assert lines[2][1] == "pupil"
    assert lines[2][-5:] == ["3", "3", "0", "0", "3"]
    assert ["pupil", "-", "3"] in lines
    assert "Tag 'test': 3 battles on 3 seeds" in out
    assert "style: length " in out
    assert "9 verdicts: 3 battles (3 win), 6 left out (6 revision)" in err
    assert "note: no loss bounds from above: pupil" in err
    assert "pupil" in plot.read_text()


async def test_the_command_as_json(
    settings: Settings,
    database: Database,
    catalogue: Catalogue,
    capsys: pytest.CaptureFixture[str],
) -> None:
    round_id = await played(database, catalogue)
    wanted = Wanted(rounds=(round_id,), tags=("test",), anchor="peer", anchor_value=1200)
    assert await ratings(settings, wanted, matrix=False, plot=None, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rounds"] == [round_id]
    assert told["boards"][0]["ratings"][1]["rating"] == 1200


async def test_a_command_without_battles(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await ratings(settings, Wanted(), matrix=False, plot=None, as_json=False) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "0 verdicts: 0 battles (none), 0 left out (none); a battle needs two players" in err
    with pytest.raises(InputError, match="nothing to draw"):
        await ratings(settings, Wanted(), matrix=False, plot=tmp_path / "a.png", as_json=False)
    with pytest.raises(InputError, match="a plot is"):
        await ratings(settings, Wanted(), matrix=False, plot=tmp_path / "a.gif", as_json=False)


def test_actors_and_commands_start_without_numbers_and_pictures() -> None:
    """What runs in each seat and runner, and what `aaa --help` loads, needs neither Numpy nor Matplotlib."""
    code = (
        "import sys, aaa.cli, aaa.cluster.actors, aaa.cluster.runner, aaa.cluster.seat;"
        "print(sorted({'numpy', 'matplotlib', 'aaa.ratings'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_the_control_plane_starts_without_pictures() -> None:
    code = "import sys, aaa.api.app; print('matplotlib' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "False"
