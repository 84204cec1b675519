"""Pairs over the API: the export's bytes, and why a pair is what it is."""

import asyncio

import httpx
import orjson
import pytest
from sqlalchemy import text

from aaa.catalogue import Catalogue
from aaa.corpus.selection import Selection
from aaa.exporters import FORMATS, exporter, lines
from aaa.records import pair_of
from aaa.records import records as records_of
from aaa.store import records, whence
from aaa.store.database import Database
from aaa.store.reading import transcripts
from aaa.store.rounds import create_round
from aaa.transcripts import pairs
from aaa.types import Call, Reply
from tests.playing import play_round, say


async def played(database: Database, catalogue: Catalogue, **overrides: object) -> str:
    """A round that was played to its end; its id."""
    scenario, folder = catalogue.scenario("small", overrides)
    script, seeds = catalogue.prepare(scenario, folder)
    made = await create_round(database, script, seeds)
    await play_round(database, made.id)
    return made.id


OF_PAIRS = [format for format in FORMATS if exporter(format).made_of == "records"]


@pytest.mark.parametrize("format", FORMATS)
async def test_the_stream_is_the_export(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue, format: str
) -> None:
    round_id = await played(database, catalogue)
    told = [transcript async for transcript in transcripts(database, [round_id])]
    expected = b"".join(line for transcript in told for line in lines(transcript, format))
    response = await api.get(f"/v1/rounds/{round_id}/pairs", params={"format": format})
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/x-ndjson"
    assert response.content == expected
    rows = [orjson.loads(line) for line in response.content.splitlines()]
    made = [p.id for t in told for p in pairs(t)]
    assert len(made) == 6
    if format in OF_PAIRS:
        assert {pair_of(row["id"]) for row in rows} <= set(made)
    assert [t.seed.id for t in told] == ["s0", "s1", "s2"]


async def test_trl_dpo_is_the_default(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue
) -> None:
    path = f"/v1/rounds/{await played(database, catalogue)}/pairs"
    assert (await api.get(path)).content == (await api.get(f"{path}?format=trl-dpo")).content


async def test_two_rounds_of_the_same_words_export_the_same_bytes(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue
) -> None:
    first, second = await played(database, catalogue), await played(database, catalogue)
    one, other = await asyncio.gather(
        api.get(f"/v1/rounds/{first}/pairs"), api.get(f"/v1/rounds/{second}/pairs")
    )
    assert one.content == other.content != b""


async def test_a_round_without_pairs(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue
) -> None:
    scenario, folder = catalogue.scenario("small")
    made = await create_round(database, *catalogue.prepare(scenario, folder))
    response = await api.get(f"/v1/rounds/{made.id}/pairs")
    assert (response.status_code, response.content) == (200, b"")


async def test_an_unknown_format_names_the_known(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue
) -> None:
    path = f"/v1/rounds/{await played(database, catalogue, **{'seeds.limit': 1})}/pairs"
    response = await api.get(path, params={"format": "csv"})
    assert response.status_code == 422
    assert "no format 'csv'; there are: axolotl-dpo, canonical, " in response.json()["detail"]


async def test_why_a_pair_is_what_it_is(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue
) -> None:
    round_id = await played(database, catalogue, **{"protocol.options.rounds": 2})
    row = orjson.loads((await api.get(f"/v1/rounds/{round_id}/pairs")).content.splitlines()[0])
    response = await api.get(f"/v1/pairs/{row['id']}")
    assert response.status_code == 200
    why = response.json()
    assert (why["id"], why["round"], why["scenario"]) == (row["id"], round_id, "small")
    assert why["options"] == {"rounds": 2}
    assert why["seed"]["id"] == "s0"
    assert why["edge"] == "revision"
    assert why["context"] == row["prompt"]
    assert why["chosen"]["text"] == row["chosen"][0]["content"]
    assert why["rejected"]["text"] == row["rejected"][0]["content"]
    assert why["chosen"]["messages"][-1]["content"].count("say more by teacher")
    assert why["verdict"]["outcome"] == "win"
    assert [b["order"] for b in why["ballots"]] == ["ab", "ba"]
    assert why["evolved_from"] == []
    others = [(one["edge"], one["outcome"], one["pair"] is None) for one in why["considered"]]
    assert ("peer", "tie", True) in others
    assert ("revision", "win", False) in others
    assert all(orjson.loads(b["text"])["better"] for b in why["ballots"])
    turns = len(why["turns"])
    assert [turn["index"] for turn in why["turns"]] == list(range(turns))
    assert why["spent"]["pair"]["calls"] == 4
    assert why["spent"]["pair"]["cost_usd"] == pytest.approx(0.004)
    assert why["spent"]["session"]["calls"] == turns
    assert why["spent"]["session"]["prompt_tokens"] == 10 * turns
    assert why["models"] == {name: ["stub-1"] for name in ("judge", "peer", "pupil", "teacher")}
    assert set(why["cards"]) == {"pupil", "peer", "teacher", "judge"}
    assert why["started_at"] < why["attempts"][0]["finished_at"] < why["finished_at"]
    assert (why["elsewhere"], why["places"]) == ([], 1)
    assert "api_base" not in response.text
    assert "127.0.0.1" not in response.text


