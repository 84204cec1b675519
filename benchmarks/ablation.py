"""What teaches a small student in as many steps: co-teaching, best-of-n pairs, or a teacher's answers.

`AAA_HOME=… python benchmarks/ablation.py` plays one round of co-teaching and one in which four copies of
the student answer each task (best of four), both decided by checkers; exports them; trains each arm with
three seeds by `aaa train`; and has every student answer the held-out tasks, of seen and of unseen
templates. The table goes to stdout. Whatever is done is kept in a folder: the same command goes on where it
was.

Arms: co-teaching and best of four by DPO with an SFT term, on their pairs; teacher answers by SFT, on
whatever the teacher answered, passed or not. Intervals are over tasks; how much trainings differ shows in
the column of each. Left out: as many model calls each; co-teaching asks more than the others.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from students import STUDENT, answered, passes, student, tasks, tell

from aaa.catalogue import shipped
from aaa.report.answers import Answer, Taught, taught_by
from aaa.report.scores import Part, difference, parts_of, rate, scores_of
from aaa.settings import Settings, read_settings
from aaa.types import Seed

AAA = str(Path(sys.executable).parent / "aaa")
TEACHER = "qwen2.5-coder-1.5b"
COPIES = 4
UNTRAINED = "untrained"
RECIPE = {
    "batch_size": 4, "learning_rate": 3e-4, "warmup_steps": 5, "beta": 0.1, "sft_weight": 1.0, "rank": 16,
    "alpha": 32, "max_length": 256, "eval_rows": 8, "eval_every": 20, "save_every": 10,
}  # fmt: skip


class Arm(NamedTuple):
    """One way to teach."""

    name: str
    method: str
    data: str
    """File in the folder."""


ARMS = (
    Arm("co-teaching", "dpo+sft", "co-teaching.jsonl"),
    Arm(f"best-of-{COPIES}", "dpo+sft", "best-of.jsonl"),
    Arm("teacher answers", "sft", "teacher.jsonl"),
)
TEACH = {
    "protocol": {
        "id": "co_teaching",
        "options": {"demonstrate": True, "answer_tokens": 48, "critique_tokens": 40},
    },
    "seats": {"student": [STUDENT], "teacher": [TEACHER], "judge": [TEACHER]},
}
BEST_OF = {
    "protocol": {"id": "arena", "options": {"mode": "all_pairs", "answer_tokens": 48}},
    "seats": {"student": [f"copy-{n}" for n in range(COPIES)], "judge": [TEACHER]},
}


class Place:
    """The folder: a home of its own with the weights of another, scenarios, data, students."""

    def __init__(self, folder: Path, weights: Path) -> None:
        self.folder = folder.resolve()
        self.settings = Settings(home=self.folder / "home")
        for name in ("home", "agents", "scenarios"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        if not self.settings.models.exists():
            self.settings.models.symlink_to(weights.resolve())
        card = yaml.safe_load((shipped("agents") / f"{STUDENT}.yaml").read_text("utf-8"))
        for number in range(COPIES):
            copy = card | {"name": f"copy-{number}"}
            (self.folder / "agents" / f"copy-{number}.yaml").write_text(yaml.safe_dump(copy))

    def aaa(self, *words: str, log: str | None = None) -> str:
        """Run a command; its stdout. What it says goes to a log file where one is named."""
        env = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "AAA_URL")}
        env |= {"AAA_HOME": str(self.settings.home), "AAA_AGENTS": str(self.folder / "agents")}
        env |= {"PYTHONPATH": str(Path(__file__).parent.parent)}
        with (self.folder / f"{log or 'commands'}.log").open("a") as said:
            done = subprocess.run(
                [AAA, *words], env=env, stdout=subprocess.PIPE, stderr=said, text=True, check=False
            )
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(words)} ended with {done.returncode}; see {said.name}")
        return done.stdout


# Data, made once


def played(place: Place, name: str, plain: Mapping[str, Any], seeds: Path) -> str:
    """The completed round of that scenario; begun, or gone on with, where there is none."""
    judging = {"play": "logprob", "options": {"mode": "pointwise"}, "exclude_family": False}
    scenario = {
        "name": name,
        "description": "For an ablation.",
        "seeds": {"file": str(seeds)},
        "judging": judging | {"checker": "decides"},
        "budget_usd": 0,
        "concurrency": 8,
    }
    path = place.folder / "scenarios" / f"{name}.yaml"
    path.write_text(yaml.safe_dump(scenario | dict(plain)))
    known = [row for row in _rounds(place) if row["scenario"] == name]
    if not any(row["status"] == "completed" for row in known):
        again = ("--resume", known[0]["id"]) if known else ()
        tell(f"plays {name}")
        place.aaa("run", str(path), "--no-tui", *again, log=name)
    return str(next(r["id"] for r in _rounds(place) if r["scenario"] == name))


def _rounds(place: Place) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(place.aaa("rounds", "ls", "--json"))["items"]
    return found


def data(place: Place, limit: int) -> None:
    """The files of all arms."""
    if all((place.folder / arm.data).exists() for arm in ARMS):
        return
    seeds = place.folder / "taught.jsonl"
    rows = [json.dumps(one.model_dump(mode="json")) for one in tasks("train")[:limit]]
    seeds.write_text("\n".join(rows) + "\n", "utf-8")
    teach = played(place, "teach", TEACH, seeds)
    best_of = played(place, "best_of", BEST_OF, seeds)
    edges = ("--edge", "revision", "--edge", "gap")
    for file, round_id, words in (
        (ARMS[0].data, teach, edges),
        (ARMS[1].data, best_of, ("--edge", "peer")),
    ):
        output = str(place.folder / file)
        place.aaa("export", round_id, "--gate", "none", "--no-audit", *words, "-o", output)
    told = place.aaa("export", teach, "--format", "transcripts", "-o", "-")
    sessions = [json.loads(line) for line in told.split("\n") if line]
    lines = [json.dumps(row, ensure_ascii=False) for row in teacher_rows(sessions)]
    (place.folder / ARMS[2].data).write_text("".join(f"{line}\n" for line in lines), "utf-8")


def teacher_rows(sessions: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """What the teacher answered, as conversations for SFT."""
    for session in sessions:
        for turn in session["turns"]:
            if turn["purpose"] == "demonstration" and turn["text"].strip():
                answer = {"role": "assistant", "content": turn["text"]}
                yield {"messages": [*session["seed"]["prompt"], answer]}


# Students


def trained(place: Place, arm: Arm, seed: int, asked: argparse.Namespace) -> Path:
    """The adapter of one student; trained now, unless it was with the same data and recipe."""
    output = place.folder / f"{arm.name.replace(' ', '-')}-{seed}"
    tell(f"trains {output.name}")
    words = ["train", str(place.folder / arm.data), "--method", arm.method]
    words += ["--model", f"local/{STUDENT}", "--output", str(output)]
    words += ["--recipe", str(asked.recipe or place.folder / "recipe.yaml")]
    words += ["--set", f"steps={asked.steps}", "--set", f"seed={seed}"]
    place.aaa(*words, "--set", f"method={arm.method}", log=output.name)
    return output / "adapter.gguf"


def said(place: Place, arm: str, adapter: Path | None, held: Sequence[Seed]) -> list[Answer]:
    """What a student answers, as a report counts it. Several students of an arm are one agent's answers."""
    kept = (place.folder / UNTRAINED if adapter is None else adapter.parent) / "answers.json"
    texts = answered(place.settings, student(place.settings, adapter), held, kept)
    return [
        Answer(
            round="ablation", session=0, seed=one.id, prompt=one.prompt[-1].content, tags=one.tags, agent=arm,
            text=texts[one.id], tokens=None, cut=False, passed=passes(one, texts[one.id]), why="",
        )
        for one in held
    ]  # fmt: skip


