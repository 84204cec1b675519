"""The quickstart with real local models, through REST, SSE and export: what `make demo` shows."""

import json

from tests.acceptance.processes import Home
from tests.weights import settings_with

SMALLER = (
    "--set",
    "seats.teacher=[qwen2.5-coder-0.5b]",
    "--set",
    "seats.judge=[qwen2.5-coder-0.5b]",
)


def test_real_models_teach_each_other(home: Home) -> None:
    settings = settings_with("smollm2-135m", "qwen2.5-coder-0.5b")
    home.home.mkdir()
    (home.home / "models").symlink_to(settings.models)
    judging = ("--set", "judging.options={mode: pointwise, margin: 0.0}")
    done = home.run("run", "quickstart", "--no-tui", "--limit", "3", *SMALLER, *judging)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(home.aaa("rounds", "ls", "--json"))["items"][0]
    assert (found["status"], found["sessions"]["completed"]) == ("completed", 3)
    # two ballots each, but where no judge is needed: identical answers, or one that says nothing
    unjudged = found["verdicts"]["tie"] + found["verdicts"]["abstain"]
    assert found["turns"] in range(15 - 2 * unjudged, 16, 2)
    assert sum(found["verdicts"].values()) == 3
    assert found["pairs"] >= 1
    assert found["completion_tokens"] > 30
    rows = [json.loads(line) for line in home.export(found["id"]).splitlines()]
    assert len(rows) == found["pairs"]
    assert all(row["prompt"] and row["chosen"] != row["rejected"] for row in rows)
    exported = home.home / "exports" / found["id"] / "trl-dpo.jsonl"
    assert exported.read_bytes() == home.export(found["id"])
    for words in ("3 of 3 sessions completed", "tokens", "verdicts:", "aaa explain"):
        assert words in done.stderr
    story = json.loads(home.aaa("explain", rows[0]["id"], "--json"))
    assert {turn["agent"] for turn in story["turns"]} == {"smollm2-135m", "qwen2.5-coder-0.5b"}
