"""`aaa train` for real, on a tiny model: killed and gone on with, trained further, and served."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from aaa.models import Request, open_model
from aaa.scenario import AgentCard
from aaa.settings import Settings
from aaa.training import trainer
from aaa.training.progress import progress
from aaa.training.recipe import Recipe
from aaa.types import Message, Sampling
from tests.needed import needed
from tests.tiny import write_tiny

STEPS = 12
WATCHED = """
import os, signal, sys
from aaa.cli import main
from aaa.training import trainer
write, last = trainer._write_metrics, int(os.environ["LAST_STEP"])
def write_and_tell(history, output):
    write(history, output)
    print("step", history[-1]["step"], flush=True)
    if history[-1]["step"] == last:
        os.kill(os.getpid(), signal.SIGKILL)
trainer._write_metrics = write_and_tell
sys.argv[0] = "aaa"
main()
"""
"""`aaa`, which tells each step that it takes, and which the kernel kills after the last that it may take."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for module in ("torch", "transformers", "trl", "peft"):
        needed(module)
    return write_tiny(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "dpo.jsonl"
    rows = [
        {
            "prompt": [{"role": "user", "content": f"Say {n}."}],
            "chosen": [{"role": "assistant", "content": f"{n}"}],
            "rejected": [{"role": "assistant", "content": f"Never {n}!"}],
        }
        for n in range(12)
    ]
    rows.append(rows[0] | {"rejected": [{"role": "assistant", "content": "never " * 100}]})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def train(
    pairs: Path, model: str, output: Path, last_step: int = 0
) -> "subprocess.CompletedProcess[str]":
    told: dict[str, float] = {
        "steps": STEPS,
        "save_every": 3,
        "eval_every": 6,
        "eval_rows": 2,
        "rank": 2,
    }
    told |= {"batch_size": 2, "max_length": 64, "learning_rate": 0.02, "warmup_steps": 0}
    settings = [word for key, value in told.items() for word in ("--set", f"{key}={value}")]
    command = [
        "train",
        str(pairs),
        "--method",
        "dpo+sft",
        "--model",
        model,
        "--output",
        str(output),
    ]
    home = {"AAA_HOME": str(output.parent / "home"), "LAST_STEP": str(last_step)}
    return subprocess.run(
        [sys.executable, "-c", WATCHED, *command, *settings],
        env=os.environ | home,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def tensors(output: Path) -> dict[str, Any]:
    return {t.name: t.data for t in gguf.GGUFReader(output / "adapter.gguf").tensors}


@pytest.mark.timeout(900)
def test_a_killed_training_goes_on_where_it_was(weights: Path, pairs: Path, tmp_path: Path) -> None:
    whole = train(pairs, f"local/{weights}", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr[-3000:]
    assert json.loads(whole.stdout.splitlines()[-1])["model"].endswith("whole/adapter.gguf")

    output = tmp_path / "killed"
    killed = train(pairs, f"local/{weights}", output, last_step=7)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-3000:]
    assert progress(output)["step"] == 7
    assert {path.name for path in output.glob("checkpoint-*")} == {"checkpoint-6"}
    assert not (output / "adapter.gguf").exists()

    again = train(pairs, f"local/{weights}", output)
    assert again.returncode == 0, again.stderr[-3000:]
    taken = [int(line.split()[1]) for line in again.stdout.splitlines() if line.startswith("step ")]
    assert min(taken) == 7  # from the checkpoint on, not from the start
    rows = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    steps = [row["step"] for row in rows if "loss" in row]
    assert steps == list(range(1, STEPS + 1))  # each once, though the seventh was taken twice
    found, wanted = tensors(output), tensors(tmp_path / "whole")
    assert found.keys() == wanted.keys()
    for name, matrix in wanted.items():
        np.testing.assert_allclose(found[name], matrix, rtol=1e-3, atol=1e-5)


@pytest.mark.filterwarnings("default")  # of the libraries among themselves
@pytest.mark.timeout(300)
def test_rows_come_in_the_order_that_was_made_and_dropout_is_applied(
    weights: Path, pairs: Path, tmp_path: Path
) -> None:
    model, tokenizer = trainer.load(trainer.Base(weights, ()))
    made = Recipe(method="dpo", steps=7, batch_size=4, eval_rows=0, dropout=0.25, max_length=64)
    data = trainer.rows(pairs, "dpo")[:12]
    built = trainer._trainer(model, tokenizer, made, data, tmp_path)
    dropped = {
        m.p for name, m in built.model.named_modules() if "lora_dropout" in name and hasattr(m, "p")
    }
    assert dropped == {0.25}
    longest = [trainer._tokens(row) for row in built.train_dataset]
    assert len(longest) == 28
    told = [batch["input_ids"].shape for batch in built.get_train_dataloader()]
    assert told == [(8, max(longest[i : i + 4])) for i in range(0, 28, 4)]
    assert "ref_chosen_logps" in built.train_dataset.column_names  # asked once a row


@pytest.mark.timeout(900)
async def test_a_generation_is_trained_further_and_served_beside_its_parent(
    weights: Path, pairs: Path, tmp_path: Path
) -> None:
    first = train(pairs, f"local/{weights}", tmp_path / "g1")
    assert first.returncode == 0, first.stderr[-3000:]
    one = json.loads(first.stdout.splitlines()[-1])["model"]
    second = train(pairs, one, tmp_path / "g2")
    assert second.returncode == 0, second.stderr[-3000:]
    two = json.loads(second.stdout.splitlines()[-1])["model"]
    told = json.loads((tmp_path / "g2" / "trained.json").read_text())
    assert told["chain"] == [str(tmp_path / "g1" / "lora"), str(tmp_path / "g2" / "lora")]
    answers = [await _answer(model) for model in (f"local/{weights}", one, two)]
    assert len(set(answers)) == 3  # random weights babble; another adapter, another babble


async def _answer(model: str) -> str:
    card = AgentCard.model_validate(
        {"name": "tiny", "model": model, "family": "tiny", "local": {"slots": 1, "context": 256}}
    )
    opened = open_model(card, Settings())
    try:
        asked = (Message(role="user", content="Say 5."),)
        sampling = Sampling(temperature=0, max_tokens=16)
        return (await opened.complete(Request(messages=asked, sampling=sampling, seed=1))).text
    finally:
        await opened.close()