# The table


def table(answers: Mapping[str, Sequence[Sequence[Answer]]], taught: Taught) -> Iterator[str]:
    """Rows of Markdown. `answers`: arm -> those of each of its students."""
    every = [one for students in answers.values() for own in students for one in own]
    scores = scores_of(every)
    parts = {part.name: part for part in parts_of(every, taught)}
    yield "| arm | templates | pass rate | 95 % interval | each seed | against untrained | 95 % interval |"
    yield "|---|---|---|---|---|---|---|"
    for name in ("seen templates", "unseen templates"):
        for arm, students in answers.items():
            if name in parts:
                yield _row(parts[name], arm, students, scores)


def _row(
    part: Part,
    arm: str,
    students: Sequence[Sequence[Answer]],
    scores: Mapping[str, Mapping[str, float]],
) -> str:
    share = rate(part, arm, scores[arm]).share
    each = ", ".join(f"{100 * _share(part, own):.1f}" for own in students)
    told = f"| {arm} | {part.name.split()[0]} | {_percent(share.value)} | {_ends(share)} | {each} |"
    if arm == UNTRAINED:
        return f"{told} | |"
    gap = difference(part, UNTRAINED, arm, scores).points
    return f"{told} {_percent(gap.value, '+')} | {_ends(gap, '+')} |"


def _share(part: Part, own: Sequence[Answer]) -> float:
    there = [one for one in own if one.seed in part.seeds]
    return sum(bool(one.passed) for one in there) / len(there)


def _percent(value: float | None, sign: str = "") -> str:
    return "" if value is None else f"{100 * value:{sign}.1f}"


def _ends(of: Any, sign: str = "") -> str:
    return f"{_percent(of.low, sign)} to {_percent(of.high, sign)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=100, help="Tasks taught with.")
    parser.add_argument("--steps", type=int, default=60, help="Of every training.")
    parser.add_argument("--seeds", type=int, default=3, help="Trainings of every arm.")
    parser.add_argument("--held-out", type=int, help="Of each set; else all.")
    parser.add_argument(
        "--recipe", type=Path, help="YAML for `aaa train`; steps and seed are set here."
    )
    parser.add_argument("--folder", type=Path, default=Path("ablation"), help="All is kept here.")
    asked = parser.parse_args()
    place = Place(asked.folder, read_settings().models)
    (place.folder / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    data(place, asked.sessions)
    held = [*tasks("seen")[: asked.held_out], *tasks("unseen")[: asked.held_out]]
    answers: dict[str, list[list[Answer]]] = {UNTRAINED: [said(place, UNTRAINED, None, held)]}
    rows = {arm: (place.folder / arm.data).read_bytes().count(b"\n") for arm in ARMS}
    for arm in (arm for arm in ARMS if rows[arm]):
        adapters = [trained(place, arm, seed, asked) for seed in range(asked.seeds)]
        answers[arm.name] = [said(place, arm.name, one, held) for one in adapters]
    taught = taught_by(one.model_dump(mode="json") for one in tasks("train"))
    print("\n".join(table(answers, taught)))
    for arm, count in rows.items():
        told = f"{asked.steps} steps, {arm.method}" if count else "nobody was trained"
        print(f"\n{arm.name}: {count} rows, {told}")


if __name__ == "__main__":
    main()
