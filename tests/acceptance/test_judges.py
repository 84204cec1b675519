"""Judges measured and rounds judged again as a user does it: console script, real HTTP, a biased judge."""

import json
import re
import signal
from collections import Counter
from pathlib import Path

from aaa.provider.judging import TIE, quality
from tests.acceptance.processes import AAA, Home, provider, requests, serving, started, until

PAIRS = 80
POSITION = 0.3
IN_FLIGHT = 4


def labels(home: Home) -> Path:
    """Pairs labelled by the stub's own hidden quality: what an unbiased judge of it would say."""
    rows: list[dict[str, str]] = []
    for number in range(10 * PAIRS):
        a, b = (f"Answer {number} of kind {side}" for side in "ab")
        if abs(quality(a) - quality(b)) >= TIE and len(rows) < PAIRS:
            label = "a" if quality(a) > quality(b) else "b"
            rows.append({"prompt": f"Q {number}?", "answer_a": a, "answer_b": b, "label": label})
    path = home.place / "labels.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_a_planted_position_bias_is_measured_over_http(home: Home) -> None:
    path = labels(home)
    with provider(home, judge=f"position={POSITION}") as base_url:
        home.cards(base_url)
        dry = home.aaa(
            "judges",
            "calibrate",
            "--judge",
            "referee",
            "--labels",
            str(path),
            "--dry-run",
            "--json",
        )
        assert json.loads(dry)["calls"] == 2 * PAIRS
        assert requests(home) == []
        home.scenario("strict", seeds=1, judging={"require": {"flip_rate": 0.1}})
        refused = home.run("rounds", "start", "strict")
        assert refused.returncode == 4
        assert "aaa judges calibrate --judge referee --play pairwise" in refused.stderr
        said = home.aaa(
            "judges", "calibrate", "--judge", "referee", "--labels", str(path), "--json"
        )
        assert len(requests(home)) == 2 * PAIRS
        (one,) = json.loads(said)["calibrations"]
        figures = one["figures"]
        assert figures["pairs"] == PAIRS
        assert figures["flip_rate"]["low"] <= POSITION <= figures["flip_rate"]["high"]
        assert figures["first_rate"]["low"] <= 0.5 + POSITION / 2 <= figures["first_rate"]["high"]
        assert figures["verdict"]["accuracy"]["value"] == 1, "a flip is never a wrong win"
        assert figures["verdict"]["coverage"]["low"] <= 1 - POSITION
        listed = json.loads(home.aaa("judges", "ls", "--json"))["items"]
        assert [row["judge"] for row in listed if row["at"]] == ["referee"]
        assert "referee" in home.aaa("judges", "ls")
        refused = home.run("rounds", "start", "strict")
        assert re.search(r"flip rate 0\.\d+ .* is above 0\.1", refused.stderr)


def test_a_calibration_that_was_stopped_goes_on(home: Home) -> None:
    path = labels(home)
    calibrate = ("judges", "calibrate", "--judge", "referee", "--labels", str(path))
    with provider(home, faults="latency=fixed:300ms") as base_url:
        home.cards(base_url)
        home.card("referee", base_url, "elm", limits={"concurrency": IN_FLIGHT, "timeout_s": 20})
        with started([AAA, *calibrate], home) as run:
            round_id = run.wait_for(r"Round (calibrate-\w+):").group(1)
            until(lambda: len(requests(home)) > 20, "some calls")
            assert run.stop(signal.SIGINT) == 4
            assert f"--resume {round_id}" in "".join(run.said)
        done = home.aaa(*calibrate, "--resume", round_id)
    assert f"on {PAIRS} pairs of labels.jsonl" in done
    assert "position flips" in done
    asked = Counter(request["key"] for request in requests(home))
    assert len(asked) == 2 * PAIRS
    assert sum(asked.values()) - len(asked) <= IN_FLIGHT


def test_a_round_judged_again_over_rest(home: Home) -> None:
    home.scenario("small", seeds=4, judging={"play": "logprob"})
    with provider(home) as base_url:
        home.cards(base_url)
        home.card("second", base_url, "ash")
        with serving(home) as url:
            made = json.loads(home.aaa("rounds", "start", "small", AAA_URL=url))
            home.aaa("watch", made["id"], "--no-tui", AAA_URL=url)
            before = len(requests(home))
            again = ("rounds", "rejudge", made["id"], "--judges", "second,referee", "--json")
            dry = json.loads(home.aaa(*again, "--dry-run", AAA_URL=url))
            assert len(requests(home)) == before
            found = json.loads(home.aaa(*again, AAA_URL=url))
            assert len(requests(home)) == before + dry["calls"]
            counts = {key: found[key] for key in ("kept", "reversed", "lost", "won", "none")}
            assert sum(counts.values()) == found["verdicts"] == 4
            assert found["unjudged"] == found["reversed"] == 0, "an unbiased stub does not waver"
            pairs = home.aaa("export", found["round"], "-o", "-", AAA_URL=url).splitlines()
            assert len(pairs) == found["kept"] + found["won"]
