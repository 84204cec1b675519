"""Arena Learning's stages as shipped, through `aaa run`: killed between two, stopped by a gate, taken back.

The suite plays the first iteration; `STAGES=9` in the environment plays all three (4 minutes more). D6 plays
all of them under many more kills.
"""

import json
import os
import re
import signal
from typing import Any

import pytest
import yaml

from aaa.catalogue import shipped
from tests.acceptance.processes import AAA, Home, Process, provider, started

STAGES = int(os.environ.get("STAGES", "3"))
CHAIN = ["i1-sft", "i1-dpo", "i1-rm", "i2-sft", "i2-dpo", "i2-rm", "i3-sft", "i3-dpo", "i3-rm"][
    :STAGES
]
SEATS = ("seats.student=[pupil]", "seats.opponent=[rival, foe]", "seats.judge=[referee]")
MORE = ("judging={play: scores}", "budget_usd=5")
SKILLS = {
    3: "*-g1=2,*-g2=16,*-g3=1",
    9: "*-g1=2,*-g2=4,*-g3=16,*-g[45]=2,*-g6=16,*-g7=16,*-g8=1",
}[STAGES]
"""The last generation is worse than its parent; those that met an earlier gate are better. In all nine stages
the sixth generation loses no battle by enough for SFT, so nobody is trained there."""
LAST = {3: 3, 9: 8}[STAGES]
"""Number of the last generation."""


def write_scenario(home: Home) -> None:
    """The shipped scenario's first stages, its seeds where they are."""
    folder = shipped("scenarios")
    plain = yaml.safe_load((folder / "arena_learning.yaml").read_text("utf-8"))
    plain["stages"] = plain["stages"][:STAGES]
    plain["seeds"]["file"] = [str(folder / file) for file in plain["seeds"]["file"]]
    for stage in plain["stages"]:
        if "gate" in stage:
            stage["gate"]["seeds"]["file"] = str(folder / stage["gate"]["seeds"]["file"])
    (home.place / "scenarios" / "arena_learning.yaml").write_text(json.dumps(plain))


def command(*more: str) -> list[str]:
    settings = [word for setting in (*SEATS, *MORE) for word in ("--set", setting)]
    return ["run", "arena_learning", "--limit", "54", "--no-tui", *settings, *more]


def course_of(home: Home, course_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(home.aaa("courses", "show", course_id, "--json"))
    return found


def told(run: Process) -> str:
    return "".join(run.said)


def kept(course: dict[str, Any], kind: str) -> list[int]:
    """How many rows each stage wrote of a kind of data, in order."""
    files = [file for row in course["steps"] for file in row["data"].get("files", ())]
    for file in files:
        assert file["kept"] + sum(file["dropped"].values()) == file["verdicts"]
    return [file["kept"] for file in files if file["kind"] == kind]


@pytest.mark.timeout(1200)
def test_iterations_with_a_kill_a_gate_and_a_way_back(home: Home) -> None:
    home.patience_s = 900
    write_scenario(home)
    with provider(home, skills=SKILLS) as url:
        for name, family in zip(
            ("pupil", "rival", "foe", "referee"), ("birch", "oak", "ash", "elm"), strict=True
        ):
            price = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}
            home.card(name, url, family, price=price)
        dry = home.aaa(*command("--dry-run"))
        assert [stage for stage in CHAIN if stage in dry] == CHAIN

        with started([AAA, *command()], home) as run:
            course_id = run.wait_for(r"Course (arena_learning-\w+):").group(1)
            run.wait_for(r"i1-sft: pupil-g1 goes on")
            run.stop(signal.SIGKILL)
        home.aaa("courses", "set", course_id, "concurrency=4", "budget_usd=50")
        assert course_of(home, course_id)["budget_usd"] == 50
        wrong = home.run("courses", "set", course_id, "seats=1")
        assert (wrong.returncode, "what can: concurrency, budget_usd" in wrong.stderr) == (2, True)
        refused = home.run(*command("--resume", course_id, "--budget-usd", "60"))
        assert course_of(home, course_id)["budget_usd"] == 60
        assert refused.returncode == 4, refused.stderr[-3000:]
        assert f"Course {course_id} goes on" in refused.stderr
        assert f"(not_admitted): 'pupil-g{LAST}' was not let in" in refused.stderr
        check_the_way_there(course_of(home, course_id), home)

        home.aaa("generations", "rollback", course_id, "pupil-g1")
        done = home.run(*command("--resume", course_id))
        assert done.returncode == 0, done.stderr[-3000:]
        assert re.search(r"completed; the student is pupil-g1\b", done.stderr)
    assert course_of(home, course_id)["student"] == "pupil-g1"


def check_the_way_there(course: dict[str, Any], home: Home) -> None:
    """A slice and a student for each stage, data as the rules say, every gate but the last passed."""
    by_kind: dict[str, list[Any]] = {}
    for row in course["steps"]:
        by_kind.setdefault(row["kind"], []).append(row)
    assert [row["stage"] for row in by_kind["draw"]] == CHAIN
    trained = [row["data"] for row in by_kind["train"]]
    assert ["skipped" in data for data in trained].count(True) == (1 if STAGES == 9 else 0)
    agents = [data["agent"] for data in trained if "agent" in data]
    assert agents == [f"pupil-g{n}" for n in range(1, LAST + 1)]
    gates = [row["data"] for row in by_kind["gate"]]
    assert [gate["student"] for gate in gates][-1] == f"pupil-g{LAST}"
    assert [gate["admitted"] for gate in gates] == [True] * (STAGES // 3 - 1) + [False]
    rounds = [row["round"] for row in course["steps"] if row["round"]]
    assert len(rounds) == len(set(rounds)) == STAGES + STAGES // 3
    assert len(json.loads(home.aaa("rounds", "ls", "--json"))["items"]) == len(rounds)
    assert {kind: len(kept(course, kind)) for kind in ("sft", "dpo", "rm")} == dict.fromkeys(
        ("sft", "dpo", "rm"), STAGES // 3
    )
    for kind in ("dpo", "rm"):  # they accumulate
        assert kept(course, kind) == sorted(kept(course, kind))
    assert kept(course, "rm")[-1] > (STAGES // 3 - 1) * kept(course, "rm")[0] > 0 or STAGES == 3
