"""`aaa export` against a real database: files and folders, what is told of them, and what is left when it
ends badly.
"""

import contextlib
import hashlib
import json
import os
import pty
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import SecretStr
from sqlalchemy import text

from aaa.api.server import local_api
from aaa.catalogue import Catalogue
from aaa.commands.explain import explain
from aaa.commands.export import export
from aaa.commands.export_asked import Wanted
from aaa.corpus.conditions import Refused
from aaa.errors import InputError, NotFound, SetupError
from aaa.settings import Settings
from aaa.store.database import Database
from aaa.store.rounds import create_round
from aaa.types import Call
from tests.integration.test_api_pairs import played
from tests.playing import play_round, say


@pytest.fixture
async def round_id(database: Database, catalogue: Catalogue) -> str:
    return await played(database, catalogue)


def wanted(round_id: str, output: object, format: str = "trl-dpo", **changes: Any) -> Wanted:
    return Wanted((round_id,), format, str(output))._replace(**changes)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


async def test_a_file_with_its_papers(settings: Settings, round_id: str, tmp_path: Path) -> None:
    path = tmp_path / "out" / "pairs.jsonl"
    assert await export(settings, wanted(round_id, path)) == 0
    assert len(lines(path)) == 6
    names = {file.name for file in path.parent.iterdir()}
    assert names == {
        *(
            "pairs.jsonl",
            "pairs.audit.json",
            "pairs.README.md",
            "pairs.plots.png",
            "pairs.plots.svg",
        ),
    }
    audit = json.loads((path.parent / "pairs.audit.json").read_text())
    assert audit["rows"] == {"generated": 9, "kept": 6, "dropped": {"tie": 3}, "adds_up": True}
    assert audit["metrics"]["tie_rate"] == pytest.approx(1 / 3, abs=1e-6)
    assert audit["metrics"]["chosen_longer"] == 1.0
    assert audit["agents"] == {n: {"chosen": 3, "rejected": 3} for n in ("peer", "pupil")}
    assert audit["judges"]["judge"]["chosen"] == 12
    assert audit["metrics"]["first_preferred"] == 0.5
    assert audit["metrics"]["cost_per_pair_usd"] > 0
    assert set(audit["rounds"][0]["cards"]) == {"pupil", "peer", "teacher", "judge"}
    assert "127.0.0.1:9" not in json.dumps(audit)
    card = (path.parent / "pairs.README.md").read_text()
    assert (
        yaml.safe_load(card.split("---")[1])["configs"][0]["data_files"][0]["path"] == "pairs.jsonl"
    )
    assert "6 preference pairs of 3 seeds, of 9 verdicts" in card


async def test_the_same_journal_gives_the_same_bytes(
    settings: Settings, round_id: str, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        await export(settings, wanted(round_id, tmp_path / name / "pairs.jsonl"))
        await export(settings, wanted(round_id, tmp_path / name / "all.parquet", "canonical"))
        await export(settings, wanted(round_id, f"{tmp_path / name}/set/"))
    one, two = (sorted((tmp_path / name).rglob("*.*")) for name in ("one", "two"))
    assert len(one) == len(two) == 17
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in two]


@pytest.mark.parametrize(
    "format", ["trl-dpo", "canonical", "trl-kto", "nemo-rl", "verdicts", "transcripts"]
)
async def test_parquet_holds_what_json_lines_hold(
    settings: Settings, round_id: str, tmp_path: Path, format: str
) -> None:
    for suffix in ("jsonl", "parquet"):
        await export(settings, wanted(round_id, tmp_path / f"pairs.{suffix}", format, audit=False))
    table = pq.read_table(tmp_path / "pairs.parquet")
    assert [_dicts(row) for row in table.to_pylist()] == lines(tmp_path / "pairs.jsonl")
    assert (
        pq.ParquetFile(tmp_path / "pairs.parquet").metadata.row_group(0).column(0).compression
        == "ZSTD"
    )


