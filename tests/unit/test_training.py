"""Training without PyTorch: what is read and refused, recipes, and adapters as llama.cpp takes them."""

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

from aaa.commands.train import base_of
from aaa.errors import InputError, SetupError
from aaa.exporters import line
from aaa.models.weights import adapter_of, locate
from aaa.settings import Settings
from aaa.training.adapter import NAMES, write_adapter
from aaa.training.progress import progress, words
from aaa.training.recipe import Recipe, recipe, usual, write
from aaa.training.trainer import CHUNK, Base, _completed, order, rows, train, whole_checkpoint

HEADS, KV_HEADS, WIDTH, RANK = 4, 2, 32, 3
OUTPUTS = {"q_proj": WIDTH, "k_proj": WIDTH // 2, "v_proj": WIDTH // 2, "o_proj": WIDTH}


def base_weights(folder: Path, architecture: str = "llama") -> Path:
    writer = gguf.GGUFWriter(folder / "base.gguf", architecture)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_tensor("x", np.zeros(4, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return folder / "base.gguf"


def lora(
    folder: Path, seed: int, alpha: float = 6, names: tuple[str, ...] = tuple(OUTPUTS)
) -> Path:
    """A PEFT adapter of one layer."""
    chance = np.random.default_rng(seed)
    folder.mkdir()
    matrices: dict[str, Any] = {}
    for name in names:
        key = f"base_model.model.model.layers.0.self_attn.{name}"
        a = chance.normal(size=(RANK, WIDTH)).astype(np.float32)
        b = chance.normal(size=(OUTPUTS.get(name, WIDTH), RANK)).astype(np.float32)
        matrices |= {f"{key}.lora_A.weight": a, f"{key}.lora_B.weight": b}
    save_file(matrices, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": RANK, "lora_alpha": alpha}))
    return folder


def read(path: Path) -> dict[str, Any]:
    return {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}


def delta(folder: Path, name: str) -> Any:
    """What a PEFT adapter adds to a matrix."""
    from safetensors.numpy import load_file

    found = load_file(folder / "adapter_model.safetensors")
    key = f"base_model.model.model.layers.0.self_attn.{name}"
    alpha = json.loads((folder / "adapter_config.json").read_text())["lora_alpha"]
    return alpha / RANK * found[f"{key}.lora_B.weight"] @ found[f"{key}.lora_A.weight"]


def permuted(matrix: Any, heads: int) -> Any:
    """Row by row: the first half of a head's rows on even places, the second on odd ones."""
    found = np.empty_like(matrix)
    size = len(matrix) // heads
    for head in range(heads):
        for n in range(size // 2):
            for half in (0, 1):
                found[head * size + 2 * n + half] = matrix[head * size + half * (size // 2) + n]
    return found


def test_a_generation_adds_what_all_its_ancestors_add(tmp_path: Path) -> None:
    chain = [lora(tmp_path / "g1", 1), lora(tmp_path / "g2", 2, alpha=3)]
    write_adapter(chain, base_weights(tmp_path), tmp_path / "adapter.gguf")
    found = read(tmp_path / "adapter.gguf")
    for name, heads in (("q_proj", HEADS), ("k_proj", KV_HEADS), ("v_proj", 0), ("o_proj", 0)):
        tensor = f"blk.0.{NAMES[f'self_attn.{name}']}.weight"
        ours = found[f"{tensor}.lora_b"] @ found[f"{tensor}.lora_a"]
        wanted = sum(delta(folder, name) for folder in chain)
        np.testing.assert_allclose(
            ours, permuted(wanted, heads) if heads else wanted, rtol=1e-4, atol=1e-4
        )
    fields = gguf.GGUFReader(tmp_path / "adapter.gguf")
    alpha = fields.get_field("adapter.lora.alpha")
    assert alpha is not None
    assert alpha.contents() == 2 * RANK


def test_other_architectures_keep_their_rows(tmp_path: Path) -> None:
    folder = lora(tmp_path / "g1", 1)
    write_adapter([folder], base_weights(tmp_path, "qwen2"), tmp_path / "adapter.gguf")
    found = read(tmp_path / "adapter.gguf")
    ours = found["blk.0.attn_q.weight.lora_b"] @ found["blk.0.attn_q.weight.lora_a"]
    np.testing.assert_allclose(ours, delta(folder, "q_proj"), rtol=1e-4, atol=1e-4)


def test_a_generation_that_adapts_more_than_its_parent(tmp_path: Path) -> None:
    chain = [lora(tmp_path / "g1", 1, names=("q_proj",)), lora(tmp_path / "g2", 2)]
    write_adapter(chain, base_weights(tmp_path, "qwen2"), tmp_path / "adapter.gguf")
    found = read(tmp_path / "adapter.gguf")
    assert found["blk.0.attn_v.weight.lora_a"].shape == (2 * RANK, WIDTH)
    ours = found["blk.0.attn_v.weight.lora_b"] @ found["blk.0.attn_v.weight.lora_a"]
    np.testing.assert_allclose(ours, delta(chain[1], "v_proj"), rtol=1e-4, atol=1e-4)


def test_a_matrix_that_llama_cpp_has_no_name_for(tmp_path: Path) -> None:
    folder = lora(tmp_path / "g1", 1, names=("x_proj",))
    with pytest.raises(InputError, match=r"x_proj.* has no name in llama.cpp"):
        write_adapter([folder], base_weights(tmp_path), tmp_path / "adapter.gguf")


# What is trained further


def test_an_adapter_is_named_after_the_weights(tmp_path: Path) -> None:
    weights, adapter = base_weights(tmp_path), tmp_path / "adapter.gguf"
    model = f"local/{weights}@{adapter}"
    assert adapter_of(model) == (f"local/{weights}", adapter)
    assert adapter_of(f"local/{weights}") == (f"local/{weights}", None)
    with pytest.raises(SetupError, match="there is no adapter"):
        locate(model, tmp_path)
    adapter.touch()
    assert locate(model, tmp_path) == weights


def test_the_ancestors_are_found_by_the_adapter(tmp_path: Path) -> None:
    weights, adapter = base_weights(tmp_path), tmp_path / "adapter.gguf"
    adapter.touch()
    assert base_of(f"local/{weights}", Settings()) == Base(weights, ())
    with pytest.raises(InputError, match="only what `aaa train` made can be trained further"):
        base_of(f"local/{weights}@{adapter}", Settings())
    (tmp_path / "trained.json").write_text(json.dumps({"chain": ["/a/lora", "/b/lora"]}))
    assert base_of(f"local/{weights}@{adapter}", Settings()).chain == (
        Path("/a/lora"),
        Path("/b/lora"),
    )
    with pytest.raises(InputError, match="only local weights are trained here"):
        base_of("openai/gpt", Settings())


# Data and recipes


@pytest.mark.parametrize(
    ("text", "method", "message"),
    [
        ("", "dpo", "there are no rows in it"),
        (
            '{"prompt": [], "rejected": "no"}\n',
            "dpo",
            "line 1 has no prompt, chosen; dpo needs prompt, chosen, rejected",
        ),
        ('{"messages": [{}]}\n{', "sft", "line 2 is no JSON"),
        ("1", "sft", "line 1 is no JSON object"),
        ('{"messages": []}', "sft", "line 1 has no messages"),
        ('{"prompt": 1, "chosen": 1, "rejected": 1}', "sft", "sft needs messages"),
    ],
)
def test_data_that_cannot_be_trained_on(
    tmp_path: Path, text: str, method: str, message: str
) -> None:
    (tmp_path / "rows.jsonl").write_text(text)
    with pytest.raises(InputError, match=message):
        rows(tmp_path / "rows.jsonl", method)
    with pytest.raises(InputError, match="cannot be read"):
        rows(tmp_path / "none.jsonl", method)


def test_single_keys_go_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("beta: 0.3\nsteps: 11\n")
    made = recipe(usual("dpo", 100_000_000), file, {"steps": 7}, 400)
    assert (made.method, made.beta, made.steps, made.rank) == ("dpo", 0.3, 7, 16)
    assert recipe(usual("dpo", 100_000_000), None, {}, 400).steps == 200  # twice, by four
    assert recipe(usual("dpo", 100_000_000), None, {"batch_size": 16}, 400).steps == 50
    assert recipe(usual("dpo", 100_000_000), None, {"accumulate": 100}, 400).steps == 20
    file.write_text("betta: 0.3\n")
    with pytest.raises(InputError, match=r"recipe\.yaml.*betta"):
        recipe(usual("dpo", 100_000_000), file, {}, 400)


def test_a_recipe_of_another_method_is_refused(tmp_path: Path) -> None:
    """The rows were read for the one that was asked for; what a training leaves may be used again."""
    file = tmp_path / "recipe.yaml"
    write(Recipe.model_validate(usual("dpo", 100)), file)
    assert recipe(usual("dpo", 100), file, {"method": "dpo"}, 400).method == "dpo"
    with pytest.raises(InputError, match=r"recipe\.yaml: `method` is 'dpo', but --method sft was"):
        recipe(usual("sft", 100), file, {}, 400)
    with pytest.raises(InputError, match=r"--set: `method` is 'dpo', but --method dpo\+sft was"):
        recipe(usual("dpo+sft", 100), None, {"method": "dpo"}, 400)
    assert recipe(usual("sft", 100), file, {"method": "sft"}, 400).method == "sft"


def test_sft_learns_the_last_answer_alone() -> None:
    said = [{"role": role, "content": role} for role in ("system", "user", "assistant", "user")]
    answer = {"role": "assistant", "content": "4"}
    assert _completed({"messages": [*said, answer]}) == {"prompt": said, "completion": [answer]}


def test_rows_of_like_length_share_a_batch_and_a_pass_has_each_row_once() -> None:
    batch, passes = 4, 3
    lengths = random.Random(7).choices(range(10, 200), k=2 * CHUNK * batch)
    every = order(lengths, batch, passes * len(lengths), seed=1)
    for one in range(passes):
        mine = every[one * len(lengths) : (one + 1) * len(lengths)]
        assert sorted(mine) == list(range(len(lengths)))
    batches = [every[i : i + batch] for i in range(0, len(every), batch)]
    spread = [max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in batches]
    assert sum(spread) / len(spread) < 10  # at random: 190 * 3/5
    longest = [max(lengths[i] for i in b) for b in batches[: len(batches) // passes]]
    assert longest not in (sorted(longest), sorted(longest, reverse=True))  # not by length
    assert batches[:CHUNK] != batches[2 * CHUNK : 3 * CHUNK]
    assert every == order(lengths, batch, passes * len(lengths), seed=1)
    assert every != order(lengths, batch, passes * len(lengths), seed=2)


def test_what_fills_no_batch_is_left_out_of_that_pass_alone() -> None:
    found = order([1] * 7, 3, 6 * 50, seed=0)
    assert len(found) == 300
    for start in range(0, 300, 6):
        assert len(set(found[start : start + 6])) == 6
    often = Counter(found)
    assert set(often) == set(range(7))
    assert max(often.values()) - min(often.values()) < 20


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    (tmp_path / "trained.json").write_text('{"adapter": "a.gguf"}')
    made = Recipe.model_validate(usual("sft", 100))
    assert train(Base(tmp_path / "none.gguf", ()), made, [], tmp_path) == {"adapter": "a.gguf"}


@pytest.mark.parametrize("other", ["recipe", "rows", "parent"])
def test_a_folder_is_one_trainings_alone(tmp_path: Path, other: str) -> None:
    first = tmp_path / "first"
    first.mkdir()
    (first / "trained.json").write_text("{}")
    recipes = [Recipe.model_validate(usual("sft", 100) | {"seed": seed}) for seed in (0, 1)]
    chain = Path("/a/generation-1/lora")
    train(Base(first / "none.gguf", ()), recipes[0], [], first)
    moved = (tmp_path / "first").rename(tmp_path / "moved")
    train(Base(moved / "none.gguf", ()), recipes[0], [], moved)  # the same, wherever it lies
    with pytest.raises(InputError, match="is of a training with other data, another recipe or"):
        train(
            Base(moved / "none.gguf", (chain,) if other == "parent" else ()),
            recipes[other == "recipe"],
            [{"messages": []}] if other == "rows" else [],
            moved,
        )


def test_lines_end_at_newlines_alone(tmp_path: Path) -> None:
    """An answer may hold what `str.splitlines` takes for the end of a line."""
    said = [{"role": "assistant", "content": "one\u2028two\u0085three"}]
    path = tmp_path / "rows.jsonl"
    path.write_bytes(line({"messages": said}) + line({"messages": said}))
    assert rows(path, "sft") == [{"messages": said}] * 2


def test_half_a_checkpoint_is_removed_and_an_older_one_gone_on_from(tmp_path: Path) -> None:
    for step in (9, 20, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-9" / "trainer_state.json").write_text("{}")
    (tmp_path / "checkpoint-20" / "trainer_state.json").write_text('{"step"')
    assert whole_checkpoint(tmp_path) == tmp_path / "checkpoint-9"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-9"]
    (tmp_path / "checkpoint-9" / "trainer_state.json").unlink()
    assert whole_checkpoint(tmp_path) is None


# How a training stands


def test_what_was_told_long_ago_is_told_still(tmp_path: Path) -> None:
    """On rows kept out it is looked seldom: many steps may follow."""
    lines = [{"step": 1, "eval_loss": 2.25}, *({"step": n, "loss": 1.0} for n in range(2, 300))]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    assert progress(tmp_path) == {"step": 299, "loss": 1.0, "held_out_loss": 2.25}


def test_the_latest_of_each_figure_is_told(tmp_path: Path) -> None:
    lines = [
        {"step": 1, "loss": 2.5, "rewards/margins": 0.1, "grad_norm": 3},
        {"step": 2, "eval_loss": 2.25, "eval_rewards/margins": 0.5, "eval_rewards/accuracies": 1.0},
        {"step": 3, "loss": 1.5, "rewards/margins": float("nan")},
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text("[1]\nhello\n" + text + '{"step": 4, "lo')
    told = progress(tmp_path)
    assert told == {
        **{"step": 3, "loss": 1.5, "margin": 0.1},
        **{"held_out_loss": 2.25, "held_out_margin": 0.5, "held_out_accuracy": 1.0},
    }
    backwards = dict(reversed(told.items()))  # the database keeps no order
    assert words(backwards).startswith("step 3, loss 1.5, margin 0.1, held out loss 2.25")


@pytest.mark.parametrize(
    "text", [None, "", "nothing\n", '{"loss": 1}\n', '{"step": "a"}\n', "\0\n"]
)
def test_a_trainer_that_writes_something_else_is_not_followed(
    tmp_path: Path, text: str | None
) -> None:
    if text is not None:
        (tmp_path / "metrics.jsonl").write_text(text)
    assert progress(tmp_path) == {}
    assert words({}) == ""
