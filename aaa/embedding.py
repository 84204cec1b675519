"""Texts as vectors, where an embedder is installed: `pip install aaa-orchestrator[embed]`.

WordLlama (MIT): the token embeddings of large models, averaged, 256 numbers a text; 19 MB with its weights
in the package, thousands of texts a second on one core, nothing to download. It knows what texts are about,
mostly in English, and not what they mean in their order. Left out: larger embedders behind an API.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aaa.errors import SetupError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

LONGEST = 4000
"""Characters of a text that count."""


def embed(texts: Sequence[str]) -> "Vectors":
    """A row of length 1 for each text (all 0 for an empty one). Raises `SetupError` without an embedder."""
    import numpy as np

    vectors = np.asarray(
        _model().embed([text[:LONGEST] or " " for text in texts]), dtype=np.float32
    )
    sizes = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: Vectors = (vectors / np.where(sizes > 0, sizes, 1)).astype(np.float32)
    return found


@cache
def _model() -> Any:
    try:
        import wordllama
    except ImportError as error:
        raise SetupError(
            "there is no embedder: install one with `pip install 'aaa-orchestrator[embed]'`"
        ) from error
    package = Path(wordllama.__file__).parent  # its weights and tokenizer lie there
    return wordllama.WordLlama.load(cache_dir=package, disable_download=True)