def _dicts(value: Any) -> Any:
    """Lists of `{"key", "value"}` as the dictionaries that they stand for."""
    if isinstance(value, dict):
        found = {name: _dicts(part) for name, part in value.items()}
        for name in ("scores", "choice_logprobs", "lineage"):
            if isinstance(found.get(name), list):
                found[name] = {one["key"]: one["value"] for one in found[name]}
        return found
    return [_dicts(part) for part in value] if isinstance(value, list) else value


HOSTILE = [
    "\x01\x02\x1b[31m\x7f\x85",
    'line\u2028separator\u2029and\r\n\ttabs\\ "quotes"',
    "e\u0301 vs é, \u200b, \ufeff, \ufffe, 𝔘𝔫𝔦, 👩‍👩‍👧",
    "\u202eright to left\u202c مرحبا שלום",
    "x" * 300_000,
    '{"a": 1} | <br> --- \n---\n',
]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
async def test_every_text_comes_back_as_it_was_said(
    settings: Settings, database: Database, catalogue: Catalogue, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"pairs.{suffix}"
    await export(settings, wanted(await played_hostile(database, catalogue), path))
    rows = lines(path) if suffix == "jsonl" else pq.read_table(path).to_pylist()
    assert len(rows) == 2 * len(HOSTILE)
    for number, row in enumerate(rows):
        said = f"by pupil é 漢 {HOSTILE[number // 2]}", f"by peer é 漢 {HOSTILE[number // 2]}"
        assert row["chosen"][0]["content"] == f"a better try {said[number % 2]}"
        assert row["rejected"][0]["content"] == f"a first try {said[number % 2]}"


async def played_hostile(database: Database, catalogue: Catalogue) -> str:
    """A round whose answers hold `HOSTILE`."""

    def answer(call: Call) -> str:
        if call.purpose in ("draft", "revision"):
            number = int(call.messages[0].content.split()[1].rstrip("?"))
            return f"{say(call)} {HOSTILE[number]}"
        return say(call)

    seeds = {"inline": [{"id": f"s{n}", "prompt": f"Question {n}?"} for n in range(len(HOSTILE))]}
    scenario, folder = catalogue.scenario("small", {"seeds": seeds})
    made = await create_round(database, *catalogue.prepare(scenario, folder))
    await play_round(database, made.id, answer)
    return made.id


@pytest.mark.parametrize("format", ["trl-dpo", "transcripts"])
async def test_a_terminal_is_shown_the_same_rows_without_what_steers_it(
    settings: Settings,
    database: Database,
    catalogue: Catalogue,
    tmp_path: Path,
    aaa: Callable[..., Any],
    format: str,
) -> None:
    """A pipe gets the file's bytes; a terminal the same JSON, every other control character escaped."""
    words = ("export", await played_hostile(database, catalogue), "--format", format, "-o")
    path = tmp_path / "rows.jsonl"
    assert aaa(*words, str(path), "--no-audit").returncode == 0
    piped = tmp_path / "piped"
    with piped.open("wb") as file:
        assert aaa(*words, "-", stdout=file).returncode == 0
    assert piped.read_bytes() == path.read_bytes()
    ours, theirs = pty.openpty()
    with ThreadPoolExecutor(1) as thread:
        shown = thread.submit(until_closed, ours)
        assert aaa(*words, "-", stdout=theirs).returncode == 0
        os.close(theirs)
        told = shown.result(60).decode().replace("\r\n", "\n")
    assert STEERING.search(path.read_text()) is not None
    assert STEERING.search(told) is None
    assert [json.loads(line) for line in told.split("\n")[:-1]] == lines(path)


STEERING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def until_closed(terminal: int) -> bytes:
    """All that is written to a pseudo-terminal."""
    found = b""
    with contextlib.suppress(OSError):  # the other side is closed
        while part := os.read(terminal, 65536):
            found += part
    os.close(terminal)
    return found


async def test_a_folder_as_the_hub_has_data_sets(
    settings: Settings, database: Database, catalogue: Catalogue, tmp_path: Path
) -> None:
    seeds = {"inline": [{"id": f"s{n}", "prompt": f"Question {n}?"} for n in range(20)]}
    round_id = await played(database, catalogue, seeds=seeds)
    folder = tmp_path / "set"
    await export(settings, wanted(round_id, folder, selectors=(("test_share", "0.3"),)))
    card = yaml.safe_load((folder / "README.md").read_text().split("---")[1])
    assert [config["config_name"] for config in card["configs"]] == [
        "pairs",
        "transcripts",
        "verdicts",
    ]
    rows: dict[tuple[str, str], list[Any]] = {}
    for config in card["configs"]:
        for file in config["data_files"]:
            table = pq.read_table(folder / file["path"])
            rows[config["config_name"], file["split"]] = table.to_pylist()
    assert sum(len(found) for (name, _), found in rows.items() if name == "pairs") == 40
    assert sum(len(found) for (name, _), found in rows.items() if name == "transcripts") == 20
    asked = [
        {row["prompt"][0]["content"] for row in rows["pairs", part]} for part in ("train", "test")
    ]
    assert asked[0].isdisjoint(asked[1])
    for part, mine in zip(("train", "test"), asked, strict=True):
        told = {row["seed"]["prompt"][0]["content"] for row in rows["transcripts", part]}
        assert told == mine
    audit = json.loads((folder / "audit.json").read_text())
    assert set(audit["hashes"]) == {
        file["path"] for c in card["configs"] for file in c["data_files"]
    }


async def test_a_folder_with_something_in_it_is_left_alone(
    settings: Settings, round_id: str, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match="is there already, and not empty"):
        await export(settings, wanted(round_id, tmp_path / "mine"))
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    assert list(tmp_path.glob(".mine*")) == []


async def test_gates_selectors_and_conservation(
    settings: Settings, database: Database, catalogue: Catalogue, tmp_path: Path
) -> None:
    """One answer of each kind is bad; the numbers add up to every verdict of the round."""

    def answer(call: Call) -> str:
        if call.purpose == "revision" and "Question 0?" in call.messages[0].content:
            return "As an AI, I say it better."
        return say(call)

    scenario, folder = catalogue.scenario("small")
    made = await create_round(database, *catalogue.prepare(scenario, folder))
    await play_round(database, made.id, answer)
    selectors = (("gate", "identity"), ("agent", "pupil"))
    path = tmp_path / "pairs.jsonl"
    await export(settings, wanted(made.id, path, selectors=selectors))
    audit = json.loads((tmp_path / "pairs.audit.json").read_text())
    assert audit["rows"] == {
        "generated": 9,
        "kept": 2,
        "dropped": {"agent": 3, "identity": 1, "tie": 3},
        "adds_up": True,
    }
    assert len(lines(path)) == 2


async def test_an_evaluation_file_is_held_against_pairs(
    settings: Settings, round_id: str, tmp_path: Path
) -> None:
    evaluation = tmp_path / "bench.jsonl"
    evaluation.write_text(json.dumps({"turns": ["a better try by pupil é 漢"]}) + "\n")
    await export(settings, wanted(round_id, tmp_path / "p.jsonl", evaluations=(evaluation,)))
    audit = json.loads((tmp_path / "p.audit.json").read_text())
    assert audit["rows"]["dropped"] == {"contamination": 3, "tie": 3}


QUESTION = "a farmer has seventeen sheep and all but nine run away so how many sheep are left"
"""Of an evaluation; more than thirteen words."""
LEAKING, ASKED, ALIKE, SEEDS = range(3), range(5, 9), range(20, 24), 24
"""Seeds whose pupil says what it is, whose prompts hold `QUESTION`, whose answers repeat those of seed 19."""
LONG = range(15)
"""Seeds whose better answers are longer."""


def planted(call: Call) -> str:
    if call.purpose not in ("draft", "revision"):
        return say(call)
    number = int(re.findall(r"Question (\d+)", call.messages[0].content)[0])
    words = random.Random(f"{min(number, 19)} {call.agent} {call.purpose}").choices(
        range(9999), k=60
    )
    if call.purpose == "draft":
        return " ".join(map(str, words[:40]))
    leak = "As an AI language model, " if number in LEAKING and call.agent == "pupil" else ""
    return f"{leak}better {' '.join(map(str, words if number in LONG else words[:30]))}"


async def test_what_is_planted_is_found_at_its_count(
    settings: Settings, database: Database, catalogue: Catalogue, tmp_path: Path
) -> None:
    """Duplicates, leaks of identity, contamination and a lean to length; and nothing else is dropped."""
    asked = {n: f"Question {n}? {QUESTION if n in ASKED else ''}" for n in range(SEEDS)}
    seeds = {"inline": [{"id": f"s{n:02}", "prompt": prompt} for n, prompt in asked.items()]}
    scenario, folder = catalogue.scenario("small", {"seeds": seeds})
    made = await create_round(database, *catalogue.prepare(scenario, folder))
    await play_round(database, made.id, planted)
    evaluation = tmp_path / "bench.jsonl"
    evaluation.write_text(json.dumps({"question": f"{QUESTION}?"}) + "\n")
    gates = ("identity", "near_duplicate", "contamination")
    path = tmp_path / "pairs.jsonl"
    selectors = tuple(("gate", gate) for gate in gates)
    await export(settings, wanted(made.id, path, selectors=selectors, evaluations=(evaluation,)))
    audit = json.loads((tmp_path / "pairs.audit.json").read_text())
    found = {
        "contamination": 2 * len(ASKED),
        "identity": len(LEAKING),
        "near_duplicate": 2 * len(ALIKE),
    }
    kept = 2 * SEEDS - sum(found.values())
    longer = 2 * (len(LONG) - len(ASKED)) - len(LEAKING)
    assert audit["rows"]["dropped"] == found | {"tie": SEEDS}
    assert audit["rows"]["kept"] == len(lines(path)) == kept
    assert audit["metrics"]["chosen_longer"] == pytest.approx(longer / kept, abs=1e-6)


async def test_a_set_that_is_refused_is_not_written(
    settings: Settings, round_id: str, tmp_path: Path
) -> None:
    fails = wanted(round_id, tmp_path / "p.jsonl", fail_if=("chosen_longer>0.65", "kept<3"))
    with pytest.raises(Refused, match=r"chosen_longer is 1 \(chosen_longer>0.65\)$"):
        await export(settings, fails)
    with pytest.raises(Refused):
        await export(settings, fails._replace(output=f"{tmp_path}/set/"))
    with pytest.raises(InputError, match=r"no figure 'beauty'; there are: .*chosen_longer"):
        await export(settings, fails._replace(fail_if=("beauty>1",)))
    assert list(tmp_path.glob("**/*.jsonl")) == list((tmp_path / "catalogue").glob("**/*.jsonl"))
    assert not (tmp_path / "set").exists()
    await export(settings, fails._replace(fail_if=("chosen_longer>1", "dropped.refusal>0")))


async def test_what_an_earlier_export_has_is_left_out(
    settings: Settings, database: Database, catalogue: Catalogue, round_id: str, tmp_path: Path
) -> None:
    await export(settings, wanted(round_id, tmp_path / "one.parquet", "trl-kto"))
    more = await played(database, catalogue, **{"protocol.options.rounds": 2})
    await export(settings, wanted(round_id, f"{tmp_path}/set/"))
    for since in ("one.parquet", "set"):
        path = tmp_path / "two.jsonl"
        both = wanted(round_id, path)._replace(rounds=(round_id, more), since=(tmp_path / since,))
        await export(settings, both)
        audit = json.loads((tmp_path / "two.audit.json").read_text())
        assert audit["rows"]["dropped"]["since"] == 6
        assert audit["rows"]["adds_up"]
        old = {row["id"] for row in pq.read_table(tmp_path / "one.parquet").to_pylist()}
        assert {row["id"] for row in lines(path)}.isdisjoint({id.rsplit("-", 1)[0] for id in old})


async def test_an_increment_has_no_answer_again_under_another_id(
    settings: Settings, database: Database, catalogue: Catalogue, tmp_path: Path
) -> None:
    """Both students say the same, so each second pair gives no row of its own."""

    def alike(call: Call) -> str:
        return say(call) if call.seat == "judge" else say(call).split(" by ")[0]

    scenario, folder = catalogue.scenario("small")
    made = await create_round(database, *catalogue.prepare(scenario, folder))
    await play_round(database, made.id, alike)
    whole = wanted(made.id, tmp_path / "whole.jsonl", "trl-sft")
    await export(settings, whole)
    assert len(lines(tmp_path / "whole.jsonl")) == 3
    rows = json.loads((tmp_path / "whole.audit.json").read_text())["rows"]
    assert (rows["kept"], rows["left_out"]) == (6, {"repeated": 3})
    more = whole._replace(output=str(tmp_path / "more.jsonl"), since=(tmp_path / "whole.jsonl",))
    await export(settings, more)
    assert lines(tmp_path / "more.jsonl") == []
    rows = json.loads((tmp_path / "more.audit.json").read_text())["rows"]
    assert rows["dropped"]["since"] == rows["kept"] == rows["left_out"]["repeated"] == 3


async def test_a_control_plane_gives_the_same_bytes(
    settings: Settings, database: Database, catalogue: Catalogue, round_id: str, tmp_path: Path
) -> None:
    """Also where a round has one pair twice: it is left out and counted, on both ways."""
    other = await played(database, catalogue)
    async with database.begin() as connection:
        twice = """UPDATE verdicts v SET pair_id = (SELECT min(pair_id) FROM verdicts w
            WHERE w.session_id = v.session_id) WHERE pair_id IS NOT NULL AND session_id =
            (SELECT min(id) FROM sessions WHERE round_id = :round)"""
        await connection.execute(text(twice), {"round": other})
    both = wanted(round_id, tmp_path / "here" / "p.jsonl", "canonical")._replace(
        rounds=(other, round_id)
    )
    await export(settings, both)
    async with local_api(settings, database, catalogue) as own:
        there = Settings(url=own.url, token=own.token, home=tmp_path / "elsewhere")
        await export(there, both._replace(output=str(tmp_path / "there" / "p.jsonl")))
    here = sorted((tmp_path / "here").iterdir())
    assert len(here) == 5
    rows = json.loads((tmp_path / "here" / "p.audit.json").read_text())["rows"]
    assert rows["dropped"]["double"] >= 1
    assert rows["adds_up"]
    for file in here:
        assert (tmp_path / "there" / file.name).read_bytes() == file.read_bytes(), file.name


async def test_an_account_that_does_not_add_up_is_told(
    settings: Settings,
    database: Database,
    round_id: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with database.begin() as connection:
        await connection.execute(text("UPDATE rounds SET verdicts_win = verdicts_win + 1"))
    await export(settings, wanted(round_id, tmp_path / "p.jsonl"))
    assert "do not add up to the 10 verdicts of the rounds\n" in capsys.readouterr().err
    assert not json.loads((tmp_path / "p.audit.json").read_text())["rows"]["adds_up"]


async def test_two_files_of_one_set_share_their_papers(
    settings: Settings, round_id: str, tmp_path: Path
) -> None:
    for suffix in ("jsonl", "parquet", "parquet"):
        await export(settings, wanted(round_id, tmp_path / f"pairs.{suffix}"))
    audit = json.loads((tmp_path / "pairs.audit.json").read_text())
    assert set(audit["hashes"]) == {"pairs.jsonl", "pairs.parquet"}
    for name, digest in audit["hashes"].items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({"format": "canonical"}, "format"),
        ({"selectors": (("min_margin", "2"),)}, "selection"),
        ({"since": True}, "rows, metrics"),
    ],
)
async def test_a_second_set_does_not_take_the_papers_of_the_first(
    settings: Settings, round_id: str, tmp_path: Path, changes: dict[str, Any], differs: str
) -> None:
    out, old = tmp_path / "out", tmp_path / "old.jsonl"
    one, other = out / "pairs.jsonl", out / "pairs.parquet"
    await export(settings, wanted(round_id, one))
    shutil.copy(one, old)
    before = {file: file.read_bytes() for file in out.iterdir()}
    if changes.get("since"):
        changes = {"since": (old,)}
    asked = wanted(round_id, other)._replace(**changes)
    with pytest.raises(InputError, match=rf"pairs\.audit\.json.*pairs\.jsonl.*other {differs}"):
        await export(settings, asked)
    assert {file: file.read_bytes() for file in out.iterdir()} == before
    await export(settings, asked._replace(audit=False))
    one.unlink()  # nobody's papers are taken now
    await export(settings, asked)
    audit = json.loads((out / "pairs.audit.json").read_text())
    assert set(audit["hashes"]) == {"pairs.parquet"}


