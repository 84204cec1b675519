"""The model port: one method, `complete`, and the values it takes and gives. Adapters are files here.

`litellm.py` reaches every provider LiteLLM knows and any OpenAI-compatible server; `local.py` runs
llama.cpp in this process. No adapter retries, limits or records anything: `asking.py` does.
"""

from typing import Protocol

from aaa.types import ChoiceShape, JsonShape, Messages, Reply, Sampling, Value


class Request(Value):
    """One attempt at one call, with nothing left to decide."""

    messages: Messages
    """As sent: persona included."""
    sampling: Sampling
    """Call over card."""
    shape: JsonShape | ChoiceShape | None = None
    seed: int
    """Sampling seed, for providers that take one."""


class Model(Protocol):
    """Something that answers."""

    async def complete(self, request: Request) -> Reply:
        """The reply. Raises `ModelError`, redacted; cancelling it abandons the request."""
        ...

    async def close(self) -> None: ...
