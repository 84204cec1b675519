"""LoRA matrices as a GGUF adapter, which llama.cpp puts over untouched weights for single requests.

A generation's adapter holds those of all its ancestors: matrices side by side add up, so the rank grows with
every generation and the base is one file for all. llama.cpp keeps the rows of Q and K of `llama` models in
another order than PyTorch does; the rows of B follow. Left out: embeddings, norms, experts.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aaa.errors import InputError

NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""PyTorch's name of a layer's matrix -> llama.cpp's."""
_KEY = re.compile(r"layers\.(\d+)\.([\w.]+)\.lora_([AB])\.weight$")
PERMUTED = ("llama",)
"""Architectures whose Q and K are kept in another order."""


def write_adapter(chain: Sequence[Path], base: Path, path: Path) -> None:
    """One GGUF file of the PEFT adapters in `chain`, oldest first, over the weights in `base`.

    Raises `InputError` for a matrix that has no name in llama.cpp.
    """
    import gguf
    import numpy as np

    reader = gguf.GGUFReader(base)
    architecture = str(_field(reader, "general.architecture"))
    heads = int(_field(reader, f"{architecture}.attention.head_count"))
    kv_heads = int(_field(reader, f"{architecture}.attention.head_count_kv"))
    pairs: dict[str, list[tuple[Any, Any]]] = {}
    for folder in chain:
        for name, (a, b) in _matrices(folder).items():
            layer, inner = name
            row_heads = {"attn_q": heads, "attn_k": kv_heads}.get(inner)
            if row_heads is not None and architecture in PERMUTED:
                b = _permuted(b, row_heads)
            pairs.setdefault(f"blk.{layer}.{inner}.weight", []).append((a, b))
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string("adapter.type", "lora")
    rank = max(sum(a.shape[0] for a, _ in of) for of in pairs.values())
    writer.add_float32(
        "adapter.lora.alpha", float(rank)
    )  # scales are in the matrices: alpha / rank is 1
    for tensor, of in sorted(pairs.items()):
        a = np.concatenate([a for a, _ in of], axis=0)
        b = np.concatenate([b for _, b in of], axis=1)
        if a.shape[0] < rank:  # an older generation adapted fewer matrices
            a = np.pad(a, ((0, rank - a.shape[0]), (0, 0)))
            b = np.pad(b, ((0, 0), (0, rank - b.shape[1])))
        writer.add_tensor(f"{tensor}.lora_a", np.ascontiguousarray(a, dtype=np.float32))
        writer.add_tensor(f"{tensor}.lora_b", np.ascontiguousarray(b, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _field(reader: Any, name: str) -> Any:
    field = reader.get_field(name)
    if field is None:
        raise InputError(f"the base weights do not tell their {name!r}")
    return field.contents()


def _matrices(folder: Path) -> Mapping[tuple[int, str], tuple[Any, Any]]:
    """(layer, llama.cpp's name) -> (A, B with the adapter's scale in it)."""
    import json

    from safetensors.numpy import load_file

    config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
    scale = float(config["lora_alpha"]) / float(config["r"])
    halves: dict[tuple[int, str], dict[str, Any]] = {}
    for key, matrix in load_file(folder / "adapter_model.safetensors").items():
        found = _KEY.search(key)
        if found is None or found[2] not in NAMES:
            raise InputError(
                f"{folder}: {key!r} has no name in llama.cpp; adapt {', '.join(NAMES)}"
            )
        halves.setdefault((int(found[1]), NAMES[found[2]]), {})[found[3]] = matrix
    return {name: (of["A"], of["B"] * scale) for name, of in halves.items()}


def _permuted(b: Any, heads: int) -> Any:
    """The rows as llama.cpp has them: in each head, both halves interleaved."""
    rows, rank = b.shape
    return b.reshape(heads, 2, rows // heads // 2, rank).swapaxes(1, 2).reshape(rows, rank)