async def test_papers_tell_of_no_file_that_is_not_there(
    settings: Settings, round_id: str, tmp_path: Path
) -> None:
    """The index beside it cannot be written, or a folder has the file's name: no audit is left."""
    (tmp_path / "dataset_info.json").write_text("[1]")
    with pytest.raises(InputError, match="no JSON object"):
        await export(settings, wanted(round_id, tmp_path / "a.jsonl", "llama-factory"))
    (tmp_path / "b.jsonl").mkdir()
    with pytest.raises(SetupError):
        await export(settings, wanted(round_id, tmp_path / "b.jsonl"))
    assert not list(tmp_path.glob("[ab].*.*"))


async def test_without_audit_no_older_one_is_left_wrong(
    settings: Settings, round_id: str, tmp_path: Path
) -> None:
    await export(settings, wanted(round_id, tmp_path / "a.jsonl"))
    bare = wanted(round_id, tmp_path / "a.jsonl", audit=False)
    with pytest.raises(InputError, match=r"a.audit.json' is the audit of 'a.jsonl'"):
        await export(settings, bare)
    await export(settings, bare._replace(output=str(tmp_path / "a.parquet")))


async def test_an_index_of_data_sets_keeps_its_other_entries(
    settings: Settings, round_id: str, tmp_path: Path
) -> None:
    (tmp_path / "dataset_info.json").write_text('{"mine": {"file_name": "mine.json"}}')
    await export(settings, wanted(round_id, tmp_path / "pairs.jsonl", "llama-factory"))
    entries = json.loads((tmp_path / "dataset_info.json").read_text())
    assert list(entries) == ["mine", "pairs"]
    assert entries["pairs"]["file_name"] == "pairs.jsonl"