async def test_the_same_pair_elsewhere(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue
) -> None:
    first, second = await played(database, catalogue), await played(database, catalogue)
    row = orjson.loads((await api.get(f"/v1/rounds/{first}/pairs")).content.splitlines()[0])
    why = (await api.get(f"/v1/pairs/{row['id']}")).json()
    assert why["round"] == second
    assert [place["round"] for place in why["elsewhere"]] == [first]
    assert why["places"] == 2


async def test_unknown_cost_is_not_free(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue
) -> None:
    def unpriced(call: Call) -> Reply:
        return Reply(text=say(call), cost_usd=None if call.seat == "judge" else 1.0)

    scenario, folder = catalogue.scenario("small", {"seeds.limit": 1})
    made = await create_round(database, *catalogue.prepare(scenario, folder))
    await play_round(database, made.id, unpriced)
    row = orjson.loads((await api.get(f"/v1/rounds/{made.id}/pairs")).content.splitlines()[0])
    spent = (await api.get(f"/v1/pairs/{row['id']}")).json()["spent"]
    assert spent["pair"]["cost_usd"] is None
    assert spent["session"]["prompt_tokens"] is None


async def test_records_are_those_of_the_transcripts(
    database: Database, catalogue: Catalogue
) -> None:
    """The fast way to read and the way through checked values tell the same of every pair, to the byte."""
    rounds = [await played(database, catalogue) for _ in range(2)]
    slow = [r async for t in transcripts(database, rounds) for r in records_of(t)]
    fast = [record async for record in records.records(database, rounds)]
    assert len(slow) == 12
    assert [orjson.dumps(r) for r in fast] == [orjson.dumps(r) for r in slow]


async def test_records_know_where_a_reference_is_one(
    database: Database, catalogue: Catalogue
) -> None:
    """Of a chat, only what the seed itself asks is answered by its reference: read either way."""
    options = {"chat_turns": 1, "teach": "every", "peers": False}
    round_id = await played(
        database,
        catalogue,
        seeds={"inline": [{"id": "s", "prompt": "Why?", "reference": "air"}]},
        protocol={"id": "co_teaching", "options": options},
        **{"seats.user": ["peer"], "seats.student": ["pupil"]},
    )
    slow = [r async for t in transcripts(database, [round_id]) for r in records_of(t)]
    fast = [record async for record in records.records(database, [round_id])]
    assert [(len(r["context"]), r["reference"]) for r in fast] == [(1, "air"), (3, None)]
    assert [orjson.dumps(r) for r in fast] == [orjson.dumps(r) for r in slow]


async def test_without_words_a_record_is_the_same_but_for_what_judges_said(
    database: Database, catalogue: Catalogue
) -> None:
    round_id = await played(database, catalogue)
    whole = [record async for record in records.records(database, [round_id])]
    short = [record async for record in records.records(database, [round_id], words=False)]
    said = {"text": "", "model": "", "choice_logprobs": None, "cost_usd": None, "explanation": ""}
    for record in whole:
        for ballot in record["judging"]["ballots"]:
            ballot.update(said)
    assert short == whole


