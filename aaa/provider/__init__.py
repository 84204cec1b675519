"""A provider without a model: deterministic, fast, and able to fail in every way that real ones do.

    async with serve(faults="429=first:1,retry_after=1s", judge="position=0.3") as provider:
        ...  # a card with `model: openai/stub` and `api_base: provider.base_url`
        assert provider.stats()["requests"] == 2

OpenAI-compatible (`/v1/chat/completions`, `/v1/models`); the same request gets the same bytes everywhere.
For rehearsals without keys (`aaa provider`), tests, chaos runs and benchmarks. Imports nothing of AAA
but errors and values. What goes wrong is written as in `grammar.py`; how it judges is in `judging.py`.

Beside OpenAI's routes: `GET /healthz`, `GET /_log?since=N` (JSON lines, `ledger.Record`), `GET /_stats`,
`GET` and `POST /_faults` (the body is the line of faults), `POST /_reset`.
"""

from aaa.provider.judging import quality
from aaa.provider.ledger import Record, read_log
from aaa.provider.server import Provider, request_key, serve

__all__ = ["Provider", "Record", "quality", "read_log", "request_key", "serve"]