async def test_the_story_of_a_row_by_its_id_alone(
    settings: Settings, round_id: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await export(settings, wanted(round_id, tmp_path / "p.jsonl", "trl-kto"))
    row = lines(tmp_path / "p.jsonl")[1]
    assert row["id"].endswith("-rejected")
    capsys.readouterr()
    assert await explain(settings, row["id"], as_json=False) == 0
    told = capsys.readouterr().out
    for part in (
        *("SEED s0 [test]", "REJECTED: turn 0, draft by pupil (served as stub-1)"),
        *("VERDICT by judging play 'pairwise': win", "judge, order ba: prefers turn"),
        *("THE SESSION, turn by turn", "WHAT ELSE WAS COMPARED", "(peer): dropped: tie"),
        *("WHAT IT TOOK", "pair: 4 calls", row["completion"][0]["content"]),
    ):
        assert part in told, part


ROOT = Path(__file__).parents[2]
WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"format": "csv"}, NotFound, "no format 'csv'; there are: axolotl-dpo, canonical"),
    ({"output": "pairs.csv"}, InputError, "ends in .jsonl or .parquet, or a folder's"),
    ({"output": "/proc/none/pairs.jsonl"}, SetupError, "cannot be written"),
    ({"rounds": ("none",)}, NotFound, "no round 'none'"),
    (
        {"selectors": (("colour", "red"),)},
        InputError,
        "unknown selector 'colour'; valid here: stage",
    ),
    ({"fail_if": ("chosen_longer",)}, InputError, "write NAME>NUMBER"),
    ({"since": (Path("gone.jsonl"),)}, InputError, "gone.jsonl: cannot be read"),
    ({"since": (ROOT / "docs",)}, InputError, "docs' is no set: it has no `pairs/`"),
    (
        {"since": (ROOT / "scenarios" / "seeds" / "quickstart.jsonl",)},
        InputError,
        "is no id of a pair; is it an export of pairs",
    ),
    ({"public": True}, InputError, "--public is for --push-to-hub"),
    ({"suffix": "jsonl"}, InputError, "--as is for a folder"),
    ({"output": "set/", "audit": False}, InputError, "--no-audit is for a file"),
    (
        {"format": "verdicts", "fail_if": ("kept<1",)},
        InputError,
        "--fail-if is for formats of pairs",
    ),
    ({"selectors": (("gate", "contamination"),)}, InputError, "needs evaluation files"),
]


