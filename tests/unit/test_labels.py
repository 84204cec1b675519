"""The labelled set that travels with the project: balanced, readable, and measured as it says."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aaa.api.judging import shipped_calibrations
from aaa.calibration import Calibration, labels_hash
from aaa.catalogue import open_catalogue, shipped
from aaa.commands.judges import Wanted, cost_of, labels_file, prepared
from aaa.errors import InputError, NotFound
from aaa.estimate import Estimate
from aaa.scenario import Seeds
from aaa.seeds import load_seeds
from aaa.settings import Settings
from aaa.types import Comparison, Seed

FOLDER = shipped("scenarios") / "labels"
SEEDS = load_seeds(Seeds(file="quickstart.jsonl"), FOLDER)
QUICKSTART = ("qwen2.5-coder-1.5b",)


def comparison(seed: Seed) -> Comparison:
    assert seed.comparison is not None
    return seed.comparison


def test_there_are_pairs_enough_of_many_kinds() -> None:
    assert len(SEEDS) >= 60
    tags = Counter(tag for seed in SEEDS for tag in seed.tags)
    assert {"facts", "arithmetic", "instructions", "clarity", "reasoning"} <= set(tags)
    assert len({seed.prompt[-1].content for seed in SEEDS}) == len(SEEDS)


def test_neither_side_nor_length_tells_the_label() -> None:
    """The right answer stands first as often as second, and is the longer one as often as the shorter."""
    sided = [comparison(s) for s in SEEDS if comparison(s).label != "tie"]
    assert 4 <= len(SEEDS) - len(sided) <= len(SEEDS) // 10
    cells = Counter((c.label, len(c.a.text) > len(c.b.text)) for c in sided)
    assert len(cells) == 4
    assert max(cells.values()) - min(cells.values()) <= 1


def test_every_pair_is_one_to_decide() -> None:
    for seed in SEEDS:
        known = comparison(seed)
        assert known.label is not None, seed.id
        assert known.labeller, seed.id
        assert known.a.text.strip() != known.b.text.strip(), seed.id


def measured() -> list[Calibration]:
    return [one for own in shipped_calibrations([FOLDER.parent]).values() for one in own]


def test_the_shipped_figures_are_of_these_pairs() -> None:
    assert measured()
    _, _, seeds = prepared(
        open_catalogue(Settings()), Wanted(QUICKSTART, "labels/quickstart.jsonl", "logprob", {})
    )
    for one in measured():
        assert one.labels_hash == labels_hash(seeds), "measure again: the labelled set has changed"
        assert one.figures.pairs == len(SEEDS)


def test_the_quickstarts_judge_is_among_them() -> None:
    scenario, _ = open_catalogue(Settings()).scenario("quickstart")
    known = [(one.judge, one.play, one.options) for one in measured()]
    judging = scenario.judging
    for judge in scenario.seats["judge"]:
        assert (judge, judging.play, judging.options) in known


# What `aaa judges calibrate` takes


def wanted(labels: str, **changes: Any) -> Wanted:
    return Wanted(QUICKSTART, labels, "logprob", {})._replace(**changes)


def test_a_labels_file_is_found_here_or_in_a_scenario_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = open_catalogue(Settings())
    assert labels_file("labels/quickstart.jsonl", catalogue) == FOLDER / "quickstart.jsonl"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        InputError, match=r"'nowhere\.jsonl': no such file; looked for nowhere\.jsonl, "
    ):
        labels_file("nowhere.jsonl", catalogue)


def test_a_judge_without_a_price_has_no_part_in_the_bound() -> None:
    lines: dict[str, Any]
    lines = {"scenario": "x", "sessions": 2, "rehearsed": 2, "calls": 8, "lines": ()}
    told = Estimate(**lines, cost_usd=0.5, unpriced=())
    assert cost_of(told) == "at most $0.5000"
    told = Estimate(**lines, cost_usd=0.5, unpriced=("llama",))
    assert cost_of(told) == "at most $0.5000 without llama, whose price is unknown"
    assert cost_of(Estimate(**lines, cost_usd=None, unpriced=("llama", "qwen"))) == "unknown"


def test_judges_are_measured_apart() -> None:
    options = {"judging.options.mode": "pointwise"}
    asked = wanted("labels/quickstart.jsonl", overrides=options, limit=5)
    plain, script, seeds = prepared(open_catalogue(Settings()), asked)
    assert len(seeds) == 5
    assert script.scenario.protocol.options["judges"] == "apart"
    assert script.scenario.judging.options == {"mode": "pointwise"}
    json.dumps(plain)


def test_no_checker_decides_what_a_judge_is_measured_by(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    row = {"prompt": "Q?", "answer_a": "6", "answer_b": "7", "label": "a"}
    checker = {"kind": "number", "value": 6, "tolerance": 0}
    path.write_text(json.dumps(row | {"checker": checker}) + "\n")
    (seed,) = prepared(open_catalogue(Settings()), wanted(str(path)))[2]
    assert seed.checker is None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "Q?", "answer_a": "x", "answer_b": "y"}, "no labelled pair"),
        ({"prompt": "Q?"}, "no labelled pair"),
        ({"prompt": "Q?", "answer_a": "x", "label": "a"}, "field .answer_b"),
        ({"prompt": "Q?", "answer_a": "x", "answer_b": "y", "label": "A"}, "field .label"),
        ({"answer_a": "x", "answer_b": "y", "label": "a"}, "no field 'prompt'"),
        ({"prompt": "Q?", "answer_a": "x\0", "answer_b": "y", "label": "a"}, "NUL"),
    ],
)
def test_rows_that_are_no_labelled_pairs(tmp_path: Path, row: object, said: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(InputError, match=said):
        prepared(open_catalogue(Settings()), wanted(str(path)))


def test_a_context_and_a_person_are_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    row = {"context": "Q?", "answer_a": "x", "answer_b": "y", "label": "tie", "labeller": "p1"}
    path.write_text(json.dumps(row) + "\n")
    (seed,) = prepared(open_catalogue(Settings()), wanted(str(path)))[2]
    assert seed.prompt[0].content == "Q?"
    assert (comparison(seed).label, comparison(seed).labeller) == ("tie", "p1")


def test_unknown_judges_and_other_settings_are_refused() -> None:
    with pytest.raises(NotFound, match="nobody"):
        prepared(open_catalogue(Settings()), wanted("labels/quickstart.jsonl", judges=("nobody",)))
    asked = wanted("labels/quickstart.jsonl", overrides={"seats.judge": ["x"]})
    with pytest.raises(InputError, match="below `judging`"):
        prepared(open_catalogue(Settings()), asked)
