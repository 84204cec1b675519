"""Audits: planted bias is found at its planted size, numbers add up, conditions refuse."""

import json
import random

import numpy as np
import pytest
import yaml

from aaa.corpus import conditions
from aaa.corpus.audit import Audit
from aaa.corpus.card import card
from aaa.corpus.conditions import Refused
from aaa.corpus.selection import TESTS, parse
from aaa.corpus.sieve import SINCE, Around, Sieve, Sifted, limits, sifted
from aaa.corpus.style_slope import Sample, fit
from aaa.errors import InputError
from aaa.quality import FIGURES, GATES, OUTCOMES, REASONS, Condition
from aaa.records import Record
from tests.records import alone, made, said, source, vote

FAMILIES = {("r1", "pupil"): "oak", ("r1", "peer"): "elm", ("r1", "j"): "elm", ("r1", "k"): "ash"}


def audited(records: list[Record]) -> Audit:
    audit = Audit(FAMILIES)
    for record in records:
        audit.take(Sifted(record, None))
    return audit


def metrics(records: list[Record], **verdicts: int) -> dict[str, float]:
    return audited(records).metrics({"win": len(records), **verdicts}, 3.0)


def test_planted_length_bias() -> None:
    """730 of 1,000 chosen answers are longer: the share is 0.73, and the slope leans the same way."""
    long, short = "It is so, and " * 20, "It is so. "
    records = [
        made(n, chosen=long if n < 730 else short, rejected=short if n < 730 else long)
        for n in range(1000)
    ]
    found = metrics(records)
    assert found["chosen_longer"] == 0.73
    assert found["length_slope"] > 0.5
    assert metrics([made(n, chosen=short, rejected=long) for n in range(50)])["length_slope"] < -0.5


def test_a_slope_is_the_log_odds_that_were_planted() -> None:
    chance = np.random.default_rng(3)
    contrast = chance.uniform(-1, 1, (20_000, 2))
    wins = chance.random(20_000) < 1 / (1 + np.exp(-contrast @ [1.5, -0.5]))
    assert fit(np.where(wins[:, None], contrast, -contrast)) == pytest.approx([1.5, -0.5], abs=0.1)


def test_a_sample_is_bounded_and_does_not_depend_on_order() -> None:
    ids = [f"p{n:023x}" for n in range(3000)]
    chance = random.Random(0)
    texts = {id: ("x" * chance.randrange(1, 90), "x" * chance.randrange(1, 90)) for id in ids}
    samples = []
    for order in (ids, ids[::-1]):
        sample = Sample(most=500)
        for id in order:
            sample.add(id, *texts[id])
        samples.append(sample)
    assert 200 < samples[0].size <= 500
    assert samples[0].slopes() == samples[1].slopes()


def test_planted_preferences_of_judges() -> None:
    """`j` prefers its relative `peer` on 8 of 10 ballots; what is shown first is preferred on 15 of 20."""
    records = []
    for n in range(10):
        mine = n < 8
        chosen, rejected = ("peer", "pupil") if mine else ("pupil", "peer")
        first = "ab" if n < 5 else "ba"
        votes = [vote("a", "j", order=first), vote("a", "k", order="ab")]
        records.append(
            made(n, chosen=said("Yes.", chosen), rejected=said("No.", rejected), votes=votes)
        )
    both = {"chosen": said("Yes.", "peer"), "rejected": said("No.", "peer")}
    family = made(10, votes=[vote("a", "j", order="a")], **both)  # type: ignore[arg-type]
    found = metrics([*records, family])
    assert found["relatives_preferred"] == 0.8
    assert found["first_preferred"] == 0.75
    assert "own_preferred" not in found


def test_agreement_of_judges() -> None:
    """On 6 of 8 pairs both judges say the same; a flip of one of them counts for no side."""
    agreed = [made(n, votes=[vote("a", "j"), vote("a", "k")]) for n in range(6)]
    apart = [made(6 + n, votes=[vote("a", "j"), vote("b", "k")]) for n in range(2)]
    flipped = [made(9, votes=[vote("a", "j"), vote("b", "j", order="ba"), vote("a", "k")])]
    found = metrics(agreed + apart + flipped)
    assert found["agreement"] == 6 / 8
    assert found["unanimous"] == 6 / 9
    assert audited(flipped).report({"win": 1}, 0)["judges"]["j"] == {"chosen": 1, "rejected": 1}


def test_what_says_nothing_agrees_with_nobody() -> None:
    """Two whose ballots could not be read did not find the same; a tie is something that is found."""
    silent = [vote(None, "j", error="?"), vote(None, "k", error="?"), vote("a", "l")]
    withheld = [vote(None, "j"), vote(None, "k")]
    assert "agreement" not in metrics([made(0, votes=silent), made(1, votes=withheld)])
    assert metrics([made(0, votes=[vote("tie", "j"), vote("tie", "k")])])["agreement"] == 1


def test_who_marks_each_answer_alone_has_a_side_by_both_scores() -> None:
    agreed = made(0, votes=[*alone("j", 4.0, 3.0), *alone("k", 5.0, 1.0)])
    apart = made(1, votes=[*alone("j", 4.0, 3.0), *alone("k", 1.0, 1.0)])
    found = audited([agreed, apart])
    told = found.metrics({"win": 2}, 0)
    assert (told["agreement"], told["unanimous"]) == (0.5, 0.5)
    assert "first_preferred" not in told
    judges = found.report({"win": 2}, 0)["judges"]
    assert judges == {"j": {"chosen": 4}, "k": {"chosen": 2, "tie": 2}}


