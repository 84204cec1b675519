"""The flywheel on a tiny student, really trained: killed in training and in a gate, and gone on with."""

import json
import signal
import sys
from typing import Any

import pytest

from tests.acceptance.processes import AAA, Home, provider, started, until
from tests.needed import needed
from tests.tiny import write_tiny

STEPS, STOPS_AT = 8, 5
TRAINER = f"""
import sys, time
from pathlib import Path
from aaa.cli import main
from aaa.training import trainer
waited = Path(__file__).parent / "waited"
write = trainer._write_metrics
def write_and_wait(history, output):
    write(history, output)
    if history[-1]["step"] >= {STOPS_AT} and not waited.exists():
        waited.touch()
        time.sleep(600)
trainer._write_metrics = write_and_wait
sys.argv[0] = "aaa"
main()
"""
"""`aaa train` that waits in its fifth step, the first time."""
WORDS = {"kind": "regex", "pattern": "[a-z]{2,12} [a-z]{2,12} [a-z]{2,12}"}
"""What the tutor's sentences have and a babble of letters has not."""
CARD: dict[str, Any] = {
    "name": "tiny",
    "family": "tiny",
    "sampling": {"temperature": 0.7, "max_tokens": 12},
    "limits": {"rpm": 120},  # so that the gate takes ten seconds
    "local": {"slots": 1, "context": 256},
}
RECIPE = {
    **{"steps": STEPS, "save_every": 2, "batch_size": 2, "rank": 2},
    **{"eval_rows": 0, "max_length": 1024},
}
TRAIN = [
    *("train", "{dpo}", "--method", "dpo+sft", "--model", "{model}", "--output", "{output}"),
    *("--recipe", "{here}/recipe.yml"),
]
STAGES: list[dict[str, Any]] = [
    {
        "name": "teach",
        "slice": {"size": 8},
        "plays": [{"protocol": {"id": "arena"}, "seats": {"opponent": ["tutor"]}}],
        "data": {"dpo": {}},
        "gate": {"seeds": {"file": "gated.jsonl"}, "win_rate": 0, "options": {"temperature": 0}},
    },
    {
        "name": "examine",
        "plays": [
            {
                "protocol": {"id": "arena", "options": {"mode": "all_pairs", "temperature": 0}},
                "seats": {"student": ["$generations"], "opponent": ["tutor"]},
                "seeds": {"file": "kept.jsonl"},
            }
        ],
    },
]


def write(home: Home, url: str) -> None:
    """A tiny student, a tutor and a referee of the stub, a course of one stage and an examination."""
    (home.place / "failpoints").mkdir()
    (home.place / "trainer.py").write_text(TRAINER)
    home.cards(url)
    model = f"local/{write_tiny(home.place / 'tiny.gguf')}"
    (home.place / "agents" / "tiny.yaml").write_text(json.dumps(CARD | {"model": model}))
    folder = home.place / "scenarios"
    for name, n in (("taught", 8), ("gated", 10), ("kept", 4)):
        rows = (
            {"id": f"{name}{i}", "prompt": f"Tell me {name} {i}.", "checker": WORDS}
            for i in range(n)
        )
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "recipe.yml").write_text(json.dumps(RECIPE))
    command = [sys.executable, str(home.place / "trainer.py"), *TRAIN]
    scenario = {
        "name": "wheel",
        "seats": {"student": ["tiny"], "judge": ["referee"]},
        "seeds": {"file": "taught.jsonl"},
        "judging": {"checker": "decides"},
        "stages": [STAGES[0] | {"train": {"command": command}}, STAGES[1]],
    }
    (folder / "wheel.yaml").write_text(json.dumps(scenario))


@pytest.mark.timeout(1800)
def test_killed_in_a_training_and_in_a_gate_it_goes_on_where_it_was(home: Home) -> None:
    for module in ("torch", "transformers", "trl", "peft"):
        needed(module)
    home.patience_s = 600
    command = ["run", "wheel", "--resume", "last", "--no-tui"]
    with provider(home) as url:
        write(home, url)
        with started([AAA, *command], home) as run:
            until((home.place / "waited").exists, "the fifth step of the training", 600)
            course_id = run.wait_for(r"Course (wheel-\w+): 2 stages").group(1)
            run.stop(signal.SIGKILL)
        output = home.home / "courses" / course_id / "teach" / "generation-1"
        assert {path.name for path in output.glob("checkpoint-*")} == {"checkpoint-4"}

        with started([AAA, *command], home) as run:  # trains to its end, and dies in the gate
            until(lambda: "trained tiny-g1" in "".join(run.said), "the end of the training", 600)
            run.stop(signal.SIGKILL)
        assert f"Course {course_id} goes on with stage teach" in "".join(run.said)
        rows = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
        assert [row["step"] for row in rows if "loss" in row] == list(range(1, STEPS + 1))

        points = home.place / "failpoints"
        (points / "answer.after").touch()  # now a seat dies too, when it has its first answer
        third = home.run(*command, AAA_FAILPOINTS=str(points))
        assert third.returncode == 0, third.stderr[-3000:]
        assert list(points.iterdir()) == []
        course = json.loads(home.aaa("courses", "show", course_id, "--json"))
    check(course, home)


def check(course: dict[str, Any], home: Home) -> None:
    """Every step once, the gate's round whole, everybody examined."""
    assert (course["status"], course["student"]) == ("completed", "tiny-g1")
    (gate,) = [row["data"] for row in course["steps"] if row["kind"] == "gate"]
    assert gate["seeds"] == 10
    assert [one["checked"] for one in gate["passed"]] == [10, 10]
    examined = course["steps"][-1]["data"]["passed"]
    told = {one["agent"]: (one["passed"], one["checked"]) for one in examined}
    assert told.keys() == {"tiny", "tiny-g1", "tutor"}
    assert told["tutor"] == (4, 4)
    rounds = [row["round"] for row in course["steps"] if row["round"]]
    listed = json.loads(home.aaa("rounds", "ls", "--json"))["items"]
    assert sorted(rounds) == sorted(row["id"] for row in listed)  # none was made twice
    (trained,) = [row["data"] for row in course["steps"] if row["kind"] == "train"]
    assert trained["progress"]["step"] == STEPS
