"""`aaa seeds …` over a scenario, a file and a recorded round."""

import json
from pathlib import Path

import httpx
import pytest

from aaa.commands.seeds import analyse, sample
from aaa.errors import InputError, NotFound
from aaa.scenario import Seeds
from aaa.seeds import load_seeds
from aaa.settings import Settings
from aaa.store.database import Database
from tests.playing import play_round

ROWS = [
    {
        "id": f"s{n}",
        "prompt": f"Question number {n}?",
        "tags": ["topic:code" if n < 4 else "topic:chat"],
    }
    for n in range(20)
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "seeds.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


async def test_a_set_is_described_and_drawn(
    settings: Settings, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "seeds.svg"
    assert await analyse(settings, str(file), (), plot, as_json=False) == 0
    out, err = capsys.readouterr()
    assert "20 seeds, 0 with a checker or a reference" in out
    assert ["topic", "chat", "16", "80.0%"] in [line.split() for line in out.splitlines()]
    assert "drawn in" in err
    assert "topic, 20 seeds" in plot.read_text()


async def test_as_json(settings: Settings, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await analyse(settings, str(file), (), None, as_json=True)
    assert json.loads(capsys.readouterr().out)["seeds"] == 20


async def test_difficulty_comes_from_rounds(
    api: httpx.AsyncClient,
    settings: Settings,
    database: Database,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    played = tmp_path / "played.jsonl"
    played.write_text(
        "".join(json.dumps({"id": f"s{n}", "prompt": "Why?"}) + "\n" for n in range(9))
    )
    made = await api.post("/v1/rounds", json={"scenario": "small"})
    round_id = made.json()["id"]
    await play_round(database, round_id)
    told = (await api.get(f"/v1/rounds/{round_id}/signals")).json()
    assert set(told) == {"s0", "s1", "s2"}
    assert all(0 <= one["disagreement"] <= 1 for one in told.values())
    await analyse(settings, str(played), (round_id,), None, as_json=False)
    assert "unknown: 6" in capsys.readouterr().out
    with pytest.raises(NotFound, match="no round 'none'"):
        await analyse(settings, str(played), ("none",), None, as_json=False)


def test_a_sample_is_a_seeds_file(
    settings: Settings, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "drawn.jsonl"
    with pytest.raises(InputError, match=r"only 4 are left \(16 more have weight 0\)"):
        sample(settings, str(file), 5, ("topic:chat=0",), 0, str(output))
    assert sample(settings, str(file), 4, ("topic:chat=0",), 0, str(output)) == 0
    drawn = load_seeds(Seeds(file=output.name), tmp_path)
    assert {seed.id for seed in drawn} == {"s0", "s1", "s2", "s3"}
    out = capsys.readouterr().out
    assert ["topic", "chat", "16", "0", "80.0%", "0.0%"] in [
        line.split() for line in out.splitlines()
    ]


@pytest.mark.parametrize(
    ("weight", "output", "said"),
    [
        ("topic", "-", "expected TAG=NUMBER"),
        ("topic:code=much", "-", "expected TAG=NUMBER"),
        ("topic:cod=2", "-", "no seed has that tag; there are: topic:chat, topic:code"),
        ("topic:code=2", "x.csv", "seeds are written as .jsonl"),
    ],
)
def test_refusals(settings: Settings, file: Path, weight: str, output: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        sample(settings, str(file), 2, (weight,), 0, output)