@pytest.mark.parametrize(("changes", "kind", "told"), WRONG)
async def test_what_is_wrong_is_told(
    settings: Settings,
    round_id: str,
    tmp_path: Path,
    changes: dict[str, Any],
    kind: type[Exception],
    told: str,
) -> None:
    with pytest.raises(kind, match=told):
        await export(settings, wanted(round_id, tmp_path / "out" / "p.jsonl")._replace(**changes))
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("output", ["pairs.jsonl", "pairs.parquet", "set/"])
def test_a_kill_in_the_middle_leaves_nothing_under_the_name(
    settings: Settings, round_id: str, tmp_path: Path, output: str, aaa: Callable[..., Any]
) -> None:
    out, armed = tmp_path / "out", tmp_path / "armed"
    armed.mkdir()
    (armed / "export.row").touch()
    done = aaa("export", round_id, "-o", f"{out}/{output}", AAA_FAILPOINTS=str(armed))
    assert done.returncode == -signal.SIGKILL
    assert [file for file in out.iterdir() if not file.name.startswith(".")] == []
    again = aaa("export", round_id, "-o", f"{out}/{output}")
    assert again.returncode == 0, again.stderr
    assert (out / output).exists()


def test_a_full_disk_leaves_nothing(
    settings: Settings, round_id: str, tmp_path: Path, aaa: Callable[..., Any]
) -> None:
    """As a full disk does: a file may grow to so many bytes only, too few for the rows, or for the audit."""
    for limit, name in ((512, "pairs.jsonl"), (2048, "pairs.audit.json")):
        out = tmp_path / "out" / "pairs.jsonl"
        done = aaa("export", round_id, "-o", str(out), limit=limit)
        assert done.returncode == 3, done.stderr
        assert f"{name}' cannot be written: File too large" in done.stderr
        assert list(out.parent.iterdir()) == []


@pytest.fixture
def aaa(settings: Settings) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The command as a process of its own."""
    assert isinstance(settings.database_url, SecretStr)
    url = settings.database_url.get_secret_value()

    def run(
        *words: str, limit: int = 0, stdout: Any = PIPE, **more: str
    ) -> subprocess.CompletedProcess[str]:
        code = (
            "import resource, signal, sys\n"
            f"limit = {limit}\n"
            "from aaa.cli import main\n"
            "if limit:\n"
            "    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))\n"
            "main()\n"
        )
        env = os.environ | {"DATABASE_URL": url, "AAA_HOME": str(settings.home)} | more
        return subprocess.run(
            [sys.executable, "-c", code, *words],
            env=env,
            stdout=stdout,
            stderr=PIPE,
            text=True,
            timeout=120,
        )

    return run
