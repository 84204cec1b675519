"""Whether the gate refuses a student that got worse: trained for real on pairs whose sides were swapped.

`AAA_HOME=… python benchmarks/refusal.py --seeds 20` first teaches SmolLM2-135M the tasks by SFT, so that it
has something to lose: this is the parent. Then it trains it so often by DPO on pairs of a task's reference
and the parent's own failing answer, the failing one as `chosen`; lets each child and the parent answer
held-out tasks in an arena that checkers decide, and asks the gate of courses. `--straight` leaves the pairs
as they are, since a gate that refuses everybody would look as good. Needs the extra `train` and the weights
(`aaa models pull smollm2-135m`).
"""

import argparse
import contextlib
import json
import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from students import STUDENT, answered, passes, student, tasks, tell

from aaa.checkers import grade
from aaa.curriculum.gate import Admission, Bound, admission
from aaa.models.weights import locate
from aaa.play import rehearse
from aaa.protocols import arena
from aaa.settings import Settings, read_settings
from aaa.training.recipe import recipe
from aaa.training.trainer import Base, train
from aaa.transcripts import Transcript
from aaa.types import Agent, Call, Cast, Checks, CheckWish, Judging, Seed

CHILD = "child"
POOL = 160
"""Training tasks that the parent answers, for pairs; the others taught it."""
PAIRS = 32
"""Drawn of them for one training."""
SHORT = {"learning_rate": 3e-4, "warmup_steps": 1, "max_length": 128, "eval_rows": 0}


def taught(asked: argparse.Namespace, base: Base) -> Base:
    """The parent: the student after SFT on references."""
    if not asked.parent_steps:
        return base
    rows = [
        {"messages": [*_chat(one), {"role": "assistant", "content": one.reference}]}
        for one in tasks("train")[POOL:]
    ]
    plain = SHORT | {"method": "sft", "steps": asked.parent_steps, "batch_size": 4}
    told = trained(base, plain, rows, asked.folder / f"parent-{asked.parent_steps}")
    return Base(base.weights, tuple(map(Path, told["chain"])))


def trained(
    base: Base, plain: dict[str, Any], rows: list[dict[str, Any]], folder: Path
) -> dict[str, Any]:
    """What a training left; its words are kept beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (
        (folder / "train.log").open("a") as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        return train(base, recipe(plain, None, {}, len(rows)), rows, folder.resolve())


def _chat(task: Seed) -> list[dict[str, Any]]:
    return [one.model_dump() for one in task.prompt]


def pairs_of(failed: Sequence[tuple[Seed, str]], seed: int, flip: bool) -> list[dict[str, Any]]:
    """Rows for DPO, drawn by lot: reference over failing answer, or the other way round."""
    rows = []
    for task, text in random.Random(seed).sample(failed, min(PAIRS, len(failed))):
        good, bad = ([{"role": "assistant", "content": t}] for t in (task.reference or "", text))
        chosen, rejected = (bad, good) if flip else (good, bad)
        rows.append({"prompt": _chat(task), "chosen": chosen, "rejected": rejected})
    return rows


def met(seed: Seed, parent: str, child: str) -> Transcript:
    """Both answers in the arena of a course's gate, which a checker decides."""
    seats = {"student": (CHILD,), "opponent": (STUDENT,), "judge": ("nobody",)}
    agents = {seat: tuple(Agent(name=n, family=n) for n in names) for seat, names in seats.items()}
    cast = Cast(seats=agents, judging=Judging(checker="decides"))
    said = {CHILD: child, STUDENT: parent}

    def answer(call: Call) -> str:
        return said[call.agent]  # a judge is asked nothing: KeyError

    def check(wish: CheckWish) -> Checks:
        return {index: grade(wish.checker, text) for index, text in wish.answers.items()}

    played = rehearse(arena.play(seed, cast, arena.Options()), answer, check=check)
    return Transcript(
        round="gate", session=0, scenario="refusal", protocol="arena", status="completed", seed=seed,
        recorded=played.recorded,
    )  # fmt: skip


def gate(seeds: Sequence[Seed], parent: Mapping[str, str], child: Mapping[str, str]) -> Admission:
    """What the gate of a course says."""
    every = [met(seed, parent[seed.id], child[seed.id]) for seed in seeds]
    return admission(every, CHILD, STUDENT, Bound())


def trial(
    seed: int,
    asked: argparse.Namespace,
    settings: Settings,
    base: Base,
    failed: Sequence[tuple[Seed, str]],
    parent: Mapping[str, str],
) -> dict[str, Any]:
    """One training and its gate; what is in its folder already is not done again."""
    folder = asked.folder / f"{'straight' if asked.straight else 'flipped'}-{asked.steps}-{seed}"
    held = random.Random(seed).sample(tasks("seen"), asked.gate_seeds)
    plain = SHORT | {"method": "dpo", "batch_size": 2, "steps": asked.steps, "seed": seed}
    began = time.monotonic()
    told = trained(base, plain, pairs_of(failed, seed, flip=not asked.straight), folder)
    at = time.monotonic()
    card = student(settings, Path(told["adapter"]))
    child = answered(settings, card, held, folder / "answers.json")
    found = gate(held, parent, child)
    tell(f"seed {seed}: {at - began:.0f} s of training, {time.monotonic() - at:.0f} s of gate")
    return {
        "seed": seed,
        "parent": sum(passes(one, parent[one.id]) for one in held),
        "child": sum(passes(one, child[one.id]) for one in held),
        "admitted": found.admitted,
        "why": found.why,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--parent-steps", type=int, default=40, help="0: the student as it is.")
    parser.add_argument("--gate-seeds", type=int, default=40)
    parser.add_argument("--straight", action="store_true")
    parser.add_argument(
        "--folder", type=Path, default=Path("refusal"), help="What is done is kept here."
    )
    asked = parser.parse_args()
    settings = read_settings()
    base = taught(asked, Base(locate(f"local/{STUDENT}", settings.models), ()))
    card = student(settings, base.chain[-1].parent / "adapter.gguf" if base.chain else None)
    pool, kept = tasks("train")[:POOL], asked.folder / f"parent-{asked.parent_steps}.json"
    own = answered(settings, card, [*pool, *tasks("seen")], kept)
    said = [(one, own[one.id]) for one in pool]
    failed = [(one, text) for one, text in said if text.strip() and not passes(one, text)]
    tell(f"the parent fails {len(failed)} of {len(pool)} training tasks")
    found = [trial(seed, asked, settings, base, failed, own) for seed in range(asked.seeds)]
    (asked.folder / "table.json").write_text(json.dumps(found, indent=1), "utf-8")
    print(f"| seed | parent passes of {asked.gate_seeds} | child passes | gate |")
    print("|---|---|---|---|")
    for row in found:
        verdict = "let in" if row["admitted"] else "refused"
        print(f"| {row['seed']} | {row['parent']} | {row['child']} | {verdict}: {row['why']} |")
    refused = sum(not row["admitted"] for row in found)
    print(f"\n{refused} of {len(found)} refused")


if __name__ == "__main__":
    main()
