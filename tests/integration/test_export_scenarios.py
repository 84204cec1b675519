"""What a scenario says of its data: it holds for the command, over REST and for what a run leaves."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from aaa.api.server import local_api
from aaa.catalogue import Catalogue
from aaa.client import Client
from aaa.commands.export import export
from aaa.commands.export_asked import Wanted
from aaa.commands.run_files import leave
from aaa.corpus.conditions import Refused
from aaa.errors import InputError
from aaa.settings import Settings
from aaa.store.database import Database
from tests.integration.test_api_pairs import played

STRICT = {"export.gate": ["standard", "length_ratio=1.01"]}
"""Every pair of these rounds has a longer answer than that."""


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def dropped(path: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads(path.read_text())["rows"]["dropped"]
    return found


async def test_the_command_takes_the_scenarios_gates_and_can_say_otherwise(
    settings: Settings, database: Database, catalogue: Catalogue, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    round_id = await played(database, catalogue, **STRICT)
    wanted = Wanted((round_id,), "trl-dpo", str(tmp_path / "p.jsonl"))
    await export(settings, wanted)
    told = capsys.readouterr().err
    assert "The scenario asks for --gate standard --gate length_ratio=1.01; say `none`" in told
    assert "left out, of 9 verdicts: 6 length_ratio, 3 tie" in told
    assert dropped(tmp_path / "p.audit.json") == {"length_ratio": 6, "tie": 3}
    assert "gate=length_ratio=1.01" in (tmp_path / "p.README.md").read_text()
    for gate, kept in (("none", 6), ("length_ratio=9", 6), ("length_ratio=1.01", 0)):
        await export(settings, wanted._replace(selectors=(("gate", gate),)))
        assert len(lines(tmp_path / "p.jsonl")) == kept
    other = await played(database, catalogue)
    with pytest.raises(InputError, match=r"differ in `export.gate`.*say --gate for all of them"):
        await export(settings, wanted._replace(rounds=(round_id, other)))
    await export(settings, wanted._replace(rounds=(round_id, other), selectors=(("gate", "none"),)))


async def test_evaluation_files_add_to_the_scenarios_gates(
    settings: Settings, database: Database, catalogue: Catalogue, tmp_path: Path
) -> None:
    round_id = await played(database, catalogue, **{"export.gate": ["length_ratio=9"]})
    evaluation = tmp_path / "bench.jsonl"
    evaluation.write_text(json.dumps({"turns": ["a better try by pupil é 漢"]}) + "\n")
    path = tmp_path / "p.jsonl"
    await export(settings, Wanted((round_id,), "trl-dpo", str(path), evaluations=(evaluation,)))
    audit = json.loads((tmp_path / "p.audit.json").read_text())
    assert audit["selection"] == "gate=length_ratio=9&gate=contamination"
    assert audit["rows"]["dropped"] == {"contamination": 3, "tie": 3}


async def test_the_scenarios_conditions_fail_an_export(
    settings: Settings, database: Database, catalogue: Catalogue, tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:  # fmt: skip
    round_id = await played(database, catalogue, **{"export.fail_if": ["chosen_longer>0.65"]})
    wanted = Wanted((round_id,), "trl-dpo", str(tmp_path / "p.jsonl"))
    with pytest.raises(Refused, match=r"chosen_longer is 1 \(chosen_longer>0.65\)$"):
        await export(settings, wanted)
    assert not (tmp_path / "p.jsonl").exists()
    capfdbinary.readouterr()
    with pytest.raises(Refused):  # the rows are out already; the exit code tells
        await export(settings, wanted._replace(output="-"))
    assert len(capfdbinary.readouterr().out.splitlines()) == 6
    await export(settings, wanted._replace(fail_if=("none",)))
    assert len(lines(tmp_path / "p.jsonl")) == 6


async def test_over_rest_they_hold_where_no_gate_is_given(
    api: httpx.AsyncClient, database: Database, catalogue: Catalogue
) -> None:
    path = f"/v1/rounds/{await played(database, catalogue, **STRICT)}/pairs"
    counts = {
        gate: (await api.get(path, params=gate and {"gate": gate})).content.count(b"\n")
        for gate in ("", "none", "refusal")
    }
    assert counts == {"": 0, "none": 6, "refusal": 6}
    told = await api.get(path, params={"format": "verdicts"})
    assert told.content.count(b"\n") == 9


@pytest.fixture
async def client(
    settings: Settings, database: Database, catalogue: Catalogue
) -> AsyncIterator[Client]:
    async with (
        local_api(settings, database, catalogue) as own,
        Client(*own) as found,
    ):
        yield found


async def test_a_run_leaves_card_and_audit_beside_its_files(
    client: Client, settings: Settings, database: Database, catalogue: Catalogue, tmp_path: Path
) -> None:
    round_id = await played(database, catalogue)
    left = await leave(client, round_id, tmp_path / "run")
    names = {"trl-dpo.jsonl", "canonical.jsonl", "README.md", "audit.json"}
    assert {file.name for file in (tmp_path / "run").iterdir()} == names
    assert (left.dropped, left.refused) == ({}, None)
    await export(settings, Wanted((round_id,), "trl-dpo", str(tmp_path / "p.jsonl")))
    assert (tmp_path / "run" / "trl-dpo.jsonl").read_bytes() == (tmp_path / "p.jsonl").read_bytes()
    await export(settings, Wanted((round_id,), "canonical", str(tmp_path / "c.jsonl")))
    assert (tmp_path / "run" / "canonical.jsonl").read_bytes() == (
        tmp_path / "c.jsonl"
    ).read_bytes()
    own, other = (
        json.loads(path.read_text())
        for path in (tmp_path / "run" / "audit.json", tmp_path / "p.audit.json")
    )
    assert own["hashes"].pop("trl-dpo.jsonl") == other["hashes"].pop("p.jsonl")
    assert {k: v for k, v in own.items() if k != "hashes"} == {
        k: v for k, v in other.items() if k != "hashes"
    }


async def test_a_run_that_is_refused_or_sifted_away_leaves_no_pairs(
    client: Client, database: Database, catalogue: Catalogue, tmp_path: Path
) -> None:
    sifted = await leave(client, await played(database, catalogue, **STRICT), tmp_path)
    assert (sifted.files, sifted.dropped) == ({}, {"length_ratio": 6})
    failing = {"export.fail_if": ["kept<100"]}
    refused = await leave(client, await played(database, catalogue, **failing), tmp_path)
    assert refused.refused is not None
    assert "kept is 6 (kept<100)" in refused.refused
    assert refused.files == {}
    assert not [file for file in tmp_path.iterdir() if file.is_file()]