def test_whatever_drops_a_verdict_may_be_named_and_nothing_else() -> None:
    known = (*OUTCOMES, "double", SINCE, *TESTS, *GATES, "max_per_seed", "balance", "n")
    assert known == REASONS
    for reason in REASONS:
        Condition.parse(f"dropped.{reason}>0.1")
    with pytest.raises(InputError, match="nothing is dropped for 'refusals'; there are: tie, flip"):
        Condition.parse("dropped.refusals>0.1")
    told = metrics([made(0)], flip=3)
    with pytest.raises(Refused, match=r"dropped.flip is 0.75 \(dropped.flip>0.5\)"):
        conditions.check((Condition.parse("dropped.flip>0.5"),), told)


async def test_every_verdict_is_kept_or_dropped_for_one_reason() -> None:
    records = [made(n, chosen=" " if n % 5 == 0 else "So it is.", margin=n / 10) for n in range(50)]
    selection, passes = parse([("gate", "empty"), ("min_margin", "1")]), source(records)
    sieve = Sieve(selection, Around(), await limits(passes, selection, Around()))
    audit = Audit()
    async for some in sifted(passes, sieve):
        for one in some:
            audit.take(one)
    told = audit.report({"win": 50, "tie": 7, "flip": 3, "error": 1}, 0)["rows"]
    assert told == {
        "generated": 61,
        "kept": 32,
        "dropped": {"empty": 8, "error": 1, "flip": 3, "min_margin": 10, "tie": 7},
        "adds_up": True,
    }
    assert audit.report({"win": 49}, 0)["rows"]["adds_up"] is False


def test_rates_are_of_all_verdicts() -> None:
    found = metrics([made(n) for n in range(6)], tie=2, flip=1, error=1)
    assert (found["tie_rate"], found["flip_rate"], found["error_rate"]) == (0.2, 0.1, 0.1)
    assert found["kept_share"] == 0.6
    assert found["cost_per_pair_usd"] == 0.5


def test_margins_by_the_play_whose_unit_they_have() -> None:
    records = [made(0, margin=0.6), made(1, margin=0.9), made(2, margin=3.0, judging="scores")]
    told = audited(records).report({"win": 3}, 0)
    assert told["margins"] == {"pairwise": {"0.5": 2}, "scores": {"3": 1}}


def test_conditions() -> None:
    told = {"chosen_longer": 0.7, "kept": 10.0}
    conditions.check((Condition.parse("chosen_longer > 0.7"), Condition.parse("kept<10")), told)
    with pytest.raises(
        Refused, match=r"chosen_longer is 0.7 \(chosen_longer>=0.7\); kept is 10 \(kept<=10\)"
    ):
        conditions.check((Condition.parse("chosen_longer>=0.7"), Condition.parse("kept<=10")), told)
    conditions.check((Condition.parse("dropped.refusal>0.1"),), told)
    with pytest.raises(InputError, match="no figure 'nice'; there are: generated, kept"):
        Condition.parse("nice>1")
    with pytest.raises(Refused, match=r"agreement is not known of it \(agreement<0.1\)"):
        conditions.check((Condition.parse("agreement<0.1"),), told)


def test_a_condition_can_name_every_figure() -> None:
    told = metrics([made(n) for n in range(6)], tie=2, flip=1, error=1)
    assert {name for name in told if not name.startswith("dropped.")} <= set(FIGURES)


@pytest.mark.parametrize("text", ["", "kept", "kept=3", "kept>many", "kept>1>2", "Kept>1"])
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(InputError, match=r"write NAME>NUMBER"):
        Condition.parse(text)


def told_of(records: list[Record]) -> dict[str, object]:
    scenario = {"name": "small", "protocol": {"id": "co_teaching"}}
    cards = {"pupil": {"licence": None}, "j": {"licence": "MIT"}}
    return {
        **audited(records).report({"win": len(records), "tie": 1}, 2.0),
        "format": "trl-dpo",
        "selection": "gate=empty",
        "rounds": [{"id": "r1", "scenario": scenario, "cards": cards}],
        "calibrations": {"j": []},
        "versions": {"aaa": "1"},
    }


def test_a_card_tells_the_hub_and_the_reader() -> None:
    files = {
        "pairs": {"train": "pairs/train.parquet"},
        "verdicts": {"train": "verdicts/train.parquet"},
    }
    text = card(told_of([made(n) for n in range(3)]), files, ["plots.png"])
    _, head, body = text.split("---\n", 2)
    metadata = yaml.safe_load(head)
    assert metadata["size_categories"] == ["n<1K"]
    assert [config["config_name"] for config in metadata["configs"]] == ["pairs", "verdicts"]
    assert metadata["configs"][0]["data_files"] == [
        {"split": "train", "path": "pairs/train.parquet"}
    ]
    for told in (
        "3 preference pairs",
        "of 4 verdicts",
        "| tie | 1 |",
        "| pupil | unknown |",
        "plots.png",
    ):
        assert told in body, told


def test_a_card_holds_no_table_that_a_tag_breaks() -> None:
    records = [made(0, seed={"tags": ["a|b\n| x | y |", "<script>"]})]
    body = card(told_of(records), {}, [])
    assert "a\\|b \\| x \\| y \\|" in body
    assert "<script>" not in body


def test_an_audit_is_json() -> None:
    assert json.loads(json.dumps(audited([made(0)]).report({"win": 1}, 0.0)))["rows"]["kept"] == 1