async def test_sessions_are_merged_by_seed_over_rounds_and_pages(
    database: Database, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = {"inline": [{"id": id, "prompt": "Why?"} for id in ("s1", "a", "z")]}
    rounds = [await played(database, catalogue), await played(database, catalogue, seeds=others)]
    told = [(t.seed.id, t.session) async for t in transcripts(database, rounds)]
    assert told == sorted(told)
    assert len(told) == 6
    monkeypatch.setattr(whence, "PAGE", 2)
    monkeypatch.setattr(records, "CHUNK", 4)
    again = [(r["seed"]["id"], r["session"]) async for r in records.records(database, rounds)]
    assert list(dict.fromkeys(again)) == told


async def test_a_pair_is_found_by_the_id_of_an_exported_row(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue
) -> None:
    round_id = await played(database, catalogue)
    response = await api.get(f"/v1/rounds/{round_id}/pairs", params={"format": "trl-kto"})
    for line in response.content.splitlines():
        row = orjson.loads(line)
        why = (await api.get(f"/v1/pairs/{row['id']}")).json()
        side = why["chosen"] if row["label"] else why["rejected"]
        assert side["text"] == row["completion"][0]["content"]


async def test_evolved_seeds_belong_to_the_head_of_their_line(
    database: Database, catalogue: Catalogue
) -> None:
    """`deeper` was evolved from `deep`, which no round played, only a play evolved, from `s0`."""
    evolved = [
        {"id": "deeper", "prompt": "Why?", "parent": "deep"},
        {"id": "deep", "prompt": "How?", "parent": "s0"},
        {"id": "odd", "prompt": "Who?", "parent": "unheard-of"},
        {"id": "self", "prompt": "Me?", "parent": "self"},
    ]
    round_id = await played(database, catalogue, seeds={"inline": evolved[:1] + evolved[2:]})
    assert await whence.families(database, [round_id]) == {
        "deeper": "deep",
        "odd": "unheard-of",
        "self": "self",
    }
    await played(database, catalogue, seeds={"inline": evolved[1:2]})
    assert (await whence.families(database, [round_id]))["deeper"] == "s0"
    assert await whence.line_of(database, "deeper", "deep") == ("deep", "s0")
    assert await whence.line_of(database, "self", "self") == ()
    heads = {t.seed.id: t.family async for t in transcripts(database, [round_id])}
    assert heads == {"deeper": "s0", "odd": "unheard-of", "self": "self"}


async def test_a_round_of_more_evolved_seeds_than_a_query_takes_parameters(
    database: Database, catalogue: Catalogue
) -> None:
    round_id = await played(database, catalogue)
    many = 70_000
    fill = """INSERT INTO sessions (round_id, position, seed_id, seed, status)
        SELECT :round, 10 + n, 'e' || n,
            jsonb_build_object('id', 'e' || n, 'parent', 'h' || n), 'completed'
        FROM generate_series(1, :many) n"""
    async with database.begin() as connection:
        await connection.execute(text(fill), {"round": round_id, "many": many})
    heads = await whence.families(database, [round_id])
    assert (len(heads), heads["e7"]) == (many, "h7")


async def test_selectors_over_rest(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue
) -> None:
    path = f"/v1/rounds/{await played(database, catalogue)}/pairs"
    every = (await api.get(path)).content.splitlines()

    async def taken(**query: object) -> list[bytes]:
        response = await api.get(path, params=query)  # type: ignore[arg-type]
        assert response.status_code == 200, response.text
        return response.content.splitlines()

    assert await taken(edge="revision") == every
    assert await taken(edge=["peer", "nothing"]) == []
    assert await taken(student="pupil") == every[0::2]
    assert await taken(max_per_seed=1) == every[0::2]
    assert len(await taken(n=4)) == 4
    assert await taken(gate="empty", tag="test", judge="judge") == every
    train, test = await taken(split="train"), await taken(split="test")
    assert sorted(train + test) == sorted(every)
    assert len(await taken(format="verdicts", outcome="tie", edge="peer")) == 3
    assert await taken(format="verdicts", outcome="tie", edge="revision") == []
    assert len(await taken(format="verdicts", outcome="win")) == 6
    assert len(await taken(format="transcripts", tag="test")) == 3


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"colour": "red"}, "unknown selector 'colour'; valid here: stage, "),
        ({"gate": "nice"}, "no gate 'nice'; there are: empty, "),
        ({"n": "99"}, "at most 6 can be had"),
        ({"gate": "contamination"}, "needs evaluation files"),
        ({"outcome": "tie"}, "only `win` makes a pair"),
        (
            {"format": "seeds", "student": "pupil"},
            "cannot obey student; selectors that go with it:",
        ),
        ({"split": "dev"}, "'train' or 'test', got 'dev'"),
    ],
)
async def test_a_wrong_selector_is_a_problem(
    api: httpx.AsyncClient,
    database: Database,
    catalogue: Catalogue,
    query: dict[str, str],
    told: str,
) -> None:
    path = f"/v1/rounds/{await played(database, catalogue)}/pairs"
    response = await api.get(path, params=query)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert told in response.json()["detail"]


async def test_selectors_are_in_the_description(api: httpx.AsyncClient) -> None:
    described = (await api.get("/openapi.json")).json()
    parameters = described["paths"]["/v1/rounds/{round_id}/pairs"]["get"]["parameters"]
    names = [parameter["name"] for parameter in parameters]
    assert {"round_id", "format", "doubles", *Selection.model_fields} == set(names)
    assert len(names) == len(set(names))
